// How threads share work on the CPU, and scratch memory.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

namespace fastladder {

using torch::stable::parallel_for;

constexpr int64_t grain = 8192;  // elements below which a further thread costs more than it saves

inline int64_t grain_of(int64_t elements_per_item) {
  return std::max<int64_t>(1, grain / std::max<int64_t>(1, elements_per_item));
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
// Numbers that begin a cache line: vectors across two lines load and store at half the speed.
template <class T>
using Memory = std::unique_ptr<T[], Free>;

// Memory that is not cleared.
template <class T>
Memory<T> scratch(int64_t count) {
  constexpr size_t line = 64;
  const size_t size = (std::max<int64_t>(count, 1) * sizeof(T) + line - 1) / line * line;
  void* const memory = std::aligned_alloc(line, size);
  if (!memory) throw std::bad_alloc();
  return Memory<T>(static_cast<T*>(memory));
}

}  // namespace fastladder
