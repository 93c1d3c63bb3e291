// Mean and variance of one norm group, in one pass over memory.
#pragma once

#include <algorithm>

#include "cpu/lanes.h"

namespace fastladder {

// Count, mean and sum of squared deviations, merged by the rule of Chan, Golub and LeVeque. In double, because the
// norm groups are large; the sums within a chunk are in the type of arithmetic.
struct Moments {
  double count = 0, mean = 0, deviation = 0;

  FASTLADDER_INLINE void merge(double other_count, double other_mean, double other_deviation) {
    double total = count + other_count, delta = other_mean - mean;
    mean += delta * other_count / total;
    deviation += other_deviation + delta * delta * count * other_count / total;
    count = total;
  }

  double reciprocal_deviation(double eps) const { return 1.0 / std::sqrt(deviation / count + eps); }
};

// A chunk is read twice, first for its mean; it is small enough for the second time to come from the nearest cache, and
// meanwhile the memory behind it, which is mostly the next chunk, is on its way.
template <class T>
FASTLADDER_INLINE void add_chunk(Moments& moments, const T* data, int64_t length) {
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
  moments.merge(length, mean, deviation);
}

// Moments of `segments` runs of `length` numbers, `stride` apart.
template <class T>
FASTLADDER_INLINE Moments moments_of_segments(const T* data, int64_t segments, int64_t stride, int64_t length) {
  constexpr int64_t chunk = 4096;
  Moments moments;
  for (int64_t segment = 0; segment < segments; ++segment)
    for (int64_t begin = 0; begin < length; begin += chunk)
      add_chunk(moments, data + segment * stride + begin, std::min(chunk, length - begin));
  return moments;
}

// Moments of the `width` columns (at most one vector) of a (rows, stride) matrix.
template <class T>
FASTLADDER_INLINE void moments_of_columns(
    const T* data, int64_t rows, int64_t stride, int64_t width, Moments* moments) {
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
      moments[column].merge(end - begin, mean.v[column], squares.v[column]);
  }
}

}  // namespace fastladder
