// The divergence of a sequence from a Wiener process; fastladder/reference/gaussian.py has the equation. V is a number,
// or a vector of them.
#pragma once

#include "formulas/activations.h"
#include "formulas/mean_and_variance.h"

namespace fastladder {

// What one time step adds to the divergence of one dimension from a Wiener process.
template <bool exact>
struct WienerKl {
  template <class V>
  FASTLADDER_FORMULA static V forward(MeanAndVariance<V> before, MeanAndVariance<V> here) {
    const V increment = here.mean - before.mean, sum = here.variance + before.variance;
    return V(0.5f) * (increment * increment + sum - V(1) - logarithm(exact ? here.variance : sum));
  }

  // Its derivatives by what the step ends with,
  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> by_here(MeanAndVariance<V> before, MeanAndVariance<V> here) {
    const V of_logarithm = exact ? here.variance : here.variance + before.variance;
    return {here.mean - before.mean, V(0.5f) * (V(1) - V(1) / of_logarithm)};
  }
  // and by what it begins with.
  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> by_before(MeanAndVariance<V> before, MeanAndVariance<V> here) {
    const V of_logarithm = exact ? V(0) : V(1) / (here.variance + before.variance);
    return {before.mean - here.mean, V(0.5f) * (V(1) - of_logarithm)};
  }
};

}  // namespace fastladder
