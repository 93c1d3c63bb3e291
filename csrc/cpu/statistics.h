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

// Mean and sum of squared differences from it of columns `begin` to `end`, whole vectors, of a (rows, columns) matrix:
// into (2, columns), which are 0 before.
template <class T>
FASTLADDER_INLINE void moments_of_columns(
    const T* data, int64_t rows, int64_t columns, int64_t begin, int64_t end, double* moments) {
  using Vector = Lanes<Compute<T>>;
  constexpr int64_t ways = 4;                                                // sums that do not wait for each other
  const int64_t chunk = std::clamp<int64_t>(8192 / (end - begin), 16, 256);  // of rows, which are read twice
  for (int64_t row = 0; row < rows; row += chunk) {
    const int64_t count = std::min(chunk, rows - row), whole = count - count % ways;
    const double share = static_cast<double>(count) / static_cast<double>(row + count);
    for (int64_t column = begin; column < end; column += Vector::count) {
      const T* first = data + row * columns + column;
      const auto at = [&](int64_t i) __attribute__((always_inline)) { return load(first + i * columns); };
      // Adds up of(i) over the rows of the chunk.
      const auto add_up = [&](auto of) __attribute__((always_inline)) {
        Vector sums[ways];
        for (Vector& sum : sums) sum = Vector(Compute<T>(0));
        for (int64_t i = 0; i < whole; i += ways)
          for (int64_t way = 0; way < ways; ++way) sums[way] = sums[way] + of(i + way);
        for (int64_t i = whole; i < count; ++i) sums[0] = sums[0] + of(i);
        return (sums[0] + sums[1]) + (sums[2] + sums[3]);
      };
      const Vector mean = add_up(at) / Vector(static_cast<Compute<T>>(count));
      const Vector squares = add_up([&](int64_t i) __attribute__((always_inline)) {
        const Vector centred = at(i) - mean;
        return centred * centred;
      });
      // As Moments::merge, with one division for all lanes, which have the same counts.
      double *means = moments + column, *deviations = means + columns;
      for (int64_t lane = 0; lane < Vector::count; ++lane) {
        const double delta = mean.v[lane] - means[lane];
        deviations[lane] += squares.v[lane] + delta * delta * static_cast<double>(row) * share;
        means[lane] += delta * share;
      }
    }
  }
}

// Moments of sets of `count` numbers together, from their means and squared differences: those of set i are i * stride
// behind the first ones.
inline Moments<double> pool(const double* means, const double* squares, int64_t sets, int64_t stride, double count) {
  Moments<double> all{static_cast<double>(sets) * count, 0, 0};
  for (int64_t i = 0; i < sets; ++i) all.mean += means[i * stride];
  all.mean /= static_cast<double>(sets);
  for (int64_t i = 0; i < sets; ++i) {
    const double delta = means[i * stride] - all.mean;
    all.squares += squares[i * stride] + count * delta * delta;
  }
  return all;
}

}  // namespace fastladder
