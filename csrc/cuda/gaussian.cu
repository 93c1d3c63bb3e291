// gaussian_merge, gaussian_kl, merge_sample_kl and wiener_kl on CUDA tensors.
#include "cuda/gaussian_engine.cuh"
#include "operators/gaussian.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CUDA, library) {
  fastladder::implement_gaussian<fastladder::CudaGaussianEngine>(library);
}
