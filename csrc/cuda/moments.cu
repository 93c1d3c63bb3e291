// tanh_moments, sigmoid_moments and relu_moments on CUDA tensors.
#include "cuda/moments_engine.cuh"
#include "operators/moments.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CUDA, library) {
  fastladder::implement_moments<fastladder::CudaMomentsEngine>(library);
}
