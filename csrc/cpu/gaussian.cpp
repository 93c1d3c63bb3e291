// gaussian_merge, gaussian_kl, merge_sample_kl and wiener_kl on CPU tensors.
#include "operators/gaussian.h"

#include "cpu/gaussian_engine.h"

STABLE_TORCH_LIBRARY_IMPL(fastladder, CPU, library) {
  fastladder::implement_gaussian<fastladder::CpuGaussianEngine>(library);
}
