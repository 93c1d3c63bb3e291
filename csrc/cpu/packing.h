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

// The longest run that is copied in one step: longer ones leave few lanes unused, unpacked.
constexpr int64_t longest_step = 8;

// A register of so many bytes, or, where none is so small, an array.
template <int64_t bytes>
struct Register {
  typedef char Type __attribute__((vector_size(bytes)));
};
template <>
struct Register<2> {
  using Type = int16_t;
};

// Copies a run of at most `step` numbers as `step` of them, so memory behind both runs must be there: what is written
// behind the target is not meant to stay.
template <int64_t step, class T>
FASTLADDER_INLINE void copy_run(T* target, const T* source) {
  typename Register<step * sizeof(T)>::Type numbers;
  std::memcpy(&numbers, source, sizeof(numbers));
  std::memcpy(static_cast<void*>(target), &numbers, sizeof(numbers));
}

// Packs whole groups of pixels. The target has room for longest_step further numbers.
template <int64_t step, int parts, class T>
FASTLADDER_INLINE void pack(T* target, const T* source, int64_t pixels, int64_t together, int64_t length) {
  const int64_t channels = step == 1 ? 1 : length;  // a constant, for the compiler to find permutations of vectors
  for (int64_t first = 0; first < pixels; first += together) {
    const int64_t inner = first + together < pixels ? together : together - 1;  // but for the last pixel
    const T* from = source + first * parts * channels;
    const auto copy = [&](int part, int64_t i) __attribute__((always_inline)) {
      copy_run<step>(target + (part * together + i) * channels, from + (i * parts + part) * channels);
    };
    // Where nothing is written behind a run, the order does not matter, and this one is faster.
    for (int64_t i = 0; step == length && i < inner; ++i)
      for (int part = 0; part < parts; ++part) copy(part, i);
    for (int part = 0; part < parts; ++part) {
      for (int64_t i = 0; step != length && i < inner; ++i) copy(part, i);
      if (inner < together)
        std::memcpy(
            static_cast<void*>(target + (part * together + inner) * channels), from + (inner * parts + part) * channels,
            channels * sizeof(T));
    }
    target += parts * together * channels;
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
        copy_run<step>(target, from + (part * together + i) * channels);
    for (int part = 0; inner < together && part < parts; ++part, target += channels)
      std::memcpy(static_cast<void*>(target), from + (part * together + inner) * channels, channels * sizeof(T));
  }
}

// Calls run(step) with the least step of copy_run for runs of `length` numbers, at most longest_step, as a compile-time
// constant.
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
