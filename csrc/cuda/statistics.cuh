// Means and deviations, by segments that one warp holds in registers and that are then merged in a fixed order.
#pragma once

#include "cuda/layout.cuh"

namespace fastladder {

constexpr int segment_loads = 8;  // of a thread
constexpr int segment_size(int V) { return segment_loads * warp * V; }

// The norm groups of a projection: `size` numbers each, in runs of `run`, whose starts are `stride` apart. Norm group g
// starts at g / per_outer * outer_stride + g % per_outer * inner_stride.
struct NormGroups {
  int64_t count;  // of one projection
  int64_t size, run, stride;
  int64_t per_outer, outer_stride, inner_stride;
  int64_t segments;  // of one norm group
  int64_t segment;   // numbers of each, but the last

  FASTLADDER_FORMULA int64_t start(int64_t g) const {
    return g / per_outer * outer_stride + g % per_outer * inner_stride;
  }
  FASTLADDER_FORMULA int64_t length(int64_t s) const {
    return size - s * segment < segment ? size - s * segment : segment;
  }
};

struct Moments {
  float mean;
  float squares;  // sum of squared differences from the mean
};

// By the whole warp, in all lanes. Two passes over registers: nothing is lost to a mean that is large.
template <int V, class T>
__device__ __forceinline__ Moments
moments_of_segment(const T* norm_group, const NormGroups& norm_groups, int64_t segment) {
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
  return {mean, warp_sum(squares)};
}

// Of a whole norm group, from those of its segments (2 numbers each), by the whole warp (Chan, Golub and LeVeque 1983).
__device__ __forceinline__ Moments merge_moments(const float* partials, const NormGroups& norm_groups) {
  const int lane = threadIdx.x % warp;
  const float shift = __ldcg(partials);  // the first mean: the others differ from it by little
  float weighted = 0.0f, squares = 0.0f;
  for (int64_t s = lane; s < norm_groups.segments; s += warp)
    weighted += norm_groups.length(s) * (__ldcg(partials + 2 * s) - shift);
  const float mean = shift + warp_sum(weighted) / norm_groups.size;
  for (int64_t s = lane; s < norm_groups.segments; s += warp) {
    const float difference = __ldcg(partials + 2 * s) - mean;
    squares += __ldcg(partials + 2 * s + 1) + norm_groups.length(s) * difference * difference;
  }
  return {mean, warp_sum(squares)};
}

__device__ __forceinline__ void store_statistics(
    const Statistics& statistics, int64_t at, const Moments& moments, const NormGroups& norm_groups, float eps) {
  statistics.mean[at] = moments.mean;
  statistics.rstd[at] = rsqrtf(moments.squares / norm_groups.size + eps);
}

// Segment `task` of all those of a projection's norm groups, counted over one projection after the other.
template <int V, class T>
__device__ __forceinline__ void segment_task(
    const T* const* projections, const NormGroups& norm_groups, int64_t norm_group, int64_t segment, float* partials,
    const Statistics& statistics, float eps) {
  const int64_t j = norm_group / norm_groups.count;
  const T* projection = j == 0 ? projections[0] : j == 1 ? projections[1] : projections[2];
  const Moments moments =
      moments_of_segment<V>(projection + norm_groups.start(norm_group - j * norm_groups.count), norm_groups, segment);
  if (threadIdx.x % warp != 0) return;
  if (norm_groups.segments == 1) {
    store_statistics(statistics, norm_group, moments, norm_groups, eps);
  } else {
    partials[2 * (norm_group * norm_groups.segments + segment)] = moments.mean;
    partials[2 * (norm_group * norm_groups.segments + segment) + 1] = moments.squares;
  }
}

__device__ __forceinline__ void merge_task(
    int64_t norm_group, const NormGroups& norm_groups, const float* partials, const Statistics& statistics, float eps) {
  const Moments moments = merge_moments(partials + 2 * norm_group * norm_groups.segments, norm_groups);
  if (threadIdx.x % warp == 0) store_statistics(statistics, norm_group, moments, norm_groups, eps);
}

template <class T>
struct MomentsCall {
  const T* projections[3];  // count of them
  int64_t count;
  NormGroups norm_groups;
  float* partials;        // (count, norm_groups, segments, 2)
  Statistics statistics;  // (count, norm_groups)
  float eps;
};

// The first stage for norm groups that lie in runs: a warp a segment.
template <int V, class T>
__global__ void __launch_bounds__(threads) segment_moments_kernel(const __grid_constant__ MomentsCall<T> call) {
  const int64_t task = int64_t(blockIdx.x) * warps + threadIdx.x / warp;
  const NormGroups& norm_groups = call.norm_groups;
  if (task >= call.count * norm_groups.count * norm_groups.segments) return;
  segment_task<V>(
      call.projections, norm_groups, task / norm_groups.segments, task % norm_groups.segments, call.partials,
      call.statistics, call.eps);
}

// The first stage where every column of a (size, count) matrix is a norm group: a thread takes V columns of a segment
// of rows. blockIdx: block of columns, segment, projection.
template <int V, class T>
__global__ void __launch_bounds__(threads) column_moments_kernel(const __grid_constant__ MomentsCall<T> call) {
  constexpr int batch = 8;  // rows in registers
  const NormGroups& norm_groups = call.norm_groups;
  const int64_t column = (int64_t(blockIdx.x) * warp + threadIdx.x % warp) * V, segment = blockIdx.y;
  const int j = blockIdx.z, row_of_block = threadIdx.x / warp;
  const T* source = (j == 0   ? call.projections[0]
                     : j == 1 ? call.projections[1]
                              : call.projections[2]) +
                    segment * norm_groups.segment * norm_groups.stride + column;
  const int64_t rows = norm_groups.length(segment);
  float count = 0.0f, mean[V], squares[V];
#pragma unroll
  for (int v = 0; v < V; ++v) mean[v] = squares[v] = 0.0f;
  if (column < norm_groups.count) {
    for (int64_t row = row_of_block; row < rows; row += batch * warps) {
      Pack<T, V> packs[batch];
      int filled = 0;
#pragma unroll
      for (int i = 0; i < batch; ++i)
        if (row + i * warps < rows) {
          packs[i] = load<V>(source + (row + i * warps) * norm_groups.stride);
          ++filled;
        }
      const float total = count + filled, share = filled / total, inverse = 1.0f / filled;
#pragma unroll
      for (int v = 0; v < V; ++v) {
        float sum = 0.0f, deviation = 0.0f;
#pragma unroll
        for (int i = 0; i < batch; ++i)
          if (i < filled) sum += static_cast<float>(packs[i].values[v]);
        const float own_mean = sum * inverse, delta = own_mean - mean[v];
#pragma unroll
        for (int i = 0; i < batch; ++i)
          if (i < filled) {
            const float difference = static_cast<float>(packs[i].values[v]) - own_mean;
            deviation += difference * difference;
          }
        mean[v] += delta * share;
        squares[v] += deviation + delta * delta * count * share;
      }
      count = total;
    }
  }
  __shared__ float counts[threads], means[threads], deviations[threads];
#pragma unroll
  for (int v = 0; v < V; ++v) {
    __syncthreads();
    counts[threadIdx.x] = count;
    means[threadIdx.x] = mean[v];
    deviations[threadIdx.x] = squares[v];
    __syncthreads();
    if (threadIdx.x < warp && column < norm_groups.count) {
      float whole = counts[threadIdx.x], middle = means[threadIdx.x], sum = deviations[threadIdx.x];
      for (int other = threadIdx.x + warp; other < threads; other += warp) {
        if (counts[other] == 0.0f) continue;
        const float total = whole + counts[other], delta = means[other] - middle, share = counts[other] / total;
        middle += delta * share;
        sum += deviations[other] + delta * delta * whole * share;
        whole = total;
      }
      float* target = call.partials + 2 * ((j * norm_groups.count + column + v) * norm_groups.segments + segment);
      target[0] = middle;
      target[1] = sum;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(threads) merge_moments_kernel(const __grid_constant__ MomentsCall<T> call) {
  const int64_t norm_group = int64_t(blockIdx.x) * warps + threadIdx.x / warp;
  if (norm_group < call.count * call.norm_groups.count)
    merge_task(norm_group, call.norm_groups, call.partials, call.statistics, call.eps);
}

}  // namespace fastladder
