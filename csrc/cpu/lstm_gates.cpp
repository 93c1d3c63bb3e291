// lstm_gates on CPU tensors.
#include "operators/lstm_gates.h"

#include "cpu/preactivation_engine.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CPU, library) {
  fastladder::implement_lstm_gates<fastladder::CpuPreactivationEngine>(library);
}
