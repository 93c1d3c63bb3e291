// lstm_gates on CPU tensors.
#include "operators/lstm_gates.h"

#include "cpu/fused.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CPU, library) {
  fastladder::implement_lstm_gates<fastladder::CpuEngine>(library);
}
