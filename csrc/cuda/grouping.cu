// group_evidence, group_features and group_mixture_nll on CUDA tensors.
#include "cuda/groups.cuh"
#include "operators/grouping.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CUDA, library) {
  fastladder::implement_grouping<fastladder::CudaGroups>(library);
}
