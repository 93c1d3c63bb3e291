// ladder_combine on CPU tensors.
#include "operators/ladder_combine.h"

#include "cpu/fused.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CPU, library) {
  fastladder::implement_ladder_combine<fastladder::CpuEngine>(library);
}
