// group_evidence, group_features and group_mixture_nll on CPU tensors.
#include "operators/grouping.h"

#include "cpu/groups.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CPU, library) { fastladder::implement_grouping<fastladder::CpuGroups>(library); }
