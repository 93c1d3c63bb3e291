// Where elements lie, and the parameters that belong to them.
#pragma once

#include "cuda/device.cuh"
#include "operators/preactivation_problem.h"

namespace fastladder {

// The place of one element of an output (N, C, S), and of part 0 of a projection (N, parts * C, S).
struct Place {
  int64_t sample, output, projection, part_stride;
  int channel;
};

// Of the element `rest` after the start of a sample, which may lie in a later one. A sample has less than 2^31 numbers.
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

// Numbers of L neighbouring channels of a parameter, or all of the same channel where L is 1.
template <int L>
__device__ __forceinline__ void load_channels(const float* source, float (&target)[L]) {
  const Pack<float, L> pack = load<L>(source);
#pragma unroll
  for (int l = 0; l < L; ++l) target[l] = pack.values[l];
}

// How a projection's elements enter: (p - center) * scale, where scale = gain * rstd.
template <int L>
struct Affine {
  float center[L], scale[L], rstd[L];
};

struct Statistics {
  float* mean;  // see Problem::statistic
  float* rstd;
};

template <int L, class Cell, class T>
__device__ __forceinline__ Affine<L> affine_of(
    const Problem<Cell, T>& problem, const Statistics& statistics, int j, int part, int64_t sample, int channel) {
  Affine<L> affine;
  const int64_t k = j * problem.width + part * problem.shape.channels + channel;
  if (problem.norm == Norm::batch) {
    load_channels(statistics.mean + k, affine.center);
    load_channels(statistics.rstd + k, affine.rstd);
  } else {
    float center = 0.0f, rstd = 1.0f;
    if (problem.norm == Norm::layer) {
      const int64_t at = (j * problem.shape.batch + sample) * problem.norm_groups + (Cell::joint ? 0 : part);
      center = statistics.mean[at];
      rstd = statistics.rstd[at];
    }
#pragma unroll
    for (int l = 0; l < L; ++l) {
      affine.center[l] = center;
      affine.rstd[l] = rstd;
    }
  }
#pragma unroll
  for (int l = 0; l < L; ++l) affine.scale[l] = affine.rstd[l];
  if (problem.gain) {
    float gain[L];
    load_channels(problem.gain + k, gain);
#pragma unroll
    for (int l = 0; l < L; ++l) affine.scale[l] *= gain[l];
  }
  return affine;
}

template <int L, class Cell, class T>
__device__ __forceinline__ void load_bias(const Problem<Cell, T>& problem, int part, int channel, float (&bias)[L]) {
#pragma unroll
  for (int l = 0; l < L; ++l) bias[l] = 0.0f;
  if (problem.bias) load_channels(problem.bias + part * problem.shape.channels + channel, bias);
}

// The raw numbers of V neighbouring elements of an output, or their gradients.
template <class Cell, int J, class T, int V>
struct Inputs {
  Pack<T, V> projections[J][Cell::parts], extras[Cell::extras + 1];
  Pack<State<Cell, T>, V> states[Cell::states + 1];

  template <class Load>
  __device__ __forceinline__ void fetch(
      const Problem<Cell, T>& problem, int64_t projection, int64_t part_stride, int64_t output, Load load_pack) {
#pragma unroll
    for (int j = 0; j < J; ++j)
#pragma unroll
      for (int q = 0; q < Cell::parts; ++q)
        projections[j][q] = load_pack(problem.projections[j] + projection + q * part_stride);
#pragma unroll
    for (int e = 0; e < Cell::extras; ++e) extras[e] = load_pack(problem.extras[e] + output);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s) states[s] = load_pack(problem.states[s] + output);
  }

  __device__ __forceinline__ float projection(int j, int q, int v) const {
    return static_cast<float>(projections[j][q].values[v]);
  }

  // What a Cell takes beside its preactivations: extras, then states.
  __device__ __forceinline__ void beside(int v, float (&numbers)[Cell::extras + Cell::states + 1]) const {
#pragma unroll
    for (int e = 0; e < Cell::extras; ++e) numbers[e] = static_cast<float>(extras[e].values[v]);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s) numbers[Cell::extras + s] = static_cast<float>(states[s].values[v]);
  }
};

// The output and the new states of V neighbouring elements, or their gradients.
template <class Cell, class T, int V>
struct OutputPacks {
  Pack<T, V> output;
  Pack<State<Cell, T>, V> states[Cell::states + 1];
};

}  // namespace fastladder
