// The preactivations of V neighbouring elements of an output,
//
//   a = sum_j gain_j xhat_j + bias,   xhat = (p - mean) * rstd,
//
// from raw numbers: what outputs, sums and gradients begin with.
#pragma once

#include "cuda/layout.cuh"

namespace fastladder {

// The raw numbers of V neighbouring elements of an output, or their gradients.
template <class Cell, int J, class T, int V>
struct Inputs {
  Pack<T, V> projections[J][Cell::parts], extras[Cell::extras + 1];
  Pack<State<Cell, T>, V> states[Cell::states + 1];

  template <class Load>
  __device__ __forceinline__ void fetch(const Problem<Cell, T>& problem, const Place& place, Load load_pack) {
#pragma unroll
    for (int j = 0; j < J; ++j)
#pragma unroll
      for (int q = 0; q < Cell::parts; ++q)
        projections[j][q] = load_pack(problem.projections[j] + place.projection + q * place.part_stride);
#pragma unroll
    for (int e = 0; e < Cell::extras; ++e) extras[e] = load_pack(problem.extras[e] + place.output);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s) states[s] = load_pack(problem.states[s] + place.output);
  }

  __device__ __forceinline__ float projection(int j, int q, int v) const {
    return static_cast<float>(projections[j][q].values[v]);
  }
};

// The output and the new states of V neighbouring elements, or their gradients.
template <class Cell, class T, int V>
struct OutputPacks {
  Pack<T, V> output;
  Pack<State<Cell, T>, V> states[Cell::states + 1];
};

struct Statistics {
  float *mean, *rstd;  // see Problem::statistics; null without a norm
};

// The normalisation of a part of a projection, for L neighbouring channels or, where L is 1, for one: each element
// becomes (p - mean) * scale, where scale is gain * rstd.
template <int L>
struct Affine {
  Pack<float, L> mean, rstd, scale;

  __device__ __forceinline__ float apply(float p, int v) const {
    return (p - mean.values[v % L]) * scale.values[v % L];
  }

  __device__ __forceinline__ float xhat(float p, int v) const { return (p - mean.values[v % L]) * rstd.values[v % L]; }
};

// The parameters and statistics of L neighbouring channels of a sample, from `channel` on. They are loaded where they
// are used, since there are too few registers to hold all of them.
template <int L_, class Cell, class T>
struct Coefficients {
  static constexpr int L = L_;
  const Problem<Cell, T>& problem;
  const Statistics& statistics;
  int64_t sample;
  int channel;

  __device__ __forceinline__ Pack<float, L> of_channels(const float* parameter, int64_t row) const {
    return load<L>(parameter + row * problem.shape.channels + channel);
  }

  // Two numbers of a norm group, from arrays in the layout of the statistics; the missing ones without a norm.
  struct Pair {
    Pack<float, L> first, second;
  };
  __device__ __forceinline__ Pair of_norm_group(
      const float* first, const float* second, int j, int q, float missing_first, float missing_second) const {
    if (problem.norm == Norm::batch)
      return {of_channels(first, j * Cell::parts + q), of_channels(second, j * Cell::parts + q)};
    if (problem.norm == Norm::layer) {
      const int64_t norm_group = problem.norm_group(j, sample, q);
      missing_first = __ldg(first + norm_group);
      missing_second = __ldg(second + norm_group);
    }
    return {broadcast<L>(missing_first), broadcast<L>(missing_second)};
  }

  __device__ __forceinline__ Affine<L> affine(int j, int q) const {
    const Pair moments = of_norm_group(statistics.mean, statistics.rstd, j, q, 0.0f, 1.0f);
    Affine<L> affine{moments.first, moments.second, moments.second};
    if (problem.gain) {
      const Pack<float, L> gain = of_channels(problem.gain, j * Cell::parts + q);
#pragma unroll
      for (int l = 0; l < L; ++l) affine.scale.values[l] *= gain.values[l];
    }
    return affine;
  }

  __device__ __forceinline__ Pack<float, L> bias(int q) const {
    return problem.bias ? of_channels(problem.bias, q) : broadcast<L>(0.0f);
  }

  __device__ __forceinline__ Pack<float, L> weight(int w) const { return load<L>(problem.weight(w) + channel); }
};

// Elements whose preactivations a thread has at a time, of the V that it loads, and the channels of these.
template <int V, bool channels_last>
constexpr int elements_at_once = channels_last && V > 4 ? 4 : V;
template <int V, bool channels_last>
constexpr int channels_at_once = channels_last ? elements_at_once<V, channels_last> : 1;

// Calls use(v, a, beside, weights) for elements v from `first` on, `count` of them, with the inputs of a Cell for each.
template <int count, class Cell, int J, class T, int V, class Source, class Use>
__device__ __forceinline__ void for_elements(
    const Inputs<Cell, J, T, V>& inputs, int first, const Source& coefficients, Use use) {
  constexpr int L = Source::L;
  float all[Cell::parts][count];
#pragma unroll
  for (int q = 0; q < Cell::parts; ++q) {
    const Pack<float, L> bias = coefficients.bias(q);
#pragma unroll
    for (int v = 0; v < count; ++v) all[q][v] = bias.values[v % L];
#pragma unroll
    for (int j = 0; j < J; ++j) {
      const Affine<L> affine = coefficients.affine(j, q);
#pragma unroll
      for (int v = 0; v < count; ++v) all[q][v] += affine.apply(inputs.projection(j, q, first + v), v);
    }
  }
  Pack<float, L> of_channels[Cell::weights + 1];
#pragma unroll
  for (int w = 0; w < Cell::weights; ++w) of_channels[w] = coefficients.weight(w);
#pragma unroll
  for (int v = 0; v < count; ++v) {
    float a[Cell::parts], beside[Cell::extras + Cell::states + 1], weights[Cell::weights + 1];
#pragma unroll
    for (int q = 0; q < Cell::parts; ++q) a[q] = all[q][v];
#pragma unroll
    for (int e = 0; e < Cell::extras; ++e) beside[e] = static_cast<float>(inputs.extras[e].values[first + v]);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s)
      beside[Cell::extras + s] = static_cast<float>(inputs.states[s].values[first + v]);
#pragma unroll
    for (int w = 0; w < Cell::weights; ++w) weights[w] = of_channels[w].values[v % L];
    use(first + v, a, beside, weights);
  }
}

}  // namespace fastladder
