// combine_g1, combine_g2, combine_g3_hidden and combine_g3 on CUDA tensors.
#include "cuda/preactivation_engine.cuh"
#include "operators/gated_combine.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CUDA, library) {
  fastladder::implement_gated_combine<fastladder::CudaPreactivationEngine>(library);
}
