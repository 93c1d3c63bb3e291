// Products of matrices on the CPU: by the library that torch uses, except where its overhead is most of the time.
#pragma once

#include <torch/csrc/inductor/aoti_torch/generated/c_shim_cpu.h>

#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "tensors.h"

namespace fastladder {

constexpr int vectors_at_once = 8;

// A vector whose first lanes, `skipped` of them, are not to be read or written.
template <class T>
FASTLADDER_INLINE Lanes<Compute<T>> load_last(const T* source, int64_t skipped) {
  if (skipped == 0) return load(source);
  T numbers[Lanes<Compute<T>>::count] = {};
  std::memcpy(static_cast<void*>(numbers + skipped), source + skipped, sizeof(numbers) - skipped * sizeof(T));
  return load(numbers);
}

template <class T>
FASTLADDER_INLINE void store_last(T* target, Lanes<Compute<T>> lanes, int64_t skipped) {
  if (skipped == 0) return store(target, lanes);
  T numbers[Lanes<Compute<T>>::count];
  store(numbers, lanes);
  std::memcpy(static_cast<void*>(target + skipped), numbers + skipped, sizeof(numbers) - skipped * sizeof(T));
}

// `count` vectors of columns of the product of a row a, (inner), and b, (inner, columns).
template <int count, class T>
FASTLADDER_INLINE void multiply_vectors(
    const T* a, const T* b, T* out, int64_t inner, int64_t columns, bool keep, int64_t skipped) {
  using Vector = Lanes<Compute<T>>;
  constexpr int64_t rows_ahead = 8;  // those of b are too far apart for the processor to foresee them
  Vector sums[count];
  for (int v = 0; v < count; ++v) sums[v] = keep ? load_last(out + v * Vector::count, skipped) : Vector(Compute<T>(0));
  for (int64_t i = 0; i < inner; ++i) {
    const Vector number(static_cast<Compute<T>>(a[i]));
    for (int v = 0; v < count; ++v) {
      const T* source = b + i * columns + v * Vector::count;
      __builtin_prefetch(source + rows_ahead * columns);
      sums[v] = sums[v] + number * load(source);
    }
  }
  for (int v = 0; v < count; ++v) store_last(out + v * Vector::count, sums[v], skipped);
}

// Columns `begin` to `end` of the product of a row a, (inner), and b, (inner, columns), of at least a vector's columns.
// A last vector that they do not fill begins earlier.
template <class T>
FASTLADDER_INLINE void multiply_columns(
    const T* a, const T* b, T* out, int64_t inner, int64_t columns, int64_t begin, int64_t end, bool keep) {
  constexpr int64_t lanes = Lanes<Compute<T>>::count;
  for (; end - begin >= vectors_at_once * lanes; begin += vectors_at_once * lanes)
    multiply_vectors<vectors_at_once>(a, b + begin, out + begin, inner, columns, keep, 0);
  for (; end - begin >= 4 * lanes; begin += 4 * lanes)
    multiply_vectors<4>(a, b + begin, out + begin, inner, columns, keep, 0);
  for (; begin < end; begin += lanes) {
    const int64_t at = std::min(begin, columns - lanes);
    multiply_vectors<1>(a, b + at, out + at, inner, columns, keep, begin - at);
  }
}

// out = a b, or with `keep` out += a b, for few rows of a and a contiguous b.
template <class T>
void multiply_few_rows(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
  constexpr int64_t block = vectors_at_once * Lanes<Compute<T>>::count;
  const int64_t rows = a.size(0), inner = a.size(1), columns = b.size(1);
  parallel_for(0, (columns + block - 1) / block, grain_of(block * inner), [&](int64_t first, int64_t last) {
    for (int64_t row = 0; row < rows; ++row)
      run_widest<multiply_columns<T>>(
          data_of<const T>(a) + row * inner, data_of<const T>(b), data_of<T>(out) + row * columns, inner, columns,
          first * block, std::min(columns, last * block), keep);
  });
}

// out = a b, or with `keep` out += a b. The library takes 5 to 8 us for one row and a b of 200 x 800 in float32, and
// 25 us in bfloat16, as it makes a new plan and a new arrangement of b in every call; a row takes 6 us and 12 us here.
template <class T>
void multiply(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
  constexpr int64_t few_rows = std::is_same_v<T, BFloat16> ? 2 : 1;
  if constexpr (!std::is_same_v<T, double>)
    if (a.size(0) <= few_rows && b.size(1) >= Lanes<Compute<T>>::count && a.is_contiguous() && b.is_contiguous() &&
        out.is_contiguous())
      return multiply_few_rows<T>(out, a, b, keep);
  TORCH_ERROR_CODE_CHECK(
      keep ? aoti_torch_cpu_addmm_out(out.get(), out.get(), a.get(), b.get(), 1, 1)
           : aoti_torch_cpu_mm_out(out.get(), a.get(), b.get()));
}

}  // namespace fastladder
