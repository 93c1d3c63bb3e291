// Gaussians that are merged, drawn from and compared; fastladder/reference/gaussian.py has the equations. V is a
// number, or a vector of them. A Formula has
//
//   inputs, outputs   numbers that it takes and gives, for each element
//   has_term          whether it also gives a term of a sum over the elements of a sample
//   forward(input, output)                                   -> the term, or 0
//   backward(input, output_gradient, term_gradient, result)  writes the gradients of inputs
#pragma once

#include "formulas/activations.h"
#include "formulas/mean_and_variance.h"

namespace fastladder {

// Two of the numbers.
template <class V>
FASTLADDER_FORMULA MeanAndVariance<V> gaussian_from(const V* numbers) {
  return {numbers[0], numbers[1]};
}
template <class V>
FASTLADDER_FORMULA void write_to(V* numbers, MeanAndVariance<V> gaussian) {
  numbers[0] = gaussian.mean;
  numbers[1] = gaussian.variance;
}

struct GaussianMerge {
  static constexpr int inputs = 4, outputs = 2;
  static constexpr bool has_term = false;

  template <class V>
  FASTLADDER_FORMULA static MeanAndVariance<V> merge(MeanAndVariance<V> a, MeanAndVariance<V> b) {
    const V gain = a.variance / (a.variance + b.variance);
    return {a.mean + gain * (b.mean - a.mean), b.variance * gain};
  }

  // Writes the gradients of a, then of b. The shares of both in the sum of variances are computed apart from each
  // other, as 1 less the other one has no digits where it is small.
  template <class V>
  FASTLADDER_FORMULA static void merge_backward(
      MeanAndVariance<V> a, MeanAndVariance<V> b, MeanAndVariance<V> gradient, V* result) {
    const V inverse = V(1) / (a.variance + b.variance), share_a = a.variance * inverse, share_b = b.variance * inverse;
    const V by_gain = gradient.mean * (b.mean - a.mean) * inverse;
    write_to(result, {share_b * gradient.mean, share_b * (share_b * gradient.variance + by_gain)});
    write_to(result + 2, {share_a * gradient.mean, share_a * (share_a * gradient.variance - by_gain)});
  }

  template <class V>
  FASTLADDER_FORMULA static V forward(const V* input, V* output) {
    write_to(output, merge(gaussian_from(input), gaussian_from(input + 2)));
    return V(0);
  }
  template <class V>
  FASTLADDER_FORMULA static void backward(const V* input, const V* output_gradient, V, V* result) {
    merge_backward(gaussian_from(input), gaussian_from(input + 2), gaussian_from(output_gradient), result);
  }
};

struct GaussianKl {
  static constexpr int inputs = 4, outputs = 0;
  static constexpr bool has_term = true;

  template <class V>
  FASTLADDER_FORMULA static V divergence(MeanAndVariance<V> q, MeanAndVariance<V> p) {
    const V difference = q.mean - p.mean;
    return V(0.5f) *
           (logarithm(p.variance / q.variance) + ((q.variance + difference * difference) / p.variance - V(1)));
  }

  // Writes the gradients of q, then of p. `precision` is 1 / variance of q.
  template <class V>
  FASTLADDER_FORMULA static void divergence_backward(
      MeanAndVariance<V> q, V precision, MeanAndVariance<V> p, V gradient, V* result) {
    const V inverse = V(1) / p.variance, slope = (q.mean - p.mean) * inverse, half = V(0.5f) * gradient;
    write_to(result, {gradient * slope, half * (inverse - precision)});
    write_to(result + 2, {V(0) - gradient * slope, half * (inverse * (V(1) - q.variance * inverse) - slope * slope)});
  }

  template <class V>
  FASTLADDER_FORMULA static V forward(const V* input, V*) {
    return divergence(gaussian_from(input), gaussian_from(input + 2));
  }
  template <class V>
  FASTLADDER_FORMULA static void backward(const V* input, const V*, V term_gradient, V* result) {
    const MeanAndVariance<V> q = gaussian_from(input);
    divergence_backward(q, V(1) / q.variance, gaussian_from(input + 2), term_gradient, result);
  }
};

// Inputs are mean and variance of d, t and p, and noise; outputs are z, mean and variance.
struct MergeSampleKl {
  static constexpr int inputs = 7, outputs = 3;
  static constexpr bool has_term = true;

  template <class V>
  FASTLADDER_FORMULA static V forward(const V* input, V* output) {
    const MeanAndVariance<V> q = GaussianMerge::merge(gaussian_from(input), gaussian_from(input + 2));
    output[0] = q.mean + square_root(q.variance) * input[6];
    write_to(output + 1, q);
    return GaussianKl::divergence(q, gaussian_from(input + 4));
  }

  template <class V>
  FASTLADDER_FORMULA static void backward(const V* input, const V* output_gradient, V term_gradient, V* result) {
    const MeanAndVariance<V> d = gaussian_from(input), t = gaussian_from(input + 2);
    const MeanAndVariance<V> q = GaussianMerge::merge(d, t);
    const V of_z = output_gradient[0], deviation = square_root(q.variance), inverse = V(1) / deviation;
    V of_q_and_p[4];
    GaussianKl::divergence_backward(q, inverse * inverse, gaussian_from(input + 4), term_gradient, of_q_and_p);
    MeanAndVariance<V> of_q = gaussian_from(of_q_and_p);
    of_q.mean = of_q.mean + output_gradient[1] + of_z;
    of_q.variance = of_q.variance + output_gradient[2] + V(0.5f) * of_z * input[6] * inverse;
    GaussianMerge::merge_backward(d, t, of_q, result);
    write_to(result + 4, gaussian_from(of_q_and_p + 2));
    result[6] = of_z * deviation;
  }
};

}  // namespace fastladder
