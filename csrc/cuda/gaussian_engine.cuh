// The engine of CUDA tensors for the family gaussian: the launches.
#pragma once

#include "cuda/gaussian_kernel.cuh"
#include "cuda/launch.cuh"

namespace fastladder {

struct CudaGaussianEngine {
  static constexpr bool takes_float64 = false, takes_float16 = true;

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor& leader, const SequenceProblem<T>& problem) {
    constexpr int wide = 16 / sizeof(T);
    if (aligned<wide>(problem)) return launch<Formula, is_backward, wide>(leader, problem);
    launch<Formula, is_backward, 1>(leader, problem);
  }

 private:
  template <int V, class T>
  static bool aligned(const SequenceProblem<T>& problem) {
    const void* pointers[] = {problem.mean, problem.variance, problem.mean_gradient, problem.variance_gradient};
    return problem.features % V == 0 && all_aligned(pointers, V * sizeof(T));
  }

  template <class Formula, bool is_backward, int V, class T>
  static void launch(const Tensor& leader, const SequenceProblem<T>& problem) {
    Device device(leader);
    if constexpr (is_backward) {
      const Grid grid{divide_up(problem.elements(), threads * V)};
      device.launch(sequence_gradient_kernel<Formula, V, T>, grid, problem);
    } else {
      const int team = std::min<int64_t>(power_of_two_from(problem.features / V), warp);
      const Grid grid{divide_up(problem.rows(), threads / team)};
      device.launch(sequence_sum_kernel<Formula, V, T>, grid, SequenceSumCall<T>{problem, team});
    }
  }
};

}  // namespace fastladder
