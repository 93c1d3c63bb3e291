// Means and deviations of norm groups that lie in runs. A warp holds a segment of a norm group in registers; the
// moments of segments are then merged in a fixed order.
#pragma once

#include "cuda/preactivation.cuh"
#include "formulas/sample_moments.h"

namespace fastladder {

constexpr int segment_loads = 8;  // of a thread

// The elements that share a mean: `size` numbers in runs of `run`, whose starts are `stride` apart. Group g of a
// projection starts at g / per_outer * outer_stride + g % per_outer * inner_stride.
struct NormGroups {
  int64_t count;  // of one projection
  int64_t size, run, stride;
  int64_t per_outer, outer_stride, inner_stride;
  int64_t segment, segments;  // numbers of each segment but the last, and segments of one norm group

  FASTLADDER_FORMULA int64_t start(int64_t g) const {
    return g / per_outer * outer_stride + g % per_outer * inner_stride;
  }
  FASTLADDER_FORMULA int64_t length(int64_t s) const { return smaller(size - s * segment, segment); }
};

template <class T>
struct StatisticsCall {
  const T* projections[3];  // count of them
  int64_t count;
  NormGroups norm_groups;
  float* partials;         // (count, norm_groups, segments, 2): mean and squares of every segment
  Statistics statistics;   // of the first norm group
  int64_t next_statistic;  // from those of one projection to those of the next
  float eps;

  __device__ __forceinline__ const T* projection(int64_t j) const {
    return j == 0 ? projections[0] : j == 1 ? projections[1] : projections[2];
  }

  __device__ __forceinline__ void store_statistics(int64_t j, int64_t norm_group, const Moments<float>& moments) const {
    statistics.mean[j * next_statistic + norm_group] = moments.mean;
    statistics.rstd[j * next_statistic + norm_group] = rsqrtf(moments.squares / norm_groups.size + eps);
  }

  __device__ __forceinline__ void store_partial(
      int64_t j, int64_t norm_group, int64_t segment, const Moments<float>& moments) const {
    float* target = partials + 2 * ((j * norm_groups.count + norm_group) * norm_groups.segments + segment);
    target[0] = moments.mean;
    target[1] = moments.squares;
  }
};

// The moments of a segment, which the whole warp computes, in all its lanes. Two passes over registers lose nothing to
// a large mean.
template <int V, class T>
__device__ __forceinline__ Moments<float> moments_of_segment(
    const T* norm_group, const NormGroups& norm_groups, int64_t segment) {
  const int lane = threadIdx.x % warp;
  const int length = norm_groups.length(segment);
  const int64_t first = segment * norm_groups.segment, run_index = first / norm_groups.run;
  const unsigned rest = first - run_index * norm_groups.run, run = norm_groups.run;
  const bool one_run = norm_groups.run == norm_groups.size;
  norm_group += run_index * norm_groups.stride;
  Pack<T, V> packs[segment_loads];
#pragma unroll
  for (int i = 0; i < segment_loads; ++i) {
    const int at = (i * warp + lane) * V;
    if (at < length) {
      const unsigned runs = one_run ? 0 : (rest + at) / run;
      packs[i] = load<V>(norm_group + runs * norm_groups.stride + (rest + at - runs * run));
    }
  }
  float sum = 0.0f;
#pragma unroll
  for (int i = 0; i < segment_loads; ++i)
    if ((i * warp + lane) * V < length)
#pragma unroll
      for (int v = 0; v < V; ++v) sum += static_cast<float>(packs[i].values[v]);
  const float mean = warp_sum(sum) / length;
  float squares = 0.0f;
#pragma unroll
  for (int i = 0; i < segment_loads; ++i)
    if ((i * warp + lane) * V < length)
#pragma unroll
      for (int v = 0; v < V; ++v) {
        const float difference = static_cast<float>(packs[i].values[v]) - mean;
        squares += difference * difference;
      }
  return {static_cast<float>(length), mean, warp_sum(squares)};
}

// A warp for every segment; where it is the whole of its norm group, nothing is left to merge.
template <int V, class T>
__global__ void __launch_bounds__(threads) segment_moments_kernel(const __grid_constant__ StatisticsCall<T> call) {
  const NormGroups& norm_groups = call.norm_groups;
  const int64_t task = int64_t(blockIdx.x) * warps + threadIdx.x / warp, all = task / norm_groups.segments;
  if (all >= call.count * norm_groups.count) return;
  const int64_t j = all / norm_groups.count, norm_group = all % norm_groups.count,
                segment = task % norm_groups.segments;
  const Moments<float> moments =
      moments_of_segment<V>(call.projection(j) + norm_groups.start(norm_group), norm_groups, segment);
  if (threadIdx.x % warp != 0) return;
  if (norm_groups.segments == 1)
    call.store_statistics(j, norm_group, moments);
  else
    call.store_partial(j, norm_group, segment, moments);
}

// The moments of the numbers of all lanes, in the first lane.
__device__ __forceinline__ Moments<float> merge_lanes(Moments<float> moments) {
#pragma unroll
  for (int distance = warp / 2; distance > 0; distance /= 2) {
    const auto from_other = [&](float x) { return __shfl_xor_sync(0xffffffffu, x, distance); };
    moments.merge({from_other(moments.count), from_other(moments.mean), from_other(moments.squares)});
  }
  return moments;
}

// A warp for every norm group.
template <class T>
__global__ void __launch_bounds__(threads) merge_moments_kernel(const __grid_constant__ StatisticsCall<T> call) {
  const NormGroups& norm_groups = call.norm_groups;
  const int64_t all = int64_t(blockIdx.x) * warps + threadIdx.x / warp;
  if (all >= call.count * norm_groups.count) return;
  Moments<float> moments{0.0f, 0.0f, 0.0f};
  for (int64_t segment = threadIdx.x % warp; segment < norm_groups.segments; segment += warp) {
    const Pack<float, 2> partial = load<2>(call.partials + 2 * (all * norm_groups.segments + segment));
    moments.merge({static_cast<float>(norm_groups.length(segment)), partial.values[0], partial.values[1]});
  }
  moments = merge_lanes(moments);
  if (threadIdx.x % warp == 0) call.store_statistics(all / norm_groups.count, all % norm_groups.count, moments);
}

}  // namespace fastladder
