// Mean and variance of one norm group, in one pass over memory. Moments are in double, because the norm groups are
// large; the sums within a chunk are in the type of arithmetic.
#pragma once

#include <algorithm>

#include "cpu/lanes.h"
#include "formulas/sample_moments.h"

namespace fastladder {

inline double reciprocal_deviation(const Moments<double>& moments, double eps) {
  return 1.0 / std::sqrt(moments.squares / moments.count + eps);
}

// A chunk is read twice, first for its mean; it is small enough for the second time to come from the nearest cache, and
// meanwhile the memory behind it, which is mostly the next chunk, is prefetched.
template <class T>
FASTLADDER_INLINE void add_chunk(Moments<double>& moments, const T* data, int64_t length) {
  using Vector = Lanes<Compute<T>>;
  constexpr int64_t ways = 4, step = ways * Vector::count;  // sums that do not wait for each other
  const int64_t whole = length - length % step;
  Vector sums[ways], squares[ways];
  for (int64_t way = 0; way < ways; ++way) sums[way] = squares[way] = Vector(Compute<T>(0));
  for (int64_t i = 0; i < whole; i += step)
    for (int64_t way = 0; way < ways; ++way) sums[way] = sums[way] + load(data + i + way * Vector::count);
  Compute<T> total = whole > 0 ? ((sums[0] + sums[1]) + (sums[2] + sums[3])).sum() : Compute<T>(0);
  for (int64_t i = whole; i < length; ++i) total += static_cast<Compute<T>>(data[i]);
  const Compute<T> mean = total / static_cast<Compute<T>>(length);
  for (int64_t i = 0; i < whole; i += step)
    for (int64_t way = 0; way < ways; ++way) {
      __builtin_prefetch(data + length + i + way * Vector::count);
      const Vector centred = load(data + i + way * Vector::count) - Vector(mean);
      squares[way] = squares[way] + centred * centred;
    }
  Compute<T> deviation = whole > 0 ? ((squares[0] + squares[1]) + (squares[2] + squares[3])).sum() : Compute<T>(0);
  for (int64_t i = whole; i < length; ++i) {
    const Compute<T> centred = static_cast<Compute<T>>(data[i]) - mean;
    deviation += centred * centred;
  }
  moments.merge({static_cast<double>(length), mean, deviation});
}

// Moments of `segments` runs of `length` numbers, `stride` apart.
template <class T>
FASTLADDER_INLINE Moments<double> moments_of_segments(const T* data, int64_t segments, int64_t stride, int64_t length) {
  constexpr int64_t chunk = 4096;
  Moments<double> moments{};
  for (int64_t segment = 0; segment < segments; ++segment)
    for (int64_t begin = 0; begin < length; begin += chunk)
      add_chunk(moments, data + segment * stride + begin, std::min(chunk, length - begin));
  return moments;
}

// Moments of the `width` columns (at most one vector) of a (rows, stride) matrix.
template <class T>
FASTLADDER_INLINE void moments_of_columns(
    const T* data, int64_t rows, int64_t stride, int64_t width, Moments<double>* moments) {
  using Vector = Lanes<Compute<T>>;
  constexpr int64_t chunk = 256;
  const auto at = [=](int64_t row) __attribute__((always_inline)) {
    return width == Vector::count ? load(data + row * stride) : load(data + row * stride, width);
  };
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t end = std::min(begin + chunk, rows);
    Vector sum(Compute<T>(0)), squares(Compute<T>(0));
    for (int64_t row = begin; row < end; ++row) sum = sum + at(row);
    const Vector mean = sum / Vector(static_cast<Compute<T>>(end - begin));
    for (int64_t row = begin; row < end; ++row) {
      __builtin_prefetch(data + row * stride + Vector::count);  // the next columns
      const Vector centred = at(row) - mean;
      squares = squares + centred * centred;
    }
    for (int64_t column = 0; column < width; ++column)
      moments[column].merge({static_cast<double>(end - begin), mean.v[column], squares.v[column]});
  }
}

}  // namespace fastladder
