// Tagger's mixture likelihood (Greff et al., 2016, Eq. 1, 2 and 6): at every element
//
//   nll = -log sum_k m_k exp(e_k) = log sum_k exp(l_k) - log sum_k exp(l_k + e_k),  m = softmax(l),
//
// which is summed over the elements of a sample, and m, the only output that has groups. grouping.h says what a Pixel
// and Kept are; its masks are the logits l here. A Model says what exp(e_k), the density of x in group k, is.
#pragma once

#include "formulas/grouping.h"

namespace fastladder {

// The derivatives of e_k.
template <class V>
struct Slopes {
  V mean, data, variance;
};

// e = -(x - z)^2 / (2 v), with the constant -log(2 pi v) / 2, which all groups share, apart.
struct GaussianModel {
  template <class V>
  FASTLADDER_FORMULA static V exponent(const Noise<V>& noise, V x, V z) {
    const V d = x - z;
    return V(-0.5f) * noise.precision * (d * d);
  }
  template <class V>
  FASTLADDER_FORMULA static V factor(V) {
    return V(1);
  }
  template <class V>
  FASTLADDER_FORMULA static V constant(const Noise<V>& noise) {
    return noise.constant;
  }
  template <class V>
  FASTLADDER_FORMULA static Slopes<V> slopes(const Noise<V>& noise, V x, V z) {
    const V d = x - z, slope = d * noise.precision;
    return {slope, V(0) - slope, V(0.5f) * (slope * slope)};
  }
  template <class V>
  FASTLADDER_FORMULA static V constant_slope(const Noise<V>& noise) {
    return V(0.5f) * noise.precision;
  }
};

// e = x z - log(1 + exp(z)), z a logit, as exp(e) = exp(x z - max(z, 0)) / (1 + exp(-|z|)): no logarithm of a group,
// and nothing overflows.
struct BernoulliModel {
  template <class V>
  FASTLADDER_FORMULA static V exponent(const Noise<V>&, V x, V z) {
    return x * z - maximum(z, V(0));
  }
  template <class V>
  FASTLADDER_FORMULA static V factor(V z) {
    return V(1) / (V(1) + exponential(minimum(z, V(0) - z)));
  }
  template <class V>
  FASTLADDER_FORMULA static V constant(const Noise<V>&) {
    return V(0);
  }
  template <class V>
  FASTLADDER_FORMULA static Slopes<V> slopes(const Noise<V>&, V x, V z) {
    return {x - sigmoid(z), z, V(0)};
  }
  template <class V>
  FASTLADDER_FORMULA static V constant_slope(const Noise<V>&) {
    return V(0);
  }
};

template <class Model>
struct Mixture {
  template <class V>
  struct Sums {
    V prior;      // sum_k exp(l_k - a number): its terms are in kept[0]
    V posterior;  // sum_k exp(l_k + e_k - another): kept[1]
    V apart;      // the first number minus the second
  };

  // The largest are finite, so that where no group explains an element it costs infinity and not NaN.
  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static Sums<V> add_up(const Noise<V>& noise, Groups groups, const Pixel& pixel, Kept& kept) {
    const V x = pixel.data();
    V largest(lowest), largest_posterior(lowest), prior(0), posterior(0);
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        largest = maximum(largest, pixel.mask(k));
        kept[1][k] = pixel.mask(k) + Model::exponent(noise, x, pixel.mean(k));
        largest_posterior = maximum(largest_posterior, kept[1][k]);
      }
    largest_posterior = minimum(largest_posterior, V(highest));
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        kept[0][k] = exponential(pixel.mask(k) - largest);
        kept[1][k] = exponential(kept[1][k] - largest_posterior) * Model::factor(pixel.mean(k));
        prior = prior + kept[0][k];
        posterior = posterior + kept[1][k];
      }
    return {prior, posterior, largest - largest_posterior};
  }

  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static V forward(const Noise<V>& noise, Groups groups, Pixel& pixel, Kept& kept) {
    const Sums<V> sums = add_up(noise, groups, pixel, kept);
    const V scale = V(1) / sums.prior;
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) pixel.put(0, k, kept[0][k] * scale);
    return logarithm(sums.prior / sums.posterior) + sums.apart + Model::constant(noise);
  }

  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static V backward(const Noise<V>& noise, Groups groups, Pixel& pixel, Kept& kept) {
    const Sums<V> sums = add_up(noise, groups, pixel, kept);
    const V x = pixel.data(), scale = V(1) / sums.prior, posterior_scale = pixel.sum_gradient() / sums.posterior;
    V mask_mean(0);  // of the gradients of m, under m
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) mask_mean = mask_mean + pixel.gradient(0, k) * (kept[0][k] * scale);
    V grad_data(0), grad_variance = pixel.sum_gradient() * Model::constant_slope(noise);
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        const V m = kept[0][k] * scale, grad_e = V(0) - kept[1][k] * posterior_scale;
        const Slopes<V> slopes = Model::slopes(noise, x, pixel.mean(k));
        grad_data = grad_data + grad_e * slopes.data;
        grad_variance = grad_variance + grad_e * slopes.variance;
        pixel.put(0, k, grad_e * slopes.mean);
        pixel.put(1, k, grad_e + m * (pixel.sum_gradient() + pixel.gradient(0, k) - mask_mean));
      }
    pixel.put_data(grad_data);
    return grad_variance;
  }
};

using GaussianMixture = Mixture<GaussianModel>;
using BernoulliMixture = Mixture<BernoulliModel>;

}  // namespace fastladder
