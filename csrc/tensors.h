// Shapes, memory layouts and allocation on top of LibTorch's stable ABI, for CPU and CUDA kernels alike.
#pragma once

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fastladder {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;

enum class Norm { none, layer, batch };

inline Norm parse_norm(const std::string& name) {
  if (name == "none") return Norm::none;
  if (name == "layer") return Norm::layer;
  STD_TORCH_CHECK(name == "batch", "norm: got '", name, "', needs 'none', 'layer' or 'batch'");
  return Norm::batch;
}

// N samples of `channels` output channels at `pixels` positions, stored (N, C, S) or (N, S, C).
struct Shape {
  int64_t batch;
  int64_t channels;
  int64_t pixels;
  bool channels_last;
};

// Whether (N, C, *S) lies in memory as (N, *S, C). A layout that is both counts as contiguous.
inline bool is_channels_last(const Tensor& tensor) {
  if (tensor.dim() < 3 || tensor.is_contiguous()) return false;
  int64_t expected = 1;
  for (int64_t position = 0; position < tensor.dim(); ++position) {
    int64_t dim = position == 0 ? 1 : position == tensor.dim() - 1 ? 0 : tensor.dim() - position;
    if (tensor.size(dim) != 1 && tensor.stride(dim) != expected) return false;
    expected *= tensor.size(dim);
  }
  return true;
}

// The shape of the outputs for a leading activation (N, parts * C, *S).
inline Shape shape_of(const Tensor& leader, int64_t parts) {
  STD_TORCH_CHECK(
      leader.dim() >= 2 && leader.size(1) % parts == 0, "needs an activation of shape (N, ", parts, "C, *S)");
  int64_t pixels = 1;
  for (int64_t dim = 2; dim < leader.dim(); ++dim) pixels *= leader.size(dim);
  return {leader.size(0), leader.size(1) / parts, pixels, is_channels_last(leader)};
}

inline std::vector<int64_t> sizes_with(const Tensor& leader, int64_t channels) {
  std::vector<int64_t> sizes{leader.size(0), channels};
  for (int64_t dim = 2; dim < leader.dim(); ++dim) sizes.push_back(leader.size(dim));
  return sizes;
}

inline std::vector<int64_t> sizes_of(const Tensor& tensor) {
  std::vector<int64_t> sizes(tensor.dim());
  for (int64_t dim = 0; dim < tensor.dim(); ++dim) sizes[dim] = tensor.size(dim);
  return sizes;
}

// An empty tensor on the device of `like`. Not by way of the dispatcher, which takes longer than small kernels.
inline Tensor empty(
    const Tensor& like, const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides, ScalarType dtype) {
  int32_t device_type;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device_type));
  const int32_t type = torch::stable::detail::to<int32_t>(torch::stable::detail::from(dtype));
  AtenTensorHandle handle;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(
      sizes.size(), sizes.data(), strides.data(), type, device_type, like.get_device_index(), &handle));
  return Tensor(handle);
}

inline Tensor empty(const Tensor& like, const std::vector<int64_t>& sizes, ScalarType dtype) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t dim = sizes.size(); dim-- > 1;) strides[dim - 1] = strides[dim] * std::max<int64_t>(sizes[dim], 1);
  return empty(like, sizes, strides, dtype);
}

// An empty (N, channels, *S) in the layout of the leading activation (N, _, *S).
inline Tensor empty_activation(const Tensor& leader, int64_t channels, bool channels_last, ScalarType dtype) {
  std::vector<int64_t> sizes = sizes_with(leader, channels);
  std::vector<int64_t> strides(sizes.size());
  int64_t stride = 1;
  if (channels_last) {
    strides[1] = stride;
    stride *= std::max<int64_t>(channels, 1);
  }
  for (int64_t dim = static_cast<int64_t>(sizes.size()) - 1; dim >= 0; --dim) {
    if (channels_last && dim == 1) continue;
    strides[dim] = stride;
    stride *= std::max<int64_t>(sizes[dim], 1);
  }
  return empty(leader, sizes, strides, dtype);
}

// The same tensor where it is contiguous, else a copy.
inline Tensor make_contiguous(const Tensor& tensor) {
  return tensor.is_contiguous() ? tensor : torch::stable::contiguous(tensor);
}

// The same activation in the layout that the kernel works in; a copy only where it has another.
inline Tensor arrange(const Tensor& tensor, bool channels_last) {
  if (!channels_last) return make_contiguous(tensor);
  if (is_channels_last(tensor)) return tensor;
  Tensor copy = empty_activation(tensor, tensor.size(1), true, tensor.scalar_type());
  torch::stable::copy_(copy, tensor);
  return copy;
}

template <class T>
T* data_of(const Tensor& tensor) {
  if constexpr (std::is_const_v<T>)
    return static_cast<T*>(tensor.const_data_ptr());
  else
    return static_cast<T*>(tensor.mutable_data_ptr());
}

// Direct callers of the registered operators get an error where a kernel would read past the end of a tensor.
inline void check_activation(
    const char* name, const Tensor& tensor, const Tensor& leader, int64_t channels, ScalarType dtype) {
  std::vector<int64_t> sizes = sizes_with(leader, channels);
  bool fits = tensor.dim() == leader.dim();
  for (int64_t dim = 0; fits && dim < tensor.dim(); ++dim) fits = tensor.size(dim) == sizes[dim];
  STD_TORCH_CHECK(fits, name, ": its shape does not go with that of the first activation");
  STD_TORCH_CHECK(
      tensor.scalar_type() == dtype, name, ": got dtype ", toString(tensor.scalar_type()), ", needs ", toString(dtype));
}

inline Tensor check_parameter(const char* name, const Tensor& tensor, int64_t numel, ScalarType dtype) {
  STD_TORCH_CHECK(tensor.numel() == numel, name, ": got ", tensor.numel(), " numbers, needs ", numel);
  STD_TORCH_CHECK(tensor.scalar_type() == dtype, name, ": needs float32, or float64 with float64 activations");
  return make_contiguous(tensor);
}

}  // namespace fastladder
