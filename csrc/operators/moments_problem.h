// What the operators of the family moments ask of an engine. A Formula (formulas/moments.h) supplies the mathematics of
// one element; an Engine (cpu/moments_engine.h, cuda/moments_engine.cuh) runs it over tensors by
//
//   static constexpr bool takes_float64, takes_float16
//   run<Formula, is_backward, T>(leader, problem)
//
// of at least one element, where `leader` says on which device, and multiplies matrices by
//
//   product<T>(out, a, b, keep)   out = a b, or with `keep` out += a b
#pragma once

#include "formulas/moments.h"
#include "operators/dispatch.h"

namespace fastladder {

// One call as a kernel sees it: elements that lie alike in all tensors. Pointers are null for tensors that it does not
// have.
template <class T>
struct MomentsProblem {
  int64_t elements;
  const T *mean, *variance;                    // of the input
  const T *gradient_mean, *gradient_variance;  // of the output, in a backward pass; null where it is unused
  T *out_mean, *out_variance;                  // of the output; in a backward pass the gradients of the input's

  // For a step of moments_sequence, whose output has a spread (formulas/moments.h).
  const Compute<T>* rate;
  T* spread;                               // in a forward pass; null after the last step
  const T *output_mean, *gradient_spread;  // in a backward pass
  Compute<T>* gradient_rate;               // to which a backward pass adds that of each element
};

}  // namespace fastladder
