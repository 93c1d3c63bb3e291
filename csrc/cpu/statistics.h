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

// Moments of the columns that one vector covers of a (rows, stride) matrix, into one for each lane.
template <class T>
FASTLADDER_INLINE void moments_of_columns(const T* data, int64_t rows, int64_t stride, Moments<double>* moments) {
  using Vector = Lanes<Compute<T>>;
  constexpr int64_t chunk = 256, ways = 4;  // sums that do not wait for each other
  double mean[Vector::count] = {}, squares[Vector::count] = {};
  for (int64_t begin = 0; begin < rows; begin += chunk) {
    const int64_t count = std::min(chunk, rows - begin), whole = count - count % ways;
    const T* first = data + begin * stride;
    Vector sums[ways], deviations[ways];
    for (int64_t way = 0; way < ways; ++way) sums[way] = deviations[way] = Vector(Compute<T>(0));
    for (int64_t row = 0; row < whole; row += ways)
      for (int64_t way = 0; way < ways; ++way) sums[way] = sums[way] + load(first + (row + way) * stride);
    for (int64_t row = whole; row < count; ++row) sums[0] = sums[0] + load(first + row * stride);
    const Vector centre = ((sums[0] + sums[1]) + (sums[2] + sums[3])) / Vector(static_cast<Compute<T>>(count));
    const auto square = [&](int64_t row) __attribute__((always_inline)) {
      const Vector centred = load(first + row * stride) - centre;
      return centred * centred;
    };
    for (int64_t row = 0; row < whole; row += ways)
      for (int64_t way = 0; way < ways; ++way) deviations[way] = deviations[way] + square(row + way);
    for (int64_t row = whole; row < count; ++row) deviations[0] = deviations[0] + square(row);
    const Vector deviation = (deviations[0] + deviations[1]) + (deviations[2] + deviations[3]);
    // As Moments::merge; all lanes have the same counts, so that one division does for them.
    const double share = static_cast<double>(count) / static_cast<double>(begin + count);
    for (int64_t lane = 0; lane < Vector::count; ++lane) {
      const double delta = centre.v[lane] - mean[lane];
      squares[lane] += deviation.v[lane] + delta * delta * static_cast<double>(begin) * share;
      mean[lane] += delta * share;
    }
  }
  for (int64_t lane = 0; lane < Vector::count; ++lane)
    moments[lane] = {static_cast<double>(rows), mean[lane], squares[lane]};
}

// Moments of `sets` sets of one size together, the first at `moments` and each `stride` behind the one before.
inline Moments<double> pool(const Moments<double>* moments, int64_t sets, int64_t stride) {
  Moments<double> all{};
  for (int64_t i = 0; i < sets; ++i) {
    all.count += moments[i * stride].count;
    all.mean += moments[i * stride].mean;
  }
  all.mean /= static_cast<double>(sets);
  for (int64_t i = 0; i < sets; ++i) {
    const double delta = moments[i * stride].mean - all.mean;
    all.squares += moments[i * stride].squares + moments[i * stride].count * delta * delta;
  }
  return all;
}

}  // namespace fastladder
