// The LSTM cell: c' = sigmoid(f) c + sigmoid(i) tanh(g), h' = sigmoid(o) tanh(c'), gates in the order i, f, g, o.
#pragma once

#include "formulas/activations.h"

namespace fastladder {

struct LstmGates {
  static constexpr int least_projections = 1, most_projections = 3;
  static constexpr int parts = 4;    // preactivations per output channel: i, f, g, o
  static constexpr int extras = 0;   // further activations
  static constexpr int states = 1;   // recurrent states, read after the extras and written after the output h': c
  static constexpr int weights = 0;  // parameters per channel
  static constexpr int weight_tensors = 0;
  static constexpr bool joint = true;  // layer norm takes all parts together

  template <class T>
  FASTLADDER_FORMULA static void forward(const T* a, const T* state, const T*, T* output) {
    T cell = sigmoid(a[1]) * state[0] + sigmoid_times_tanh(a[0], a[2]);
    output[0] = sigmoid_times_tanh(a[3], cell);
    output[1] = cell;
  }

  template <class T>
  FASTLADDER_FORMULA static void backward(
      const T* a, const T* state, const T*, const T* grad_output, T* grad_a, T* grad_state, T*) {
    T i = sigmoid(a[0]), f = sigmoid(a[1]), g = tanh(a[2]), o = sigmoid(a[3]);
    T squashed = tanh(f * state[0] + i * g);
    T grad_cell = grad_output[1] + grad_output[0] * o * (T(1) - squashed * squashed);
    grad_a[0] = grad_cell * g * i * (T(1) - i);
    grad_a[1] = grad_cell * state[0] * f * (T(1) - f);
    grad_a[2] = grad_cell * i * (T(1) - g * g);
    grad_a[3] = grad_output[0] * squashed * o * (T(1) - o);
    grad_state[0] = grad_cell * f;
  }
};

}  // namespace fastladder
