// The engine of CUDA tensors for the family moments: one pass over the elements, V of them a thread.
#pragma once

#include "cuda/launch.cuh"
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
    Moments<float> results;
    if constexpr (is_backward)
      results = Formula::backward(
          m, s, Moments<float>{static_cast<float>(grad_mean.values[v]), static_cast<float>(grad_variance.values[v])});
    else
      results = Formula::forward(m, s);
    out_mean.values[v] = static_cast<T>(results.mean);
    out_variance.values[v] = static_cast<T>(results.variance);
  }
  store<V>(problem.out_mean + first, out_mean);
  store<V>(problem.out_variance + first, out_variance);
}

struct CudaMomentsEngine {
  static constexpr bool takes_float64 = false, takes_float16 = true;

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor& leader, const MomentsProblem<T>& problem) {
    constexpr int wide = 16 / sizeof(T);
    if (aligned<wide>(problem)) return launch<Formula, is_backward, wide>(leader, problem);
    launch<Formula, is_backward, 1>(leader, problem);
  }

 private:
  template <int V, class T>
  static bool aligned(const MomentsProblem<T>& problem) {
    const void* pointers[] = {problem.mean,          problem.variance,          problem.out_mean,
                              problem.gradient_mean, problem.gradient_variance, problem.out_variance};
    return problem.elements % V == 0 && std::all_of(std::begin(pointers), std::end(pointers), [](const void* pointer) {
             return reinterpret_cast<uintptr_t>(pointer) % (V * sizeof(T)) == 0;
           });
  }

  template <class Formula, bool is_backward, int V, class T>
  static void launch(const Tensor& leader, const MomentsProblem<T>& problem) {
    Device device(leader);
    device.launch(moments_kernel<Formula, is_backward, V, T>, {divide_up(problem.elements, threads * V)}, problem);
  }
};

}  // namespace fastladder
