// Shared by the formulas of Tagger's evidence terms (group_evidence.h) and mixture likelihood (group_mixture.h), which
// are for one element of the data, x, and the K groups that explain it.
//
// V is a number, or a vector of them at neighbouring elements. A Pixel reads and writes there:
//
//   V data()                          x
//   V mean(k), mask(k)                z_k, or its probability or logit; m_k, or its logit
//   V gradient(output, k)             of an output that has groups; 0 where it is unused
//   V sum_gradient()                  of the sample's sum
//   void put(which, k, V)             an output, or the gradient of the mean (0) and of the mask (1)
//   void put_data(V)                  the gradient of the data
//
// Loops over groups run to Groups::bound(), which may be a constant, and skip those without Groups::has(k). Kept are
// two arrays of K numbers. `forward` returns what is summed over the elements of a sample; `backward` what is summed
// over all elements, which is the gradient of the variance.
#pragma once

#include <limits>

#include "formulas/activations.h"

namespace fastladder {

constexpr int most_groups = 32;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float highest = std::numeric_limits<float>::max(), lowest = -highest;

struct AnyGroups {
  int count;
  FASTLADDER_FORMULA int bound() const { return count; }
  FASTLADDER_FORMULA bool has(int) const { return true; }
};

// The noise of an operator, the same at every element.
template <class V>
struct Noise {
  V precision;  // 1 / s, s the variance
  V density;    // 1 / sqrt(2 pi s), the largest of the normal density
  V constant;   // log(2 pi s) / 2
  V flip;       // b, the probability that a binary element was flipped
};

template <class V, class Real>
FASTLADDER_FORMULA Noise<V> noise_of(Real variance, Real flip) {
  const Real two_pi = 6.283185307179586;
  return {V(1 / variance), V(1 / std::sqrt(two_pi * variance)), V(logarithm(two_pi * variance) / 2), V(flip)};
}

}  // namespace fastladder
