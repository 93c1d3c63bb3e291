// The engine of CUDA tensors for the family moments: the launches.
#pragma once

#include "cuda/launch.cuh"
#include "cuda/moments_kernel.cuh"
#include "cuda/products.cuh"

namespace fastladder {

struct CudaMomentsEngine {
  static constexpr bool takes_float64 = false, takes_float16 = true;

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor& leader, const MomentsProblem<T>& problem) {
    constexpr int wide = 16 / sizeof(T);
    if (aligned<wide>(problem)) return launch<Formula, is_backward, wide>(leader, problem);
    launch<Formula, is_backward, 1>(leader, problem);
  }

  template <class T>
  static void product(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
    multiply(out, a, b, keep);
  }

 private:
  template <int V, class T>
  static bool aligned(const MomentsProblem<T>& problem) {
    const void* pointers[] = {
        problem.mean,           problem.variance, problem.out_mean, problem.gradient_mean, problem.gradient_variance,
        problem.out_variance,   problem.rate,     problem.spread,   problem.output_mean,   problem.gradient_rate,
        problem.gradient_spread};
    return problem.elements % V == 0 && all_aligned(pointers, V * sizeof(T));
  }

  template <class Formula, bool is_backward, int V, class T>
  static void launch(const Tensor& leader, const MomentsProblem<T>& problem) {
    Device device(leader);
    device.launch(moments_kernel<Formula, is_backward, V, T>, {divide_up(problem.elements, threads * V)}, problem);
  }
};

}  // namespace fastladder
