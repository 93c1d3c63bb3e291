// group_evidence, group_features and group_mixture_nll on CUDA tensors.
#include "cuda/grouping_engine.cuh"
#include "operators/grouping.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CUDA, library) {
  fastladder::implement_grouping<fastladder::CudaGroupingEngine>(library);
}
