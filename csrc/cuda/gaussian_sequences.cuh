// The kernels of wiener_kl. V neighbouring dimensions of one time step of one sample are a pack.
#pragma once

#include "cuda/device.cuh"
#include "operators/wiener_kl.h"

namespace fastladder {

// V dimensions from an element of (T, N, D) on; 0 before the first time step.
template <int V, class T>
struct StepPack {
  Pack<T, V> mean, variance;

  __device__ __forceinline__ StepPack(const SequenceProblem<T>& problem, int64_t element) {
    const bool exists = element >= 0;
    mean = exists ? load<V>(problem.mean + element) : broadcast<V>(static_cast<T>(0.0f));
    variance = exists ? load<V>(problem.variance + element) : broadcast<V>(static_cast<T>(0.0f));
  }
  __device__ __forceinline__ MeanAndVariance<float> operator[](int v) const {
    return {static_cast<float>(mean.values[v]), static_cast<float>(variance.values[v])};
  }
};

// A team of threads, of one warp, adds up one of the T * N rows.
template <class T>
struct SequenceSumCall {
  SequenceProblem<T> problem;
  int team;  // threads, a power of two
};

template <class Formula, int V, class T>
__global__ void __launch_bounds__(threads) sequence_sum_kernel(const __grid_constant__ SequenceSumCall<T> call) {
  const SequenceProblem<T>& problem = call.problem;
  const int64_t row = int64_t(blockIdx.x) * (threads / call.team) + threadIdx.x / call.team;
  const int lane = threadIdx.x % call.team;
  float sum = 0.0f;
  for (int64_t i = lane * V; row < problem.rows() && i < problem.features; i += call.team * V) {
    const int64_t element = row * problem.features + i;
    const StepPack<V, T> before(problem, element - problem.step_elements()), here(problem, element);
#pragma unroll
    for (int v = 0; v < V; ++v) sum += Formula::forward(before[v], here[v]);
  }
  sum = team_sum(sum, call.team);
  if (lane == 0 && row < problem.rows()) problem.sums[row] = sum;
}

// One pass over the elements, a pack a thread.
template <class Formula, int V, class T>
__global__ void __launch_bounds__(threads)
    sequence_gradient_kernel(const __grid_constant__ SequenceProblem<T> problem) {
  const int64_t element = (int64_t(blockIdx.x) * threads + threadIdx.x) * V, row = element / problem.features;
  if (row >= problem.rows()) return;
  const bool has_next = row + problem.batch < problem.rows();
  const StepPack<V, T> before(problem, element - problem.step_elements()), here(problem, element);
  const StepPack<V, T> after = has_next ? StepPack<V, T>(problem, element + problem.step_elements()) : here;
  const float scale = problem.sum_gradient(row), next_scale = has_next ? problem.sum_gradient(row + problem.batch) : 0;
  Pack<T, V> of_mean, of_variance;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    MeanAndVariance<float> gradient = Formula::by_here(before[v], here[v]);
    gradient = {scale * gradient.mean, scale * gradient.variance};
    if (has_next) {
      const MeanAndVariance<float> next = Formula::by_before(here[v], after[v]);
      gradient = {gradient.mean + next_scale * next.mean, gradient.variance + next_scale * next.variance};
    }
    of_mean.values[v] = static_cast<T>(gradient.mean);
    of_variance.values[v] = static_cast<T>(gradient.variance);
  }
  store<V>(problem.mean_gradient + element, of_mean);
  store<V>(problem.variance_gradient + element, of_variance);
}

}  // namespace fastladder
