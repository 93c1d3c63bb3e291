// Those of a Gaussian, or derivatives by them. V is a number, or a vector of them.
#pragma once

namespace fastladder {

template <class V>
struct MeanAndVariance {
  V mean, variance;
};

}  // namespace fastladder
