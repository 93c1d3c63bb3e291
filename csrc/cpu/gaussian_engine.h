// The engine of CPU tensors for the family gaussian: how threads share its tasks.
#pragma once

#include "cpu/gaussian_rows.h"
#include "cpu/gaussian_sequences.h"

namespace fastladder {

struct CpuGaussianEngine {
  static constexpr bool takes_float64 = true;
  static constexpr bool takes_float16 = false;  // no CPU computes in it, so it is not worth a kernel

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor&, const GaussianProblem<T>& problem) {
    const int64_t task_rows = std::clamp<int64_t>(task_elements / problem.size, 1, problem.rows);
    const int64_t task_size = Formula::has_term ? task_rows * problem.size : task_elements;
    const int64_t tasks = (problem.elements() + task_size - 1) / task_size;
    parallel_for(0, tasks, grain_of(task_size), [&](int64_t begin, int64_t end) {
      run_widest<run_gaussian_tasks<Formula, is_backward, T>>(problem, task_size, begin, end);
    });
  }

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor&, const SequenceProblem<T>& problem) {
    const int64_t task_samples = std::clamp<int64_t>(task_elements / problem.features, 1, problem.batch);
    const int64_t tasks = problem.steps * ((problem.batch + task_samples - 1) / task_samples);
    parallel_for(0, tasks, grain_of(task_samples * problem.features), [&](int64_t begin, int64_t end) {
      run_widest<run_sequence_tasks<Formula, is_backward, T>>(problem, task_samples, begin, end);
    });
  }
};

}  // namespace fastladder
