// The kernel of the family grouping.
#pragma once

#include "cuda/grouping_pixels.cuh"

namespace fastladder {

// The sum over all threads of a team, returned to each of them. Every thread of the block takes part.
__device__ __forceinline__ float sum_of_team(float x, int team) {
  x = team_sum(x, team < warp ? team : warp);
  if (team <= warp) return x;
  __shared__ float shared[warps];
  if (threadIdx.x % warp == 0) shared[threadIdx.x / warp] = x;
  __syncthreads();
  float sum = 0.0f;
  for (int w = 0; w < team / warp; ++w) sum += shared[threadIdx.x / team * (team / warp) + w];
  return sum;
}

// A team of threads shares a piece of a sample.
template <class T>
struct GroupCall {
  GroupingProblem<T> problem;
  float* partials;  // (N, pieces): what the formula sums over every piece, or null
  int team;         // threads, a power of two
  int64_t pieces;   // of a sample
  int64_t piece_pixels;
};

// With `most` = 0 there may be any number of groups, and V is 1.
template <class Formula, bool is_backward, int most, int V, class T>
__global__ void __launch_bounds__(threads, resident) group_kernel(const __grid_constant__ GroupCall<T> call) {
  const GroupingProblem<T>& problem = call.problem;
  const int64_t task = int64_t(blockIdx.x) * (threads / call.team) + threadIdx.x / call.team;
  const int64_t n = task / call.pieces, begin = task % call.pieces * call.piece_pixels;
  const int64_t end = smaller(problem.pixels, begin + call.piece_pixels);
  const float variance = problem.variance ? __ldg(problem.variance) : 1.0f;
  const Noise<float> noise = noise_of<float>(variance, static_cast<float>(problem.flip));
  float sum = 0.0f;
  for (int64_t i = begin + threadIdx.x % call.team * V; n < problem.batch && i < end; i += call.team * V) {
    if constexpr (most > 0)
      sum += run_packs<Formula, is_backward, most, V>(problem, noise, n, i);
    else
      sum += run_cached<Formula, is_backward>(problem, noise, n, i);
  }
  if (!call.partials) return;
  sum = sum_of_team(sum, call.team);
  if (threadIdx.x % call.team == 0 && n < problem.batch) call.partials[task] = sum;
}

}  // namespace fastladder
