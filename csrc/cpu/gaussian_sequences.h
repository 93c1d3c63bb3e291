// The loop of wiener_kl on a CPU: the elements of one time step side by side in the lanes, those of neighbouring
// samples too.
#pragma once

#include "cpu/gaussian_tasks.h"
#include "operators/wiener_kl.h"

namespace fastladder {

// A vector of elements of (T, N, D), all of one time step, from `first` on; only `count` where they are not whole.
template <bool whole, class T>
struct LaneElements {
  using Vector = Lanes<Compute<T>>;
  const SequenceProblem<T>& problem;
  int64_t first, count;

  FASTLADDER_INLINE Vector fetch(const T* source) const {
    if constexpr (whole) return load(source);
    return load(source, count);
  }
  FASTLADDER_INLINE void write(T* target, Vector numbers) const {
    if constexpr (whole) return store(target, numbers);
    store(target, numbers, count);
  }

  FASTLADDER_INLINE bool has_next() const { return first + problem.step_elements() < problem.elements(); }
  // Those so many steps ahead; 0 before the first step.
  FASTLADDER_INLINE MeanAndVariance<Vector> at(int64_t ahead) const {
    const int64_t place = first + ahead * problem.step_elements();
    if (place < 0) return {Vector(Compute<T>(0)), Vector(Compute<T>(0))};
    return {fetch(problem.mean + place), fetch(problem.variance + place)};
  }
  FASTLADDER_INLINE void put(MeanAndVariance<Vector> gradient) const {
    write(problem.mean_gradient + first, gradient.mean);
    write(problem.variance_gradient + first, gradient.variance);
  }
};

// Writes what the elements give to the sums into `numbers`. Or writes their gradients; then `numbers` are those of the
// sums of this step, and `of_next` those of the next one.
template <class Formula, bool is_backward, bool whole, class T>
FASTLADDER_INLINE void run_elements(LaneElements<whole, T> elements, Compute<T>* numbers, const Compute<T>* of_next) {
  using Vector = Lanes<Compute<T>>;
  const MeanAndVariance<Vector> before = elements.at(-1), here = elements.at(0);
  if constexpr (is_backward) {
    const Vector scale = load(numbers);
    MeanAndVariance<Vector> gradient = Formula::by_here(before, here);
    gradient = {scale * gradient.mean, scale * gradient.variance};
    if (elements.has_next()) {
      const Vector next_scale = load(of_next);
      const MeanAndVariance<Vector> next = Formula::by_before(here, elements.at(1));
      gradient = {gradient.mean + next_scale * next.mean, gradient.variance + next_scale * next.variance};
    }
    elements.put(gradient);
  } else {
    store(numbers, Formula::forward(before, here));
  }
}

// A task is `task_samples` neighbouring samples of one time step, or fewer where these are the last.
template <class Formula, bool is_backward, class T>
FASTLADDER_INLINE void run_sequence_tasks(
    const SequenceProblem<T> problem, int64_t task_samples, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Lanes<Compute<T>>::count;
  const int64_t batch = problem.batch, size = problem.features, tasks = (batch + task_samples - 1) / task_samples;
  const int64_t most = task_samples * size + lanes;  // the last vector is stored whole
  const Memory<Compute<T>> memory = scratch<Compute<T>>(2 * most);
  Compute<T>*const numbers = memory.get(), *const of_next = numbers + most;  // of every element
  for (int64_t task = begin; task < end; ++task) {
    const int64_t step = task / tasks, n = task % tasks * task_samples;
    const int64_t row = step * batch + n, rows = std::min(task_samples, batch - n), count = rows * size;
    if constexpr (is_backward)
      for (int64_t r = 0; r < rows; ++r) {
        std::fill_n(numbers + r * size, size, problem.sum_gradient(row + r));
        if (step + 1 < problem.steps) std::fill_n(of_next + r * size, size, problem.sum_gradient(row + r + batch));
      }
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes)
      run_elements<Formula, is_backward>(
          LaneElements<true, T>{problem, row * size + i, lanes}, numbers + i, of_next + i);
    if (i < count)
      run_elements<Formula, is_backward>(
          LaneElements<false, T>{problem, row * size + i, count - i}, numbers + i, of_next + i);
    if constexpr (!is_backward)
      for (int64_t r = 0; r < rows; ++r) problem.sums[row + r] = sum_of(numbers + r * size, size);
  }
}

}  // namespace fastladder
