// The engine of CUDA tensors for the family gaussian: the launches.
#pragma once

#include "cuda/gaussian_rows.cuh"
#include "cuda/gaussian_sequences.cuh"
#include "cuda/launch.cuh"

namespace fastladder {

struct CudaGaussianEngine {
  static constexpr bool takes_float64 = false, takes_float16 = true;

  template <class Formula, bool is_backward, class T, template <class> class Problem>
  static void run(const Tensor& leader, const Problem<T>& problem) {
    constexpr int wide = 16 / sizeof(T);
    if (aligned<wide>(problem)) return launch<Formula, is_backward, wide>(leader, problem);
    launch<Formula, is_backward, 1>(leader, problem);
  }

 private:
  template <int V, class T>
  static bool aligned(const GaussianProblem<T>& problem) {
    return problem.size % V == 0 && all_aligned(problem.inputs, V * sizeof(T)) &&
           all_aligned(problem.results, V * sizeof(T)) && all_aligned(problem.gradients, V * sizeof(T));
  }
  template <int V, class T>
  static bool aligned(const SequenceProblem<T>& problem) {
    const void* pointers[] = {problem.mean, problem.variance, problem.mean_gradient, problem.variance_gradient};
    return problem.features % V == 0 && all_aligned(pointers, V * sizeof(T));
  }

  // How many threads add up a row.
  static int team_of(int64_t packs) { return std::min<int64_t>(power_of_two_from(packs), warp); }

  template <class Formula, bool is_backward, int V, class T>
  static void launch(const Tensor& leader, const GaussianProblem<T>& problem) {
    Device device(leader);
    if constexpr (Formula::has_term && !is_backward) {
      const int team = team_of(problem.size / V);
      const Grid grid{divide_up(problem.rows, threads / team)};
      device.launch(gaussian_rows_kernel<Formula, V, T>, grid, GaussianRowsCall<T>{problem, team});
    } else {
      const Grid grid{divide_up(problem.elements(), threads * V)};
      device.launch(gaussian_elements_kernel<Formula, is_backward, V, T>, grid, problem);
    }
  }

  template <class Formula, bool is_backward, int V, class T>
  static void launch(const Tensor& leader, const SequenceProblem<T>& problem) {
    Device device(leader);
    if constexpr (is_backward) {
      const Grid grid{divide_up(problem.elements(), threads * V)};
      device.launch(sequence_gradient_kernel<Formula, V, T>, grid, problem);
    } else {
      const int team = team_of(problem.features / V);
      const Grid grid{divide_up(problem.rows(), threads / team)};
      device.launch(sequence_sum_kernel<Formula, V, T>, grid, SequenceSumCall<T>{problem, team});
    }
  }
};

}  // namespace fastladder
