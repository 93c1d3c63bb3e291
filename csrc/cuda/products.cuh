// Products of matrices on a GPU, by the library that torch uses.
#pragma once

#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cuda.h>

#include "tensors.h"

namespace fastladder {

// out = a b, or with `keep` out += a b.
inline void multiply(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
  TORCH_ERROR_CODE_CHECK(
      keep ? aoti_torch_cuda_addmm_out(out.get(), out.get(), a.get(), b.get(), 1, 1)
           : aoti_torch_cuda_mm_out(out.get(), a.get(), b.get()));
}

}  // namespace fastladder
