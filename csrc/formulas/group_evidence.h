// Tagger's evidence terms (Greff et al., 2016, section 2.1, appendix A.4 to A.6): delta and the likelihood L, the first
// and second output, of every group. grouping.h says what a Pixel and Kept are.
#pragma once

#include "formulas/grouping.h"

namespace fastladder {

enum class Delta { residual, weighted, gradient };

// L_k = softmax_k(e) and delta_k = m_k f_k d_k, where d_k = x - z_k, e_k = -d_k^2 / (2 s) and f_k is
//   residual  1
//   weighted  exp(e_k) / sqrt(2 pi s)
//   gradient  exp(e_k) / (s sum_h m_h exp(e_h))
template <Delta delta>
struct GaussianEvidence {
  static constexpr bool residual = delta == Delta::residual, gradient = delta == Delta::gradient;

  template <class V>
  struct Weights {
    V all;     // the sum over groups of exp(e_k), apart from a factor that they share, which is in kept[0]
    V shared;  // f_k = shared own_k, see below
  };

  template <class V>
  FASTLADDER_FORMULA static V distance(V x, V z) {
    return maximum(x - z, z - x);
  }
  // -(d^2 - nearest^2) / (2 s): exactly 0 for the nearest, where a difference of squares may be contracted and not be.
  template <class V>
  FASTLADDER_FORMULA static V exponent(V nearest, V d, V precision) {
    return (nearest - d) * (nearest + d) * (V(0.5f) * precision);
  }

  // The gradient has weights of its own, in kept[1], because the nearest of all groups may have mask 0: then exp(e_k)
  // is relative to the nearest of the others, and at most e^80, which is finite.
  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static Weights<V> weigh(const Noise<V>& noise, Groups groups, const Pixel& pixel, Kept& kept) {
    const V x = pixel.data(), p = noise.precision;
    V nearest(infinity), nearest_masked(infinity), all(0), masked(0);
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        const V d = distance(x, pixel.mean(k));
        nearest = minimum(nearest, d);
        if constexpr (gradient) nearest_masked = minimum(nearest_masked, where_positive(pixel.mask(k), d, V(infinity)));
      }
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        const V d = distance(x, pixel.mean(k));
        kept[0][k] = exponential(exponent(nearest, d, p));
        all = all + kept[0][k];
        if constexpr (gradient) {
          kept[1][k] = exponential(minimum(exponent(nearest_masked, d, p), V(80)));
          masked = masked + pixel.mask(k) * kept[1][k];
        }
      }
    if constexpr (residual) return {all, V(1)};
    if constexpr (gradient) return {all, p / masked};
    return {all, noise.density * exponential(V(-0.5f) * p * nearest * nearest)};
  }

  template <class V, class Kept>
  FASTLADDER_FORMULA static V own(const Kept& kept, int k) {
    if constexpr (residual) return V(1);
    return kept[gradient][k];
  }

  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static V forward(const Noise<V>& noise, Groups groups, Pixel& pixel, Kept& kept) {
    const Weights<V> weights = weigh(noise, groups, pixel, kept);
    const V x = pixel.data(), scale = V(1) / weights.all;
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        pixel.put(0, k, pixel.mask(k) * own<V>(kept, k) * weights.shared * (x - pixel.mean(k)));
        pixel.put(1, k, kept[0][k] * scale);
      }
    return V(0);
  }

  // The likelihood is a softmax of e, and so is what the gradient's delta has instead of m: both add to grad_e.
  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static V backward(const Noise<V>& noise, Groups groups, Pixel& pixel, Kept& kept) {
    const Weights<V> weights = weigh(noise, groups, pixel, kept);
    const V x = pixel.data(), p = noise.precision, scale = V(1) / weights.all;
    V likelihood_mean(0), delta_mean(0);  // means of the gradients under the two softmaxes
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        likelihood_mean = likelihood_mean + pixel.gradient(1, k) * (kept[0][k] * scale);
        if constexpr (gradient)
          delta_mean =
              delta_mean + pixel.gradient(0, k) * (x - pixel.mean(k)) * (pixel.mask(k) * kept[1][k] * weights.shared);
      }
    if constexpr (gradient) delta_mean = delta_mean / p;
    V grad_data(0), grad_variance(0);
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        const V d = x - pixel.mean(k), grad_product = pixel.gradient(0, k) * d;
        const V f = own<V>(kept, k) * weights.shared;
        const V weight = pixel.mask(k) * own<V>(kept, k) * weights.shared;  // not by way of f, which may overflow
        const V grad_d = pixel.gradient(0, k) * weight;                     // with f fixed
        V grad_e = kept[0][k] * scale * (pixel.gradient(1, k) - likelihood_mean);
        if constexpr (!residual) grad_e = grad_e + weight * (grad_product - delta_mean);
        if constexpr (delta == Delta::weighted) grad_variance = grad_variance - V(0.5f) * p * weight * grad_product;
        if constexpr (gradient) grad_variance = grad_variance - p * weight * grad_product;
        grad_variance = grad_variance + V(0.5f) * p * p * (grad_e * d * d);
        const V grad_mean = grad_e * d * p - grad_d;
        grad_data = grad_data - grad_mean;
        pixel.put(0, k, grad_mean);
        pixel.put(1, k, f * (grad_product - delta_mean));
      }
    pixel.put_data(grad_data);
    return grad_variance;
  }
};

// L_k = a_k / sum_h a_h and delta_k = (1 - 2 b) (2 x - 1) m_k / sum_h m_h a_h, where
// a_k = x xi_k + (1 - x) (1 - xi_k), xi_k = (1 - 2 b) z_k + b.
struct BernoulliEvidence {
  template <class V>
  struct Sums {
    V all;     // sum_k a_k
    V masked;  // sum_k m_k a_k
  };

  template <class V>
  FASTLADDER_FORMULA static V xi(const Noise<V>& noise, V z) {
    return (V(1) - V(2) * noise.flip) * z + noise.flip;
  }
  template <class V>
  FASTLADDER_FORMULA static V explained(V x, V xi) {
    return x * xi + (V(1) - x) * (V(1) - xi);
  }

  // Writes a_k into kept[0].
  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static Sums<V> add_up(const Noise<V>& noise, Groups groups, const Pixel& pixel, Kept& kept) {
    const V x = pixel.data();
    Sums<V> sums{V(0), V(0)};
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        kept[0][k] = explained(x, xi(noise, pixel.mean(k)));
        sums.all = sums.all + kept[0][k];
        sums.masked = sums.masked + pixel.mask(k) * kept[0][k];
      }
    return sums;
  }

  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static V forward(const Noise<V>& noise, Groups groups, Pixel& pixel, Kept& kept) {
    const Sums<V> sums = add_up(noise, groups, pixel, kept);
    const V slope = (V(1) - V(2) * noise.flip) * (V(2) * pixel.data() - V(1));  // da_k / dz_k
    const V factor = slope / sums.masked;
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        pixel.put(0, k, factor * pixel.mask(k));
        pixel.put(1, k, kept[0][k] / sums.all);
      }
    return V(0);
  }

  template <class V, class Groups, class Pixel, class Kept>
  FASTLADDER_FORMULA static V backward(const Noise<V>& noise, Groups groups, Pixel& pixel, Kept& kept) {
    const Sums<V> sums = add_up(noise, groups, pixel, kept);
    const V contrast = V(1) - V(2) * noise.flip, slope = contrast * (V(2) * pixel.data() - V(1));
    const V factor = slope / sums.masked, scale = V(1) / sums.all;
    V likelihood_mean(0), delta_mean(0);  // sums of gradients, weighted by L and by m / masked
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        likelihood_mean = likelihood_mean + pixel.gradient(1, k) * (kept[0][k] * scale);
        delta_mean = delta_mean + pixel.gradient(0, k) * (pixel.mask(k) / sums.masked);
      }
    const V shrink = factor * delta_mean;
    V grad_data = V(2) * contrast * delta_mean;
    FASTLADDER_UNROLL
    for (int k = 0; k < groups.bound(); ++k)
      if (groups.has(k)) {
        const V m = pixel.mask(k), z = pixel.mean(k);
        const V grad_a = scale * (pixel.gradient(1, k) - likelihood_mean) - shrink * m;
        grad_data = grad_data + grad_a * (V(2) * xi(noise, z) - V(1));
        pixel.put(0, k, grad_a * slope);
        pixel.put(1, k, factor * pixel.gradient(0, k) - shrink * kept[0][k]);
      }
    pixel.put_data(grad_data);
    return V(0);
  }
};

}  // namespace fastladder
