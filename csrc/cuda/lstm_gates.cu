// lstm_gates on CUDA tensors.
#include "cuda/preactivation_engine.cuh"
#include "operators/lstm_gates.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CUDA, library) {
  fastladder::implement_lstm_gates<fastladder::CudaPreactivationEngine>(library);
}
