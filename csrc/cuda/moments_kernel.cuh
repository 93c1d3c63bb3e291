// The kernel of the family moments: one pass over the elements, V of them a thread.
#pragma once

#include "cuda/device.cuh"
#include "operators/moments_problem.h"

namespace fastladder {

template <class Formula, bool is_backward, int V, class T>
__global__ void __launch_bounds__(threads) moments_kernel(const __grid_constant__ MomentsProblem<T> problem) {
  const int64_t first = (int64_t(blockIdx.x) * threads + threadIdx.x) * V;
  if (first >= problem.elements) return;
  const Pack<T, V> mean = load<V>(problem.mean + first), variance = load<V>(problem.variance + first);
  const Pack<T, V> none = broadcast<V>(static_cast<T>(0.0f));
  const Pack<T, V> grad_mean = problem.gradient_mean ? load<V>(problem.gradient_mean + first) : none;
  const Pack<T, V> grad_variance = problem.gradient_variance ? load<V>(problem.gradient_variance + first) : none;
  // Only a step of a sequence has the rest.
  const Pack<float, V> rate = problem.rate ? load<V>(problem.rate + first) : broadcast<V>(0.0f);
  const Pack<T, V> output_mean = problem.output_mean ? load<V>(problem.output_mean + first) : none;
  const Pack<T, V> grad_spread = problem.gradient_spread ? load<V>(problem.gradient_spread + first) : none;
  Pack<float, V> grad_rate = problem.gradient_rate ? load_last<V>(problem.gradient_rate + first) : broadcast<V>(0.0f);
  Pack<T, V> out_mean, out_variance, spread;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const float m = static_cast<float>(mean.values[v]), s = static_cast<float>(variance.values[v]);
    MeanAndVariance<float> results;
    if constexpr (is_backward) {
      const float y = static_cast<float>(output_mean.values[v]), of_spread = static_cast<float>(grad_spread.values[v]);
      const MeanAndVariance<float> gradient{
          static_cast<float>(grad_mean.values[v]), static_cast<float>(grad_variance.values[v])};
      results = Formula::backward(m, s, with_spread_gradient(gradient, y, rate.values[v], of_spread));
      grad_rate.values[v] += of_spread * y * y;
    } else {
      results = Formula::forward(m, s);
      spread.values[v] = static_cast<T>(spread_of(results, rate.values[v]));
    }
    out_mean.values[v] = static_cast<T>(results.mean);
    out_variance.values[v] = static_cast<T>(results.variance);
  }
  store<V>(problem.out_mean + first, out_mean);
  store<V>(problem.out_variance + first, out_variance);
  if constexpr (is_backward) {
    if (problem.gradient_rate) store<V>(problem.gradient_rate + first, grad_rate);
  } else {
    if (problem.spread) store<V>(problem.spread + first, spread);
  }
}

}  // namespace fastladder
