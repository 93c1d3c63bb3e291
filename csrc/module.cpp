// The pybind11 module fastladder._C: loading it registers the CPU kernels; build_info() says how it was built.
#include <pybind11/pybind11.h>

#include <string>

#include "cpu/clones.h"

#ifndef FASTLADDER_CUDA_ARCHITECTURES
#define FASTLADDER_CUDA_ARCHITECTURES ""
#endif

PYBIND11_MODULE(_C, module) {
  module.def(
      "build_info",
      [] {
        pybind11::dict info;
        info["compiler"] = __VERSION__;
        info["simd"] = fastladder::instruction_sets[fastladder::running_clone];
        info["torch_target"] =
            std::to_string(TORCH_TARGET_VERSION >> 56) + "." + std::to_string(TORCH_TARGET_VERSION >> 48 & 0xFF);
        info["cuda_architectures"] = FASTLADDER_CUDA_ARCHITECTURES;
        return info;
      },
      "How the extension was built, and the instruction set of the kernels that run on this machine.");
}
