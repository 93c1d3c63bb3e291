// The pybind11 module fastladder._C: loading it registers the CPU kernels; build_info() says how it was built.
#include <pybind11/pybind11.h>

#include <string>

namespace {

const char* simd_level() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return "AVX-512";
  if (__builtin_cpu_supports("avx2")) return "AVX2";
  return "SSE2";
#elif defined(__aarch64__)
  return "NEON";
#else
  return "scalar";
#endif
}

#ifndef FASTLADDER_CUDA_ARCHITECTURES
#define FASTLADDER_CUDA_ARCHITECTURES ""
#endif

}  // namespace

PYBIND11_MODULE(_C, module) {
  module.def(
      "build_info",
      [] {
        pybind11::dict info;
        info["compiler"] = __VERSION__;
        info["simd"] = simd_level();
        info["torch_target"] =
            std::to_string(TORCH_TARGET_VERSION >> 56) + "." + std::to_string(TORCH_TARGET_VERSION >> 48 & 0xFF);
        info["cuda_architectures"] = FASTLADDER_CUDA_ARCHITECTURES;
        return info;
      },
      "How the extension was built, and the SIMD level that this machine takes.");
}
