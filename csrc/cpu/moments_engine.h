// The engine of CPU tensors for the family moments: one pass over the elements, a vector at a time.
#pragma once

#include "cpu/products.h"
#include "operators/moments_problem.h"

namespace fastladder {

// `count` elements from `first` on; the lanes of a vector where they are whole.
template <class Formula, bool is_backward, bool whole, class T>
FASTLADDER_INLINE void run_moments_lanes(const MomentsProblem<T>& problem, int64_t first, int64_t count) {
  using Vector = Lanes<Compute<T>>;
  const auto fetch = [&](const auto* tensor) __attribute__((always_inline)) {
    if (!tensor) return Vector(Compute<T>(0));
    if constexpr (whole) return load(tensor + first);
    return load(tensor + first, count);
  };
  const auto write = [&](auto* tensor, Vector numbers) __attribute__((always_inline)) {
    if constexpr (whole) return store(tensor + first, numbers);
    store(tensor + first, numbers, count);
  };
  const Vector mean = fetch(problem.mean), variance = fetch(problem.variance);
  MeanAndVariance<Vector> results;
  if constexpr (is_backward) {
    MeanAndVariance<Vector> gradient{fetch(problem.gradient_mean), fetch(problem.gradient_variance)};
    if (problem.rate) {
      const Vector output_mean = fetch(problem.output_mean), of_spread = fetch(problem.gradient_spread);
      gradient = with_spread_gradient(gradient, output_mean, fetch(problem.rate), of_spread);
      write(problem.gradient_rate, fetch(problem.gradient_rate) + of_spread * output_mean * output_mean);
    }
    results = Formula::backward(mean, variance, gradient);
  } else {
    results = Formula::forward(mean, variance);
    if (problem.spread) write(problem.spread, spread_of(results, fetch(problem.rate)));
  }
  write(problem.out_mean, results.mean);
  write(problem.out_variance, results.variance);
}

template <class Formula, bool is_backward, class T>
FASTLADDER_INLINE void run_moments_elements(const MomentsProblem<T> problem, int64_t begin, int64_t end) {
  constexpr int64_t lanes = Lanes<Compute<T>>::count;
  for (; begin + lanes <= end; begin += lanes) run_moments_lanes<Formula, is_backward, true>(problem, begin, lanes);
  if (begin < end) run_moments_lanes<Formula, is_backward, false>(problem, begin, end - begin);
}

struct CpuMomentsEngine {
  static constexpr bool takes_float64 = true;
  static constexpr bool takes_float16 = false;  // no CPU computes in it, so it is not worth a kernel

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor&, const MomentsProblem<T>& problem) {
    constexpr int64_t unit = 64;  // elements, so that threads begin where vectors and cache lines do
    const int64_t units = (problem.elements + unit - 1) / unit;
    parallel_for(0, units, grain_of(4 * unit), [&](int64_t begin, int64_t end) {
      run_widest<run_moments_elements<Formula, is_backward, T>>(
          problem, begin * unit, std::min(problem.elements, end * unit));
    });
  }

  template <class T>
  static void product(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
    multiply<T>(out, a, b, keep);
  }
};

}  // namespace fastladder
