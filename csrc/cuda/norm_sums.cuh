// Layer norm: the sums of grad and of grad * xhat over segments of every sample, from which the means over norm groups
// follow (see preactivation_gradients.cuh).
#pragma once

#include "cuda/preactivation_gradients.cuh"

namespace fastladder {

template <class Cell, class T>
struct NormSumsCall {
  Problem<Cell, T> problem;
  Statistics statistics;
  Gradients<Cell, T> gradients;
  Chunk chunk;
  int64_t segments;  // of a sample's outputs
  int64_t segment_outputs;
  float* partials;  // (chunk, segments, 2, J, norm groups)
};

template <class Cell, class T>
constexpr int norm_sums(int J) {
  return 2 * J * Problem<Cell, T>::norm_groups;
}

// Adds what V neighbouring elements contribute to both sums of every norm group.
template <bool channels_last, int V, class Cell, int J, class T>
__device__ __forceinline__ void add_norm_sums(
    const NormSumsCall<Cell, T>& call, const Place& place, float (&sums)[norm_sums<Cell, T>(J)]) {
  constexpr int norm_groups = Problem<Cell, T>::norm_groups;
  constexpr int step = elements_at_once<V, channels_last>, L = channels_at_once<V, channels_last>;
  const auto load_pack = [](const auto* p) { return load<V>(p); };
  Inputs<Cell, J, T, V> inputs;
  inputs.fetch(call.problem, place, load_pack);
  const OutputPacks<Cell, T, V> grads = fetch_gradients<V>(call.gradients, place, load_pack);
#pragma unroll
  for (int first = 0; first < V; first += step) {
    const Coefficients<L, Cell, T> coefficients{
        call.problem, call.statistics, place.sample, place.channel + (channels_last ? first : 0)};
    float grad_a[Cell::parts][step];
    for_elements<step>(inputs, first, coefficients, [&](int v, const auto& a, const auto& beside, const auto& weights) {
      const ElementGradients<Cell> element(a, beside, weights, grads, v);
#pragma unroll
      for (int q = 0; q < Cell::parts; ++q) grad_a[q][v - first] = element.a[q];
    });
#pragma unroll
    for (int q = 0; q < Cell::parts; ++q)
#pragma unroll
      for (int j = 0; j < J; ++j) {
        const Affine<L> affine = coefficients.affine(j, q);
        const int norm_group = j * norm_groups + (norm_groups == 1 ? 0 : q);
#pragma unroll
        for (int v = 0; v < step; ++v) {
          const float grad = affine.scale.values[v % L] * grad_a[q][v];
          sums[norm_group] += grad;
          sums[J * norm_groups + norm_group] += grad * affine.xhat(inputs.projection(j, q, first + v), v);
        }
      }
  }
}

// A warp for every segment.
template <class Cell, int J, int V, bool channels_last, class T>
__global__ void __launch_bounds__(threads, resident)
    norm_sums_kernel(const __grid_constant__ NormSumsCall<Cell, T> call) {
  constexpr int all_sums = norm_sums<Cell, T>(J);
  const Shape& shape = call.problem.shape;
  const int64_t task = int64_t(blockIdx.x) * warps + threadIdx.x / warp;
  if (task >= call.chunk.size() * call.segments) return;
  const int64_t sample = call.chunk.begin + task / call.segments;
  const int64_t begin = task % call.segments * call.segment_outputs;
  const int count = smaller(call.segment_outputs, shape.channels * shape.pixels - begin), lane = threadIdx.x % warp;
  float sums[all_sums];
#pragma unroll
  for (float& sum : sums) sum = 0.0f;
  for (int offset = lane * V; offset < count; offset += warp * V)
    add_norm_sums<channels_last, V, Cell, J>(call, place_of(shape, Cell::parts, sample, begin + offset), sums);
#pragma unroll
  for (int s = 0; s < all_sums; ++s) {
    const float sum = warp_sum(sums[s]);
    if (lane == 0) call.partials[task * all_sums + s] = sum;
  }
}

// Takes the sums over a chunk of samples, (samples, 2, J, norm groups), and makes means of them.
struct LayerMeans {
  NormMeans means;
  int64_t first_sample, batch, count, norm_groups;
  float inverse_size;

  __device__ __forceinline__ void operator()(int64_t sample, int64_t i, float sum) const {
    const int64_t j = i / norm_groups % count, norm_group = i % norm_groups;
    float* target = i < count * norm_groups ? means.mean_grad : means.mean_grad_xhat;
    target[(j * batch + first_sample + sample) * norm_groups + norm_group] = sum * inverse_size;
  }
};

}  // namespace fastladder
