// Pixels of a channels_last activation packed side by side, so that their channels fill vectors.
//
// Where the C channels of a pixel fill no whole vectors, `together` neighbouring pixels count as one that has
// together * C channels. A tensor of C channels lies in memory like that already; of one with `parts` times as many,
// (pixels, parts, C), each part of such pixels is copied together: (pixels / together, parts, together, C).
#pragma once

#include <numeric>

#include "cpu/lanes.h"

namespace fastladder {

// How many pixels of C channels fill whole vectors together.
template <class Real>
int64_t pixels_together(int64_t channels) {
  return Lanes<Real>::count / std::gcd(Lanes<Real>::count, channels);
}

// The longest run that is copied in one step: 64 bytes of float, on any machine a few registers.
constexpr int64_t longest_step = 16;

// Copies a run of `length` numbers. With fewer than longest_step, it copies `step` instead, so memory behind both runs
// must be there: what is written behind the target is not meant to stay.
template <int64_t step, class T>
FASTLADDER_INLINE void copy_run(T* target, const T* source, int64_t length) {
  const auto copy = [&](int64_t i) __attribute__((always_inline)) {
    std::memcpy(static_cast<void*>(target + i), source + i, step * sizeof(T));
  };
  if (step < longest_step || length <= step) return copy(0);
  for (int64_t i = 0; i < length; i += step) copy(std::min(i, length - step));
}

// Packs whole groups of pixels. The target has room for longest_step further numbers.
template <int64_t step, int parts, class T>
FASTLADDER_INLINE void pack(T* target, const T* source, int64_t pixels, int64_t together, int64_t length) {
  const int64_t channels = step == 1 ? 1 : length;  // a constant, for the compiler to find permutations of vectors
  for (int64_t first = 0; first < pixels; first += together) {
    const int64_t inner = first + together < pixels ? together : together - 1;  // but for the last pixel
    for (int part = 0; part < parts; ++part) {
      const T* from = source + (first * parts + part) * channels;
      for (int64_t i = 0; i < inner; ++i) copy_run<step>(target + i * channels, from + i * parts * channels, channels);
      if (inner < together)
        std::memcpy(
            static_cast<void*>(target + inner * channels), from + inner * parts * channels, channels * sizeof(T));
      target += together * channels;
    }
  }
}

// The way back. The source has longest_step further numbers behind it.
template <int64_t step, int parts, class T>
FASTLADDER_INLINE void unpack(T* target, const T* source, int64_t pixels, int64_t together, int64_t length) {
  const int64_t channels = step == 1 ? 1 : length;
  for (int64_t first = 0; first < pixels; first += together) {
    const int64_t inner = first + together < pixels ? together : together - 1;
    const T* from = source + first * parts * channels;
    for (int64_t i = 0; i < inner; ++i)
      for (int part = 0; part < parts; ++part, target += channels)
        copy_run<step>(target, from + (part * together + i) * channels, channels);
    for (int part = 0; inner < together && part < parts; ++part, target += channels)
      std::memcpy(static_cast<void*>(target), from + (part * together + inner) * channels, channels * sizeof(T));
  }
}

// Calls run(step) with the step of copy_run for a run of `length` numbers as a compile-time constant.
template <int64_t step = 1, class Run>
void with_step(int64_t length, Run run) {
  if constexpr (step < longest_step)
    if (length > step) return with_step<2 * step>(length, run);
  run(std::integral_constant<int64_t, step>());
}

// Adds up the sums of pixels that count as one: from (together, channels) to (channels), added to what is there.
template <class Real>
FASTLADDER_INLINE void fold(Real* sums, const Real* packed, int64_t together, int64_t channels) {
  for (int64_t i = 0; i < together; ++i)
    for (int64_t channel = 0; channel < channels; ++channel) sums[channel] += packed[i * channels + channel];
}

}  // namespace fastladder
