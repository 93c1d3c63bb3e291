// group_evidence, group_features and group_mixture_nll on CPU tensors.
#include "operators/grouping.h"

#include "cpu/grouping_engine.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CPU, library) {
  fastladder::implement_grouping<fastladder::CpuGroupingEngine>(library);
}
