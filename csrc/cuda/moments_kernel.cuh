// The kernel of the family moments: one pass over the elements, V of them a thread.
#pragma once

#include "cuda/device.cuh"
#include "operators/moments.h"

namespace fastladder {

template <class Formula, bool is_backward, int V, class T>
__global__ void __launch_bounds__(threads) moments_kernel(const __grid_constant__ MomentsProblem<T> problem) {
  const int64_t first = (int64_t(blockIdx.x) * threads + threadIdx.x) * V;
  if (first >= problem.elements) return;
  const Pack<T, V> mean = load<V>(problem.mean + first), variance = load<V>(problem.variance + first);
  const Pack<T, V> none = broadcast<V>(static_cast<T>(0.0f));
  const Pack<T, V> grad_mean = problem.gradient_mean ? load<V>(problem.gradient_mean + first) : none;
  const Pack<T, V> grad_variance = problem.gradient_variance ? load<V>(problem.gradient_variance + first) : none;
  Pack<T, V> out_mean, out_variance;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    const float m = static_cast<float>(mean.values[v]), s = static_cast<float>(variance.values[v]);
    MeanAndVariance<float> results;
    if constexpr (is_backward)
      results = Formula::backward(
          m, s,
          MeanAndVariance<float>{static_cast<float>(grad_mean.values[v]), static_cast<float>(grad_variance.values[v])});
    else
      results = Formula::forward(m, s);
    out_mean.values[v] = static_cast<T>(results.mean);
    out_variance.values[v] = static_cast<T>(results.variance);
  }
  store<V>(problem.out_mean + first, out_mean);
  store<V>(problem.out_variance + first, out_variance);
}

}  // namespace fastladder
