// Means and deviations where every column of a matrix is a norm group: batch norm with channels side by side.
#pragma once

#include "cuda/statistics.cuh"

namespace fastladder {

constexpr int rows_at_once = 8;

// Adds to the moments of V columns the rows `source`, `source + stride`, ..., of which `rows` are left, but at most
// `rows_at_once`.
template <int V, class T>
__device__ __forceinline__ void add_rows(const T* source, int64_t stride, int64_t rows, Moments<float> (&moments)[V]) {
  Pack<T, V> packs[rows_at_once];
#pragma unroll
  for (int i = 0; i < rows_at_once; ++i)
    if (i < rows) packs[i] = load<V>(source + i * stride);
  const float count = smaller(rows, rows_at_once), inverse = __fdividef(1.0f, count);
#pragma unroll
  for (int v = 0; v < V; ++v) {
    float sum = 0.0f, squares = 0.0f;
#pragma unroll
    for (int i = 0; i < rows_at_once; ++i)
      if (i < rows) sum += static_cast<float>(packs[i].values[v]);
    const float mean = sum * inverse;
#pragma unroll
    for (int i = 0; i < rows_at_once; ++i)
      if (i < rows) {
        const float difference = static_cast<float>(packs[i].values[v]) - mean;
        squares += difference * difference;
      }
    moments[v].merge({count, mean, squares});
  }
}

// A thread takes V columns, its block 32 times as many of a segment of the rows. blockIdx: columns, segment,
// projection.
template <int V, class T>
__global__ void __launch_bounds__(threads) column_moments_kernel(const __grid_constant__ StatisticsCall<T> call) {
  const NormGroups& norm_groups = call.norm_groups;
  const int64_t column = (int64_t(blockIdx.x) * warp + threadIdx.x % warp) * V, segment = blockIdx.y;
  const int64_t rows = norm_groups.length(segment);
  const T* source = call.projection(blockIdx.z) + segment * norm_groups.segment * norm_groups.stride + column;
  const bool active = column < norm_groups.count;
  Moments<float> moments[V];
#pragma unroll
  for (int v = 0; v < V; ++v) moments[v] = {0.0f, 0.0f, 0.0f};
  for (int64_t row = threadIdx.x / warp; active && row < rows; row += rows_at_once * warps)
    add_rows<V>(source + row * norm_groups.stride, warps * norm_groups.stride, divide_up(rows - row, warps), moments);
  __shared__ Moments<float> shared[V][threads];
#pragma unroll
  for (int v = 0; v < V; ++v) shared[v][threadIdx.x] = moments[v];
  __syncthreads();
  if (threadIdx.x >= warp || !active) return;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    for (int other = threadIdx.x + warp; other < threads; other += warp) moments[v].merge(shared[v][other]);
    call.store_partial(blockIdx.z, column + v, segment, moments[v]);
  }
}

}  // namespace fastladder
