// Mean and variance of a nonlinearity under a Gaussian input; fastladder/reference/moments.py has the equations. V is a
// number, or a vector of them.
#pragma once

#include "formulas/activations.h"
#include "formulas/mean_and_variance.h"

namespace fastladder {

constexpr double two_by_root_pi = 1.1283791670955126, root_half = 0.7071067811865476;
constexpr double by_root_two_pi = 0.3989422804014327;

// tanh(x) is the sum over i of weights[i] * erf(scales[i] * x), nearly.
struct TanhMoments {
  // What both passes compute: the mean, and the sums over terms of its derivatives by the input's mean.
  template <class V>
  struct Sums {
    V expected, slope, curvature;  // E, dE / dm, d2E / dm2
    V bend;                        // d3E / dm3
  };

  template <class V>
  FASTLADDER_FORMULA static Sums<V> add_up(V mean, V variance) {
    constexpr double weights[] = {0.20753, 0.20625, 0.58622}, scales[] = {1.32564, 0.53658, 0.85322};
    Sums<V> sums{V(0), V(0), V(0), V(0)};
    const V bounded = maximum(variance, V(0));
    FASTLADDER_UNROLL
    for (int i = 0; i < 3; ++i) {
      const V inverse = inverse_root(V(1) + V(2 * scales[i] * scales[i]) * bounded);
      const V by_mean = V(scales[i]) * inverse, u = by_mean * mean;
      const V slope = V(weights[i] * two_by_root_pi) * by_mean * exponential(V(0) - u * u);
      sums.expected = sums.expected + V(weights[i]) * error_function(u);
      sums.slope = sums.slope + slope;
      sums.curvature = sums.curvature - V(2) * by_mean * (u * slope);
      sums.bend = sums.bend + V(2) * by_mean * by_mean * ((V(2) * u * u - V(1)) * slope);
    }
    return sums;
  }

  template <class V>
  FASTLADDER_FORMULA static V variance_of(const Sums<V>& sums) {
    return V(1) - sums.slope - sums.expected * sums.expected;
  }

  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> forward(V mean, V variance) {
    const Sums<V> sums = add_up(mean, variance);
    return {sums.expected, maximum(variance_of(sums), V(0))};
  }

  // A Gaussian spreads as heat does: the derivative by the variance is half the second one by the mean.
  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> backward(V mean, V variance, MeanAndVariance<V> gradient) {
    const Sums<V> sums = add_up(mean, variance);
    const V of_variance = where_positive(variance_of(sums), gradient.variance, V(0));
    const V of_expected = gradient.mean - V(2) * of_variance * sums.expected;
    return {
        of_expected * sums.slope - of_variance * sums.curvature,
        V(0.5f) * (of_expected * sums.curvature - of_variance * sums.bend)};
  }
};

// sigmoid(x) = (1 + tanh(x / 2)) / 2.
struct SigmoidMoments {
  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> forward(V mean, V variance) {
    const MeanAndVariance<V> of_tanh = TanhMoments::forward(V(0.5f) * mean, V(0.25f) * variance);
    return {V(0.5f) + V(0.5f) * of_tanh.mean, V(0.25f) * of_tanh.variance};
  }
  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> backward(V mean, V variance, MeanAndVariance<V> gradient) {
    const MeanAndVariance<V> of_tanh{V(0.5f) * gradient.mean, V(0.25f) * gradient.variance};
    const MeanAndVariance<V> inner = TanhMoments::backward(V(0.5f) * mean, V(0.25f) * variance, of_tanh);
    return {V(0.5f) * inner.mean, V(0.25f) * inner.variance};
  }
};

// With r = mean / deviation, Phi(r) below and 1 - Phi(r) above it, and the density phi(r).
struct ReluMoments {
  template <class V>
  struct Normal {
    V inverse, deviation;  // of the input; a variance of 0 counts as `smallest`
    V r, below, above, density;
  };

  template <class V>
  FASTLADDER_FORMULA static Normal<V> standardize(V mean, V variance) {
    constexpr double smallest = 1e-30, farthest = 1e4;
    const V bounded = maximum(variance, V(smallest)), inverse = inverse_root(bounded);
    const V r = maximum(minimum(mean * inverse, V(farthest)), V(-farthest));
    const V tail = V(0.5f) * complementary_error_function(V(root_half) * maximum(r, V(0) - r)), rest = V(1) - tail;
    return {
        inverse,
        bounded * inverse,
        r,
        where_positive(r, rest, tail),
        where_positive(r, tail, rest),
        V(by_root_two_pi) * exponential(V(-0.5f) * r * r)};
  }

  template <class V>
  FASTLADDER_FORMULA static V mean_of(const Normal<V>& x, V mean) {
    return mean * x.below + x.deviation * x.density;
  }
  template <class V>
  FASTLADDER_FORMULA static V variance_of(const Normal<V>& x) {
    return x.below + x.r * x.r * x.below * x.above + x.r * x.density * (x.above - x.below) - x.density * x.density;
  }

  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> forward(V mean, V variance) {
    const Normal<V> x = standardize(mean, variance);
    return {mean_of(x, mean), maximum(variance, V(0)) * maximum(variance_of(x), V(0))};
  }

  // dE/dm = Phi, dE/dv = phi / (2 s), dV/dm = 2 E (1 - Phi), dV/dv = Phi - E phi / s.
  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> backward(V mean, V variance, MeanAndVariance<V> gradient) {
    const Normal<V> x = standardize(mean, variance);
    const V expected = mean_of(x, mean), by_deviation = x.density * x.inverse;
    const V of_mean = where_positive(variance, V(0.5f) * by_deviation, V(0));
    return {
        gradient.mean * x.below + gradient.variance * (V(2) * expected * x.above),
        gradient.mean * of_mean + gradient.variance * (x.below - expected * by_deviation)};
  }
};

// A unit without a nonlinearity: what moments_sequence takes for the state before its first step.
struct UnchangedMoments {
  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> forward(V mean, V variance) {
    return {mean, variance};
  }
  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> backward(V, V, MeanAndVariance<V> gradient) {
    return gradient;
  }
};

// The variance of a unit that is dropped with the probability `rate`, divided by the probability that it is kept.
template <class V>
FASTLADDER_FORMULA V spread_of(MeanAndVariance<V> unit, V rate) {
  return unit.variance + rate * unit.mean * unit.mean;
}

// The gradient of a unit's mean and variance, with what comes through its spread.
template <class V>
FASTLADDER_FORMULA MeanAndVariance<V> with_spread_gradient(
    MeanAndVariance<V> gradient, V mean, V rate, V gradient_spread) {
  return {gradient.mean + V(2) * rate * mean * gradient_spread, gradient.variance + gradient_spread};
}

}  // namespace fastladder
