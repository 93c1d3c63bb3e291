// How threads share work on the CPU, and scratch memory.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace fastladder {

using torch::stable::parallel_for;

constexpr int64_t grain = 8192;  // elements below which a further thread costs more than it saves

inline int64_t grain_of(int64_t elements_per_item) {
  return std::max<int64_t>(1, grain / std::max<int64_t>(1, elements_per_item));
}

// Memory that is not cleared.
template <class T>
std::unique_ptr<T[]> scratch(int64_t count) {
  return std::unique_ptr<T[]>(new T[std::max<int64_t>(count, 1)]);
}

}  // namespace fastladder
