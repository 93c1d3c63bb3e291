// The decoder cells G1, G2 and G3 of Recurrent Ladder Networks (appendix A.1 to A.3).
#pragma once

#include "formulas/activations.h"

namespace fastladder {

// f(u, w) = w0 sigmoid(w1 u + w2) + w3 u + w4
template <class T>
FASTLADDER_FORMULA T activation(T u, const T* w) {
  return w[0] * sigmoid(w[1] * u + w[2]) + w[3] * u + w[4];
}

// Returns the gradient of u; writes that of w.
template <class T>
FASTLADDER_FORMULA T activation_backward(T u, const T* w, T grad, T* grad_w) {
  T bend = sigmoid(w[1] * u + w[2]);
  T slope = grad * w[0] * bend * (T(1) - bend);
  grad_w[0] = grad * bend;
  grad_w[1] = slope * u;
  grad_w[2] = slope;
  grad_w[3] = grad * u;
  grad_w[4] = grad;
  return slope * w[1] + grad * w[3];
}

// y = s h + (1 - s) f(u, content), s = f(u, gate); with squash_gate s passes through a sigmoid
template <bool squash_gate>
struct CombineG1 {
  static constexpr int least_projections = 1, most_projections = 1;
  static constexpr int parts = 1;   // u
  static constexpr int extras = 1;  // lateral h
  static constexpr int states = 0;
  static constexpr int weights = 10;  // gate, content
  static constexpr int weight_tensors = 2;
  static constexpr bool joint = true;

  template <class T>
  FASTLADDER_FORMULA static void forward(const T* a, const T* extra, const T* w, T* output) {
    T s = activation(a[0], w);
    if constexpr (squash_gate) s = sigmoid(s);
    output[0] = s * extra[0] + (T(1) - s) * activation(a[0], w + 5);
  }

  template <class T>
  FASTLADDER_FORMULA static void backward(
      const T* a, const T* extra, const T* w, const T* grad_output, T* grad_a, T* grad_extra, T* grad_w) {
    T s = activation(a[0], w);
    if constexpr (squash_gate) s = sigmoid(s);
    T grad_s = grad_output[0] * (extra[0] - activation(a[0], w + 5));
    if constexpr (squash_gate) grad_s = grad_s * s * (T(1) - s);
    T grad_content = grad_output[0] * (T(1) - s);
    grad_a[0] =
        activation_backward(a[0], w, grad_s, grad_w) + activation_backward(a[0], w + 5, grad_content, grad_w + 5);
    grad_extra[0] = grad_output[0] * s;
  }
};

// y = s mu1 + (1 - s) mu2, each of mu1, mu2, s an f of its own preactivation
struct CombineG2 {
  static constexpr int least_projections = 2, most_projections = 2;
  static constexpr int parts = 3;  // mu1, mu2, s
  static constexpr int extras = 0;
  static constexpr int states = 0;
  static constexpr int weights = 15;  // of mu1, mu2, s
  static constexpr int weight_tensors = 1;
  static constexpr bool joint = false;

  template <class T>
  FASTLADDER_FORMULA static void forward(const T* a, const T*, const T* w, T* output) {
    T s = activation(a[2], w + 10);
    output[0] = s * activation(a[0], w) + (T(1) - s) * activation(a[1], w + 5);
  }

  template <class T>
  FASTLADDER_FORMULA static void backward(
      const T* a, const T*, const T* w, const T* grad_output, T* grad_a, T*, T* grad_w) {
    T mu1 = activation(a[0], w), mu2 = activation(a[1], w + 5), s = activation(a[2], w + 10);
    grad_a[0] = activation_backward(a[0], w, grad_output[0] * s, grad_w);
    grad_a[1] = activation_backward(a[1], w + 5, grad_output[0] * (T(1) - s), grad_w + 5);
    grad_a[2] = activation_backward(a[2], w + 10, grad_output[0] * (mu1 - mu2), grad_w + 10);
  }
};

// u = relu(a)
struct CombineG3Hidden {
  static constexpr int least_projections = 2, most_projections = 2;
  static constexpr int parts = 1;
  static constexpr int extras = 0;
  static constexpr int states = 0;
  static constexpr int weights = 0;
  static constexpr int weight_tensors = 0;
  static constexpr bool joint = true;

  template <class T>
  FASTLADDER_FORMULA static void forward(const T* a, const T*, const T*, T* output) {
    output[0] = positive_part(a[0], a[0]);
  }

  template <class T>
  FASTLADDER_FORMULA static void backward(const T* a, const T*, const T*, const T* grad_output, T* grad_a, T*, T*) {
    grad_a[0] = positive_part(a[0], grad_output[0]);
  }
};

// y = sigmoid(s) d + (1 - sigmoid(s)) e
struct CombineG3 {
  static constexpr int least_projections = 1, most_projections = 1;
  static constexpr int parts = 3;  // s, d, e
  static constexpr int extras = 0;
  static constexpr int states = 0;
  static constexpr int weights = 0;
  static constexpr int weight_tensors = 0;
  static constexpr bool joint = true;

  template <class T>
  FASTLADDER_FORMULA static void forward(const T* a, const T*, const T*, T* output) {
    T s = sigmoid(a[0]);
    output[0] = s * a[1] + (T(1) - s) * a[2];
  }

  template <class T>
  FASTLADDER_FORMULA static void backward(const T* a, const T*, const T*, const T* grad_output, T* grad_a, T*, T*) {
    T s = sigmoid(a[0]);
    grad_a[0] = grad_output[0] * (a[1] - a[2]) * s * (T(1) - s);
    grad_a[1] = grad_output[0] * s;
    grad_a[2] = grad_output[0] * (T(1) - s);
  }
};

}  // namespace fastladder
