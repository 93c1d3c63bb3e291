// The kernel of the family gaussian: a thread takes V neighbouring dimensions of a sample through some time steps.
#pragma once

#include "cuda/device.cuh"
#include "operators/gaussian.h"

namespace fastladder {

// A walk is V dimensions of a sample through a piece of the time. A team of threads shares a portion of a sample's.
template <class T>
struct SequenceCall {
  SequenceProblem<T> problem;
  float* partials;             // (N, portions): what the formula sums over every portion; null in a backward pass
  int team;                    // threads, a power of two
  int64_t portions;            // of a sample
  int64_t piece_steps, packs;  // time steps of a walk; walks side by side, of one piece
};

// V dimensions at one time step; 0 before the first step.
template <int V, class T>
struct StepPack {
  Pack<T, V> mean, variance;

  __device__ __forceinline__ StepPack(const SequenceProblem<T>& problem, int64_t column, int64_t step) {
    const int64_t at = step * problem.columns() + column;
    mean = step < 0 ? broadcast<V>(static_cast<T>(0.0f)) : load<V>(problem.mean + at);
    variance = step < 0 ? broadcast<V>(static_cast<T>(0.0f)) : load<V>(problem.variance + at);
  }
  __device__ __forceinline__ MeanAndVariance<float> operator[](int v) const {
    return {static_cast<float>(mean.values[v]), static_cast<float>(variance.values[v])};
  }
};

template <class Formula, int V, class T>
__device__ __forceinline__ float walk(const SequenceProblem<T>& problem, int64_t column, int64_t begin, int64_t end) {
  float sum = 0.0f;
  StepPack<V, T> before(problem, column, begin - 1);
  for (int64_t step = begin; step < end; ++step) {
    const StepPack<V, T> here(problem, column, step);
#pragma unroll
    for (int v = 0; v < V; ++v) sum += Formula::forward(before[v], here[v]);
    before = here;
  }
  return sum;
}

template <class Formula, int V, class T>
__device__ __forceinline__ void walk_backward(
    const SequenceProblem<T>& problem, float weight, int64_t column, int64_t begin, int64_t end) {
  StepPack<V, T> before(problem, column, begin - 1), here(problem, column, begin);
  for (int64_t step = begin; step < end; ++step) {
    const bool is_last = step + 1 == problem.steps;
    const StepPack<V, T> after = is_last ? here : StepPack<V, T>(problem, column, step + 1);
    Pack<T, V> of_mean, of_variance;
#pragma unroll
    for (int v = 0; v < V; ++v) {
      MeanAndVariance<float> gradient = Formula::by_here(before[v], here[v]);
      if (!is_last) {
        const MeanAndVariance<float> of_next = Formula::by_before(here[v], after[v]);
        gradient = {gradient.mean + of_next.mean, gradient.variance + of_next.variance};
      }
      of_mean.values[v] = static_cast<T>(weight * gradient.mean);
      of_variance.values[v] = static_cast<T>(weight * gradient.variance);
    }
    store<V>(problem.mean_gradient + step * problem.columns() + column, of_mean);
    store<V>(problem.variance_gradient + step * problem.columns() + column, of_variance);
    before = here;
    here = after;
  }
}

template <class Formula, bool is_backward, int V, class T>
__global__ void __launch_bounds__(threads) sequence_kernel(const __grid_constant__ SequenceCall<T> call) {
  const SequenceProblem<T>& problem = call.problem;
  const int64_t task = int64_t(blockIdx.x) * (threads / call.team) + threadIdx.x / call.team;
  const int64_t n = task / call.portions, i = task % call.portions * call.team + threadIdx.x % call.team;
  const int64_t column = n * problem.features + i % call.packs * V;
  const int64_t begin = i / call.packs * call.piece_steps, end = smaller(problem.steps, begin + call.piece_steps);
  const bool has_work = n < problem.batch && begin < end;
  if constexpr (is_backward) {
    if (has_work) walk_backward<Formula, V>(problem, problem.sum_gradient(n), column, begin, end);
  } else {
    const float sum = sum_of_team(has_work ? walk<Formula, V>(problem, column, begin, end) : 0.0f, call.team);
    if (threadIdx.x % call.team == 0 && n < problem.batch) call.partials[task] = sum;
  }
}

}  // namespace fastladder
