// The host's side of a kernel: the device, its stream, scratch memory and launches.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include "cuda/device.cuh"
#include "tensors.h"

namespace fastladder {

inline int64_t power_of_two_from(int64_t least) {
  int64_t power = 1;
  while (power < least) power *= 2;
  return power;
}

// Whether all addresses are multiples of so many bytes; null is one.
template <class Pointers>
bool all_aligned(const Pointers& pointers, size_t bytes) {
  return std::all_of(std::begin(pointers), std::end(pointers), [=](const void* pointer) {
    return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
  });
}

struct Grid {
  int64_t x, y = 1, z = 1;  // blocks
};

// Makes the device of a tensor the current one, and has the numbers that kernels are sized by.
class Device {
 public:
  explicit Device(const Tensor& tensor) : tensor_(tensor), guard_(tensor.get_device_index()) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
    STD_CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, tensor.get_device_index()));
    STD_CUDA_CHECK(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, tensor.get_device_index()));
  }

  int processors;
  int cache;  // bytes

  // How often a thread can repeat its work, up to `most` times, before less than `fill` blocks a processor are left.
  int64_t repeats(int64_t thread_tasks, int64_t fill, int64_t most) const {
    return std::clamp<int64_t>(thread_tasks / (threads * processors * fill), 1, most);
  }

  // Memory for kernels; work that the stream gets later may take it over once this object is gone.
  template <class T>
  T* scratch(int64_t count) {
    static_assert(sizeof(T) == 4);
    scratch_.push_back(empty(tensor_, {count}, ScalarType::Int));
    return static_cast<T*>(scratch_.back().mutable_data_ptr());
  }

  template <class Call>
  void launch(void (*kernel)(Call), Grid grid, const Call& call) const {
    STD_TORCH_CHECK(
        grid.x < (int64_t(1) << 31) && grid.y < (1 << 16) && grid.z < (1 << 16),
        "the activations have too many elements for one call");
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(grid.x, grid.y, grid.z);
    config.blockDim = dim3(threads);
    config.stream = stream_;
    STD_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, call));
  }

 private:
  const Tensor& tensor_;
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_;
  std::vector<Tensor> scratch_;
};

}  // namespace fastladder
