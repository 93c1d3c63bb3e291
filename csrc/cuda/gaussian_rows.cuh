// The kernels of gaussian_merge, gaussian_kl and merge_sample_kl. V neighbouring elements of one row are a pack.
#pragma once

#include "cuda/device.cuh"
#include "operators/gaussian.h"

namespace fastladder {

// Runs the formula over the pack that begins with an element; returns the sum of its terms.
template <class Formula, bool is_backward, int V, class T>
__device__ __forceinline__ float run_gaussian_pack(
    const GaussianProblem<T>& problem, int64_t element, float sum_gradient) {
  constexpr int written = is_backward ? Formula::inputs : Formula::outputs;
  Pack<T, V> inputs[Formula::inputs], gradients[most_outputs], results[most_inputs];
#pragma unroll
  for (int i = 0; i < Formula::inputs; ++i) inputs[i] = load<V>(problem.inputs[i] + element);
#pragma unroll
  for (int o = 0; o < (is_backward ? Formula::outputs : 0); ++o)
    gradients[o] = problem.gradients[o] ? load<V>(problem.gradients[o] + element) : broadcast<V>(static_cast<T>(0.0f));
  float sum = 0.0f;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    float input[Formula::inputs], gradient[most_outputs], result[most_inputs];
#pragma unroll
    for (int i = 0; i < Formula::inputs; ++i) input[i] = static_cast<float>(inputs[i].values[v]);
    if constexpr (is_backward) {
#pragma unroll
      for (int o = 0; o < Formula::outputs; ++o) gradient[o] = static_cast<float>(gradients[o].values[v]);
      Formula::backward(input, gradient, sum_gradient, result);
    } else {
      sum += Formula::forward(input, result);
    }
#pragma unroll
    for (int r = 0; r < written; ++r) results[r].values[v] = static_cast<T>(result[r]);
  }
#pragma unroll
  for (int r = 0; r < written; ++r) store<V>(problem.results[r] + element, results[r]);
  return sum;
}

// A team of threads, of one warp, goes over one of the rows and adds up its terms.
template <class T>
struct GaussianRowsCall {
  GaussianProblem<T> problem;
  int team;  // threads, a power of two
};

template <class Formula, int V, class T>
__global__ void __launch_bounds__(threads) gaussian_rows_kernel(const __grid_constant__ GaussianRowsCall<T> call) {
  const GaussianProblem<T>& problem = call.problem;
  const int64_t row = int64_t(blockIdx.x) * (threads / call.team) + threadIdx.x / call.team;
  const int lane = threadIdx.x % call.team;
  float sum = 0.0f;
  for (int64_t i = lane * V; row < problem.rows && i < problem.size; i += call.team * V)
    sum += run_gaussian_pack<Formula, false, V>(problem, row * problem.size + i, 0.0f);
  sum = team_sum(sum, call.team);
  if (lane == 0 && row < problem.rows) problem.sums[row] = sum;
}

// One pass over the elements, a pack a thread, where no terms are added up.
template <class Formula, bool is_backward, int V, class T>
__global__ void __launch_bounds__(threads)
    gaussian_elements_kernel(const __grid_constant__ GaussianProblem<T> problem) {
  const int64_t element = (int64_t(blockIdx.x) * threads + threadIdx.x) * V;
  if (element >= problem.elements()) return;
  run_gaussian_pack<Formula, is_backward, V>(problem, element, problem.sum_gradient(element / problem.size));
}

}  // namespace fastladder
