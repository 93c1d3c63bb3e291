// Views of matrices within larger tensors.
#pragma once

#include "tensors.h"

namespace fastladder {

// A matrix in the memory of a tensor, `first` numbers after its beginning. Not by way of the dispatcher, as `empty`.
inline Tensor matrix_in(const Tensor& tensor, int64_t first, const int64_t (&sizes)[2], const int64_t (&strides)[2]) {
  AtenTensorHandle handle;
  TORCH_ERROR_CODE_CHECK(aoti_torch__reinterpret_tensor(tensor.get(), 2, sizes, strides, first, &handle));
  return Tensor(handle);
}

// Rows `begin` to `end` of a contiguous tensor (*, columns), all leading sizes taken together.
inline Tensor rows_of(const Tensor& tensor, int64_t begin, int64_t end) {
  const int64_t columns = tensor.size(tensor.dim() - 1);
  return matrix_in(tensor, begin * columns, {end - begin, columns}, {columns, 1});
}

inline Tensor transposed(const Tensor& matrix) {
  return matrix_in(matrix, 0, {matrix.size(1), matrix.size(0)}, {matrix.stride(1), matrix.stride(0)});
}

}  // namespace fastladder
