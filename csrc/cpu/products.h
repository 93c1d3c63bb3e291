// Products of matrices on the CPU: by the library that torch uses, except where its overhead is most of the time.
#pragma once

#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>

#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "tensors.h"

namespace fastladder {

constexpr int64_t columns_at_once = 128;

// `count` vectors of columns of the product of a row a, (inner), and b, (inner, columns); the last `missing` lanes lie
// behind the end of a row.
template <int count, class T>
FASTLADDER_INLINE void multiply_vectors(
    const T* a, const T* b, T* out, int64_t inner, int64_t columns, bool keep, int64_t missing) {
  using Vector = Lanes<Compute<T>>;
  const int64_t length = Vector::count - missing;
  Vector sums[count];
  for (int v = 0; v < count; ++v) {
    T* target = out + v * Vector::count;
    sums[v] = !keep ? Vector(Compute<T>(0)) : missing ? load(target, length) : load(target);
  }
  for (int64_t i = 0; i < inner; ++i) {
    const Vector number(static_cast<Compute<T>>(a[i]));
    const T* source = b + i * columns;
    for (int v = 0; v < count; ++v)
      sums[v] = sums[v] + number * (missing ? load(source, length) : load(source + v * Vector::count));
  }
  for (int v = 0; v < count; ++v) {
    T* target = out + v * Vector::count;
    missing ? store(target, sums[v], length) : store(target, sums[v]);
  }
}

// Columns `begin` to `end` of the product of a row a, (inner), and b, (inner, columns).
template <class T>
FASTLADDER_INLINE void multiply_columns(
    const T* a, const T* b, T* out, int64_t inner, int64_t columns, int64_t begin, int64_t end, bool keep) {
  constexpr int64_t lanes = Lanes<Compute<T>>::count, many = columns_at_once / lanes, some = many / 2;
  while (begin < end) {
    const int64_t left = end - begin;
    const auto multiply = [&](auto count, int64_t missing) __attribute__((always_inline)) {
      multiply_vectors<count.value>(a, b + begin, out + begin, inner, columns, keep, missing);
      begin += count.value * lanes - missing;
    };
    if (left >= many * lanes)
      multiply(std::integral_constant<int, many>(), 0);
    else if (left >= some * lanes)
      multiply(std::integral_constant<int, some>(), 0);
    else
      multiply(std::integral_constant<int, 1>(), std::max<int64_t>(lanes - left, 0));
  }
}

// out = a b, or with `keep` out += a b, for a few rows of a and a contiguous b.
template <class T>
void multiply_few_rows(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
  const int64_t rows = a.size(0), inner = a.size(1), columns = b.size(1);
  const int64_t blocks = (columns + columns_at_once - 1) / columns_at_once;
  parallel_for(0, blocks, grain_of(columns_at_once * inner), [&](int64_t first, int64_t last) {
    for (int64_t row = 0; row < rows; ++row)
      run_widest<multiply_columns<T>>(
          data_of<const T>(a) + row * inner, data_of<const T>(b), data_of<T>(out) + row * columns, inner, columns,
          first * columns_at_once, std::min(columns, last * columns_at_once), keep);
  });
}

// out = a b, or with `keep` out += a b. For bfloat16 the library makes a new plan and a new arrangement of b in every
// call, which takes 30 us: as long as four rows of a small product.
template <class T>
void multiply(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
  constexpr int64_t few_rows = 4;
  if constexpr (std::is_same_v<T, BFloat16>)
    if (a.size(0) <= few_rows && a.is_contiguous() && b.is_contiguous() && out.is_contiguous())
      return multiply_few_rows<T>(out, a, b, keep);
  TORCH_ERROR_CODE_CHECK(
      keep ? aoti_torch_cpu_addmm_out(out.get(), out.get(), a.get(), b.get(), 1, 1)
           : aoti_torch_cpu_mm_out(out.get(), a.get(), b.get()));
}

}  // namespace fastladder
