// One call of an operator with a preactivation
//
//   a[k] = sum_j gain[j, k] * (p_j - mean) * rstd + bias[k],   output, new states = Cell::forward(a, beside, weights)
//
// for J projections p_j of K = parts * C channels, as a kernel sees it: raw pointers into tensors of one memory layout.
// Beside the preactivations a Cell reads its extras, activations of the projections' type, and its recurrent states,
// which it also writes anew. States may be wide: of the type of arithmetic while the activations are narrow.
//
// A Cell (formulas/lstm_gates.h, formulas/gated_combine.h) supplies the mathematics of one element.
#pragma once

#include "formulas/activations.h"
#include "precision.h"
#include "tensors.h"

namespace fastladder {

// A Cell that keeps its states in the type of arithmetic, such as float32 beside bfloat16 activations.
template <class Cell>
struct WideStates : Cell {};

template <class Cell, class T>
struct StateOf {
  using Type = T;
};
template <class Cell, class T>
struct StateOf<WideStates<Cell>, T> {
  using Type = Compute<T>;
};
// The type of a Cell's states beside activations of type T.
template <class Cell, class T>
using State = typename StateOf<Cell, T>::Type;

// The arguments as a kernel sees them.
template <class Cell, class T>
struct Problem {
  using Real = Compute<T>;
  Shape shape;
  int64_t count;  // J
  int64_t width;  // K = parts * C
  Norm norm;
  double eps;
  const T* projections[3];                         // J times (N, K, S)
  const T* extras[Cell::extras + 1];               // (N, C, S) each
  const State<Cell, T>* states[Cell::states + 1];  // likewise
  const Real* weights[2];                          // together (weights, C)
  const Real* gain;                                // (J, K) or null, which is 1
  const Real* bias;                                // (K) or null, which is 0

  static constexpr int weight_rows = Cell::weight_tensors == 0 ? 1 : Cell::weights / Cell::weight_tensors;  // of one
  // In a sample, for layer norm. The numbers of a norm group are normalised together: they share a mean.
  static constexpr int64_t norm_groups = Cell::joint ? 1 : Cell::parts;

  // Row w of the weights, (C).
  FASTLADDER_FORMULA const Real* weight(int w) const {
    return weights[w / weight_rows] + w % weight_rows * shape.channels;
  }
  int64_t sample(int64_t channels) const { return channels * shape.pixels; }
  int64_t norm_size() const {
    return norm == Norm::layer ? width / norm_groups * shape.pixels : shape.batch * shape.pixels;
  }
  // Statistics are (J, N, norm_groups) for layer norm, (J, K) for batch norm. This is the index of the norm
  // group of a part, for layer norm.
  FASTLADDER_FORMULA int64_t norm_group(int64_t j, int64_t n, int64_t part) const {
    return (j * shape.batch + n) * norm_groups + (norm_groups == 1 ? 0 : part);
  }
  int64_t statistics() const {
    return norm == Norm::none ? 0 : count * (norm == Norm::layer ? shape.batch * norm_groups : width);
  }
};

// The results of the forward pass.
template <class Cell, class T>
struct Outputs {
  T* output;                                 // (N, C, S)
  State<Cell, T>* states[Cell::states + 1];  // (N, C, S) each
};

// The cotangents that the backward pass reads, and the gradients that it writes.
template <class Cell, class T>
struct Gradients {
  const T* output;                                     // (N, C, S), or null where it is unused
  const State<Cell, T>* new_states[Cell::states + 1];  // likewise
  T* projections[3];                                   // J times (N, K, S)
  T* extras[Cell::extras + 1];                         // (N, C, S) each
  State<Cell, T>* states[Cell::states + 1];            // likewise
  Compute<T>* weights[2];                              // together (weights, C)
  Compute<T>* gain;                                    // (J, K), or null where the argument is missing
  Compute<T>* bias;                                    // (K), likewise
};

// Calls run(constant) with the number of projections as a compile-time constant, one of those the family can have.
template <class Cell, int J = Cell::least_projections, class Run>
void with_count(int64_t count, Run run) {
  if constexpr (J < Cell::most_projections)
    if (count > J) return with_count<Cell, J + 1>(count, run);
  run(std::integral_constant<int, J>());
}

}  // namespace fastladder
