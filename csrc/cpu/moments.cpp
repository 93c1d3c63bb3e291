// tanh_moments, sigmoid_moments and relu_moments on CPU tensors.
#include "operators/moments.h"

#include "cpu/moments_engine.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CPU, library) {
  fastladder::implement_moments<fastladder::CpuMomentsEngine>(library);
}
