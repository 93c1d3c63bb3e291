// Count, mean and sum of squared differences from the mean of a set of numbers, and those of two sets together.
#pragma once

#include "formulas/activations.h"

namespace fastladder {

// a / b; on a GPU by the fast instruction, whose error is at most two units in the last place.
FASTLADDER_FORMULA float quotient(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fdividef(a, b);
#else
  return a / b;
#endif
}
FASTLADDER_FORMULA double quotient(double a, double b) { return a / b; }

template <class Real>
struct Moments {
  Real count, mean, squares;

  // Adds another set of numbers (Chan, Golub and LeVeque 1983).
  FASTLADDER_FORMULA void merge(const Moments& other) {
    if (other.count == Real(0)) return;
    const Real total = count + other.count, delta = other.mean - mean, share = quotient(other.count, total);
    squares += other.squares + delta * delta * count * share;
    mean += delta * share;
    count = total;
  }
};

}  // namespace fastladder
