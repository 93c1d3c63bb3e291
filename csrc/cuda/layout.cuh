// Where the elements of a chunk of samples lie.
#pragma once

#include "cuda/device.cuh"
#include "operators/preactivation_problem.h"

namespace fastladder {

// Samples [begin, end).
struct Chunk {
  int64_t begin, end;

  FASTLADDER_FORMULA int64_t size() const { return end - begin; }
};

// The place of one element of an output (N, C, S), and of part 0 of a projection (N, parts * C, S).
struct Place {
  int64_t sample, output, projection, part_stride;
  int channel;
};

// The place of the element that is `rest` elements after the start of a sample; it may lie in a later sample. A sample
// has less than 2^31 numbers.
FASTLADDER_FORMULA Place place_of(const Shape& shape, int parts, int64_t sample, unsigned rest) {
  const unsigned channels = shape.channels, pixels = shape.pixels, size = channels * pixels;
  sample += rest / size;
  rest %= size;
  const int64_t base = sample * size;
  if (shape.channels_last) {
    const unsigned pixel = rest / channels;
    return {
        sample, base + rest, base * parts + rest + int64_t(pixel) * (parts - 1) * channels, channels,
        static_cast<int>(rest - pixel * channels)};
  }
  return {sample, base + rest, base * parts + rest, size, static_cast<int>(rest / pixels)};
}

}  // namespace fastladder
