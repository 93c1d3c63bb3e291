// ladder_combine on CUDA tensors.
#include "cuda/fused.cuh"
#include "operators/ladder_combine.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CUDA, library) {
  fastladder::implement_ladder_combine<fastladder::CudaEngine>(library);
}
