// combine_g1, combine_g2, combine_g3_hidden and combine_g3 on CPU tensors.
#include "operators/gated_combine.h"

#include "cpu/preactivation_engine.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CPU, library) {
  fastladder::implement_gated_combine<fastladder::CpuPreactivationEngine>(library);
}
