// The combinator of the Ladder network (Rasmus et al., 2015, Eq. 2), which is the decoder cell G1 in other names: the
// top is what is projected, and a1 to a5 make the content, a6 to a10 the gate.
#pragma once

#include "formulas/gated_combine.h"

namespace fastladder {

// z = (lateral - mu) v + mu, mu = f(top, a1..a5), v = f(top, a6..a10), through a sigmoid when squash_gate
template <bool squash_gate>
struct LadderCombine : CombineG1<squash_gate> {
  static constexpr int weight_tensors = 1;  // content, gate

  template <class T>
  FASTLADDER_FORMULA static void forward(const T* a, const T* extra, const T* w, T* output) {
    T mu = activation(a[0], w), v = activation(a[0], w + 5);
    if constexpr (squash_gate) v = sigmoid(v);
    output[0] = (extra[0] - mu) * v + mu;
  }

  template <class T>
  FASTLADDER_FORMULA static void backward(
      const T* a, const T* extra, const T* w, const T* grad_output, T* grad_a, T* grad_extra, T* grad_w) {
    T v = activation(a[0], w + 5);
    if constexpr (squash_gate) v = sigmoid(v);
    T grad_v = grad_output[0] * (extra[0] - activation(a[0], w));
    if constexpr (squash_gate) grad_v = grad_v * v * (T(1) - v);
    T grad_mu = grad_output[0] * (T(1) - v);
    grad_a[0] = activation_backward(a[0], w, grad_mu, grad_w) + activation_backward(a[0], w + 5, grad_v, grad_w + 5);
    grad_extra[0] = grad_output[0] * v;
  }
};

}  // namespace fastladder
