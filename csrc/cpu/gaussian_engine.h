// The engine of CPU tensors for the family gaussian: the dimensions of neighbouring samples side by side in the lanes,
// time steps in a loop.
#pragma once

#include <numeric>

#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "operators/gaussian.h"

namespace fastladder {

// A task takes some of the N * D columns through some of the steps. A few rows of it fit the nearest cache, where the
// step before is read again. Every task has sums of its own, so results are the same for any number of threads.
constexpr int64_t task_columns = 256, task_steps = 64;

// A vector of neighbouring columns from `first` on; only `count` of them where they are not whole.
template <bool whole, class T>
struct LaneColumns {
  using Vector = Lanes<Compute<T>>;
  const SequenceProblem<T>& problem;
  int64_t first, count;

  FASTLADDER_INLINE Vector fetch(const T* row) const {
    if constexpr (whole) return load(row + first);
    return load(row + first, count);
  }
  FASTLADDER_INLINE void write(T* row, Vector numbers) const {
    if constexpr (whole) return store(row + first, numbers);
    store(row + first, numbers, count);
  }

  // 0 before the first step.
  FASTLADDER_INLINE MeanAndVariance<Vector> at(int64_t step) const {
    if (step < 0) return {Vector(Compute<T>(0)), Vector(Compute<T>(0))};
    const int64_t row = step * problem.columns();
    return {fetch(problem.mean + row), fetch(problem.variance + row)};
  }
  FASTLADDER_INLINE void put(int64_t step, MeanAndVariance<Vector> gradient) const {
    const int64_t row = step * problem.columns();
    write(problem.mean_gradient + row, gradient.mean);
    write(problem.variance_gradient + row, gradient.variance);
  }
};

// Adds what a step of the columns gives to their sums. Or writes its gradients; then `numbers` are those of the sums.
template <class Formula, bool is_backward, bool whole, class T>
FASTLADDER_INLINE void run_step(LaneColumns<whole, T> columns, int64_t step, Compute<T>* numbers) {
  using Vector = Lanes<Compute<T>>;
  const MeanAndVariance<Vector> before = columns.at(step - 1), here = columns.at(step);
  if constexpr (is_backward) {
    MeanAndVariance<Vector> gradient = Formula::by_here(before, here);
    if (step + 1 < columns.problem.steps) {
      const MeanAndVariance<Vector> of_next = Formula::by_before(here, columns.at(step + 1));
      gradient = {gradient.mean + of_next.mean, gradient.variance + of_next.variance};
    }
    const Vector scale = load(numbers);
    columns.put(step, {scale * gradient.mean, scale * gradient.variance});
  } else {
    store(numbers, load(numbers) + Formula::forward(before, here));
  }
}

// Gives sums of columns, (pieces, N * D), one piece for every `task_steps` time steps.
template <class Formula, bool is_backward, class T>
FASTLADDER_INLINE void run_sequence_tasks(
    const SequenceProblem<T> problem, int64_t begin, int64_t end, Compute<T>* sums) {
  constexpr int64_t lanes = Lanes<Compute<T>>::count;
  const int64_t all = problem.columns(), stretches = (all + task_columns - 1) / task_columns;
  for (int64_t task = begin; task < end; ++task) {
    const int64_t piece = task / stretches, first = task % stretches * task_columns;
    const int64_t columns = std::min(all - first, task_columns);
    const int64_t last = std::min(problem.steps, (piece + 1) * task_steps);
    Compute<T> numbers[task_columns] = {};  // sums of columns, or the gradients of the sums that they belong to
    if constexpr (is_backward)
      for (int64_t i = 0; i < columns; ++i) numbers[i] = problem.sum_gradient((first + i) / problem.features);
    for (int64_t step = piece * task_steps; step < last; ++step) {
      int64_t i = 0;
      for (; i + lanes <= columns; i += lanes)
        run_step<Formula, is_backward>(LaneColumns<true, T>{problem, first + i, lanes}, step, numbers + i);
      if (i < columns)
        run_step<Formula, is_backward>(LaneColumns<false, T>{problem, first + i, columns - i}, step, numbers + i);
    }
    if constexpr (!is_backward) std::copy_n(numbers, columns, sums + piece * all + first);
  }
}

struct CpuGaussianEngine {
  static constexpr bool takes_float64 = true;
  static constexpr bool takes_float16 = false;  // no CPU computes in it, so it is not worth a kernel

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor&, const SequenceProblem<T>& problem) {
    const int64_t all = problem.columns(), stretches = (all + task_columns - 1) / task_columns;
    const int64_t pieces = (problem.steps + task_steps - 1) / task_steps;
    const Memory<Compute<T>> sums = scratch<Compute<T>>(is_backward ? 0 : pieces * all);
    const int64_t task_elements = std::min(all, task_columns) * std::min(problem.steps, task_steps);
    parallel_for(0, stretches * pieces, grain_of(task_elements), [&](int64_t begin, int64_t end) {
      run_widest<run_sequence_tasks<Formula, is_backward, T>>(problem, begin, end, sums.get());
    });
    if constexpr (!is_backward) add_up(problem, sums.get(), pieces);
  }

 private:
  template <class T>
  static void add_up(const SequenceProblem<T>& problem, const Compute<T>* sums, int64_t pieces) {
    const int64_t size = problem.features;
    for (int64_t n = 0; n < problem.batch; ++n) {
      double sum = 0;
      for (int64_t piece = 0; piece < pieces; ++piece) {
        const Compute<T>* const of_sample = sums + piece * problem.columns() + n * size;
        sum = std::accumulate(of_sample, of_sample + size, sum);
      }
      problem.sums[n] = static_cast<Compute<T>>(sum);
    }
  }
};

}  // namespace fastladder
