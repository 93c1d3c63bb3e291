// The loop of gaussian_merge, gaussian_kl and merge_sample_kl on a CPU: elements side by side in the lanes, those of
// neighbouring rows too.
#pragma once

#include "cpu/gaussian_tasks.h"
#include "operators/gaussian.h"

namespace fastladder {

// `count` elements from `first` on; the lanes of a vector where they are whole. `terms` has the terms of these, or in a
// backward pass their gradients.
template <class Formula, bool is_backward, bool whole, class T>
FASTLADDER_INLINE void run_gaussian_lanes(
    const GaussianProblem<T>& problem, int64_t first, int64_t count, Compute<T>* terms) {
  using Vector = Lanes<Compute<T>>;
  const auto fetch = [&](const T* tensor) __attribute__((always_inline)) {
    if (!tensor) return Vector(Compute<T>(0));
    if constexpr (whole) return load(tensor + first);
    return load(tensor + first, count);
  };
  Vector inputs[Formula::inputs], results[most_inputs];
  for (int i = 0; i < Formula::inputs; ++i) inputs[i] = fetch(problem.inputs[i]);
  if constexpr (is_backward) {
    Vector gradients[most_outputs];
    for (int o = 0; o < Formula::outputs; ++o) gradients[o] = fetch(problem.gradients[o]);
    Formula::backward(inputs, gradients, Formula::has_term ? load(terms) : Vector(Compute<T>(0)), results);
  } else {
    const Vector term = Formula::forward(inputs, results);
    if constexpr (Formula::has_term) store(terms, term);
  }
  for (int r = 0; r < (is_backward ? Formula::inputs : Formula::outputs); ++r) {
    if constexpr (whole)
      store(problem.results[r] + first, results[r]);
    else
      store(problem.results[r] + first, results[r], count);
  }
}

// A task is `task_size` neighbouring elements, or fewer where these are the last; where terms are added up, whole rows.
template <class Formula, bool is_backward, class T>
FASTLADDER_INLINE void run_gaussian_tasks(
    const GaussianProblem<T> problem, int64_t task_size, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Lanes<Compute<T>>::count;
  const int64_t size = problem.size;
  const Memory<Compute<T>> memory = scratch<Compute<T>>(task_size + lanes);  // the last vector is stored whole
  Compute<T>* const terms = memory.get();                                    // of every element of a task
  for (int64_t task = begin; task < end; ++task) {
    const int64_t first = task * task_size, count = std::min(task_size, problem.elements() - first);
    if constexpr (Formula::has_term && is_backward)
      for (int64_t i = 0; i < count; i += size) std::fill_n(terms + i, size, problem.sum_gradient((first + i) / size));
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes)
      run_gaussian_lanes<Formula, is_backward, true>(problem, first + i, lanes, terms + i);
    if (i < count) run_gaussian_lanes<Formula, is_backward, false>(problem, first + i, count - i, terms + i);
    if constexpr (Formula::has_term && !is_backward)
      for (i = 0; i < count; i += size) problem.sums[(first + i) / size] = sum_of(terms + i, size);
  }
}

}  // namespace fastladder
