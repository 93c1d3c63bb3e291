// Sums over the middle dimension of an array (outer, length, inner), always in the same order.
#pragma once

#include "cuda/launch.cuh"

namespace fastladder {

// A block sums a piece of the length for some neighbours along the inner dimension, and gives the sums to
// target(piece of outer, inner, sum).
template <class Target>
struct SumCall {
  const float* numbers;
  int64_t length, inner;
  int64_t piece, pieces;  // of the length
  int columns;            // threads along the inner dimension, a power of two
  int64_t column_blocks;
  Target target;
};

template <class Target>
__global__ void __launch_bounds__(threads) sum_kernel(const __grid_constant__ SumCall<Target> call) {
  const int64_t outer_piece = blockIdx.x / call.column_blocks, outer = outer_piece / call.pieces;
  const int64_t begin = outer_piece % call.pieces * call.piece, end = smaller(begin + call.piece, call.length);
  const int64_t column = blockIdx.x % call.column_blocks * call.columns + threadIdx.x % call.columns;
  float sum[1] = {0.0f};
  if (column < call.inner)
    for (int64_t i = begin + threadIdx.x / call.columns; i < end; i += threads / call.columns)
      sum[0] += __ldg(call.numbers + (outer * call.length + i) * call.inner + column);
  column_sums(sum, call.columns);
  if (static_cast<int>(threadIdx.x) < call.columns && column < call.inner) call.target(outer_piece, column, sum[0]);
}

// The sums as an array (outer, inner).
struct SumArray {
  float* sums;
  int64_t inner;

  __device__ __forceinline__ void operator()(int64_t outer, int64_t i, float sum) const {
    sums[outer * inner + i] = sum;
  }
};

// More numbers than a block can add up quickly are first summed in pieces.
template <class Target>
void add_up(Device& device, const float* numbers, int64_t outer, int64_t length, int64_t inner, const Target& target) {
  constexpr int64_t most = 256, least_piece = 64;
  const int columns = std::min<int64_t>(power_of_two_from(inner), warp);
  const int64_t column_blocks = divide_up(inner, columns);
  if (length > most) {
    const int64_t piece = std::max(divide_up(length, most), least_piece), pieces = divide_up(length, piece);
    float* sums = device.scratch<float>(outer * pieces * inner);
    const SumCall<SumArray> call{numbers, length, inner, piece, pieces, columns, column_blocks, {sums, inner}};
    device.launch(sum_kernel<SumArray>, {outer * pieces * column_blocks}, call);
    numbers = sums;
    length = pieces;
  }
  const SumCall<Target> call{numbers, length, inner, length, 1, columns, column_blocks, target};
  device.launch(sum_kernel<Target>, {outer * column_blocks}, call);
}

}  // namespace fastladder
