// The loops of the backward pass of an operator with a preactivation, over the rows of one sample: from the gradients
// of the outputs to grad_a, those of the preactivations, and from grad_a through a normalisation to the projections.
#pragma once

#include "cpu/preactivation_rows.h"

namespace fastladder {

// The sums that the gradients of the parameters are, in rows of C: grad_a (parts, C), then for every projection grad_a
// * xhat (J, parts, C), then the gradients of the weights (weights, C).
template <class Cell>
constexpr int64_t sum_rows(int64_t count) {
  return (1 + count) * Cell::parts + Cell::weights;
}

// Whether one of these rows is used: grad_a xhat is for the gradient of the gain and for a norm.
template <class Cell, class T>
FASTLADDER_INLINE bool is_used(
    const Problem<Cell, T>& problem, const Gradients<Cell, T>& gradients, int row, int count) {
  return gradients.gain || problem.norm != Norm::none || row < Cell::parts || row >= (1 + count) * Cell::parts;
}

// Numbers from one of these rows to the next: an odd number of cache lines, for rows a power of two apart would push
// each other out of the cache.
template <class Real>
constexpr int64_t sum_stride(int64_t channels) {
  constexpr int64_t line = 64 / sizeof(Real);
  return ((channels + line - 1) / line | 1) * line;
}

// One vector of a row, at the addresses `base` and `output` (see Inputs): writes the gradients of its extras and
// states, and grad_a into `grad_a_row` or, where that is null since no norm follows, straight through the gain into the
// gradients of the projections. `sums` gets what it adds to those of sum_rows.
template <class Cell, int J, class T, class Load, class Store>
FASTLADDER_INLINE void backward_vector(
    const Problem<Cell, T>& problem, const Gradients<Cell, T>& gradients, int64_t base, int64_t part_stride,
    int64_t output, const Coefficients<Cell, J, Compute<T>>& coefficients, Compute<T>* grad_a_row, Load load_lanes,
    Store store_lanes, Lanes<Compute<T>> (&sums)[sum_rows<Cell>(J)]) {
  using Vector = Lanes<Compute<T>>;
  const Inputs<Cell, J, T> inputs(problem, base, part_stride, output, coefficients, load_lanes);
  const auto load_gradient = [&](const auto* source) __attribute__((always_inline)) {
    return source ? load_lanes(source + output, problem.shape.channels) : Vector(Compute<T>(0));
  };
  Vector grad_output[1 + Cell::states];
  grad_output[0] = load_gradient(gradients.output);
  for (int s = 0; s < Cell::states; ++s) grad_output[1 + s] = load_gradient(gradients.new_states[s]);

  Vector grad_a[Cell::parts], grad_beside[Cell::extras + Cell::states + 1], grad_weights[Cell::weights + 1];
  Cell::backward(inputs.a, inputs.beside, coefficients.weights, grad_output, grad_a, grad_beside, grad_weights);

  for (int e = 0; e < Cell::extras; ++e)
    store_lanes(gradients.extras[e] + output, grad_beside[e], problem.shape.channels);
  for (int s = 0; s < Cell::states; ++s)
    store_lanes(gradients.states[s] + output, grad_beside[Cell::extras + s], problem.shape.channels);
  for (int q = 0; q < Cell::parts; ++q) {
    const int64_t at = q * part_stride;
    if (grad_a_row) {
      store_lanes(grad_a_row + at, grad_a[q], problem.width);
    } else {
      for (int j = 0; j < J; ++j)
        if (j == 0 || gradients.projections[j] != gradients.projections[0])  // two may share a gradient
          store_lanes(gradients.projections[j] + base + at, grad_a[q] * coefficients.gain[j][q], problem.width);
    }
    sums[q] = grad_a[q];
    for (int j = 0; j < J; ++j)
      sums[(1 + j) * Cell::parts + q] = grad_a[q] * (inputs.centred[j][q] * coefficients.rstd[j][q]);
  }
  for (int w = 0; w < Cell::weights; ++w) sums[(1 + J) * Cell::parts + w] = grad_weights[w];
}

// The sums that layer norm needs over some rows, for every projection and norm group: of gain grad_a and of gain grad_a
// xhat.
template <class Cell, int J, class Real>
struct NormSums {
  static constexpr int norm_groups = Problem<Cell, Real>::norm_groups;
  Lanes<Real> sum_grad[J][norm_groups], sum_grad_xhat[J][norm_groups];

  FASTLADDER_INLINE NormSums() {
    for (int j = 0; j < J; ++j)
      for (int norm_group = 0; norm_group < norm_groups; ++norm_group)
        sum_grad[j][norm_group] = sum_grad_xhat[j][norm_group] = Lanes<Real>(Real(0));
  }

  // Adds grad_a and grad_a xhat, which come first among the sums of sum_rows.
  FASTLADDER_INLINE void add(const Coefficients<Cell, J, Real>& coefficients, const Lanes<Real>* sums) {
    for (int j = 0; j < J; ++j)
      for (int q = 0; q < Cell::parts; ++q) {
        const int norm_group = Cell::joint ? 0 : q;
        const Lanes<Real> gain = coefficients.gain[j][q];
        sum_grad[j][norm_group] = sum_grad[j][norm_group] + gain * sums[q];
        sum_grad_xhat[j][norm_group] = sum_grad_xhat[j][norm_group] + gain * sums[(1 + j) * Cell::parts + q];
      }
  }

  // Adds them to (J, norm_groups, 2).
  FASTLADDER_INLINE void add_to(double* target) const {
    for (int j = 0; j < J; ++j)
      for (int norm_group = 0; norm_group < norm_groups; ++norm_group) {
        *target++ += sum_grad[j][norm_group].sum();
        *target++ += sum_grad_xhat[j][norm_group].sum();
      }
  }
};

// First half, of a stretch: grad_a into `grad_a`, which lies like the projections from address `origin` on, or, where
// it is null, straight into the gradients of the projections. Adds to the sums of sum_rows, which are in rows
// sum_stride apart, and, where they are not null, to the norm sums (J, norm_groups, 2).
template <class Cell, int J, class Row, class T>
FASTLADDER_INLINE void backward_rows(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds, Stretch stretch,
    const Gradients<Cell, T>& gradients, Compute<T>* grad_a, int64_t origin, Compute<T>* sums, double* norm_sums) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  constexpr int all_sums = sum_rows<Cell>(J);
  const int64_t stride = sum_stride<Real>(problem.shape.channels);
  NormSums<Cell, J, Real> of_norm;
  Row::for_each(problem, stretch, [&](const Row& row) __attribute__((always_inline)) {
    const Coefficients<Cell, J, Real> coefficients(Position<Cell, T, Row>{problem, stretch.n, row}, means, rstds);
    Real* grad_a_row = grad_a ? grad_a + (row.base - origin) : nullptr;
    Vector total[all_sums];
    for (Vector& sum : total) sum = Vector(Real(0));
    row.walk([&](int64_t wide, int64_t narrow, auto load_lanes, auto store_lanes, int64_t repeated)
                 __attribute__((always_inline)) {
                   Vector part[all_sums];
                   backward_vector<Cell, J>(
                       problem, gradients, row.base + wide, row.part_stride, row.output + narrow, coefficients,
                       grad_a ? grad_a_row + wide : nullptr, load_lanes, store_lanes, part);
                   if (repeated > 0)
                     for (Vector& sum : part) sum = from_lane(sum, repeated);
                   for (int s = 0; s < all_sums; ++s) total[s] = Row::is_step ? part[s] : total[s] + part[s];
                 });
    for (Vector& sum : total) sum = row.counted(sum);
    for (int s = 0; s < all_sums; ++s)
      if (is_used(problem, gradients, s, J)) row.add(sums + s * stride + row.channel, total[s]);
    if (norm_sums) of_norm.add(coefficients, total);
  });
  if (norm_sums) of_norm.add_to(norm_sums);
}

// What the gradient of a preactivation's input is from: the coefficients of one part of one projection in a row.
template <class Cell, class T, class Row>
struct Normalization {
  using Real = Compute<T>;
  Lanes<Real> mean, rstd, gain, mean_grad, mean_grad_xhat;

  FASTLADDER_INLINE void fetch(
      const Position<Cell, T, Row>& at, int64_t j, int q, const Real* means, const Real* rstds, const Real* mean_grads,
      const Real* mean_grads_xhat) {
    mean = at.statistic(means, j, q, Real(0));
    rstd = at.statistic(rstds, j, q, Real(1));
    gain = at.parameter(at.problem.gain, j * Cell::parts + q, Real(1));
    mean_grad = at.statistic(mean_grads, j, q, Real(0));
    mean_grad_xhat = at.statistic(mean_grads_xhat, j, q, Real(0));
  }
};

// Second half, from grad_a to the gradient of the projections through the normalisation: grad_p = rstd (gain grad_a -
// mean_grad - xhat mean_grad_xhat), where mean_grad and mean_grad_xhat, in the layout of the statistics, are the means
// of gain grad_a and of gain grad_a xhat over the norm group. `grad_a` and `origin` are as in the first half.
template <class Cell, class Row, class T>
FASTLADDER_INLINE void normalize_rows(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds, const Compute<T>* mean_grads,
    const Compute<T>* mean_grads_xhat, Stretch stretch, const Gradients<Cell, T>& gradients, const Compute<T>* grad_a,
    int64_t origin) {
  using Vector = Lanes<Compute<T>>;
  // The parts of a pixel lie side by side, those of a channel far apart; a single step has no use for more registers.
  constexpr int at_once = std::is_same_v<Row, ChannelRow<Compute<T>>> ? Cell::parts : 1;
  Row::for_each(problem, stretch, [&](const Row& row) __attribute__((always_inline)) {
    const Position<Cell, T, Row> at{problem, stretch.n, row};
    for (int64_t j = 0; j < problem.count; ++j)
      for (int first = 0; first < Cell::parts; first += at_once) {
        Normalization<Cell, T, Row> of_part[at_once];
        for (int i = 0; i < at_once; ++i) of_part[i].fetch(at, j, first + i, means, rstds, mean_grads, mean_grads_xhat);
        row.walk([&](int64_t wide, int64_t, auto load_lanes, auto store_lanes, int64_t) __attribute__((always_inline)) {
          for (int i = 0; i < at_once; ++i) {
            const auto& part = of_part[i];
            const int64_t from = row.base + (first + i) * row.part_stride + wide;
            const Vector of_a = load_lanes(grad_a + (from - origin), problem.width);
            const Vector xhat = (load_lanes(problem.projections[j] + from, problem.width) - part.mean) * part.rstd;
            const Vector grad = part.rstd * (part.gain * of_a - part.mean_grad - xhat * part.mean_grad_xhat);
            store_lanes(gradients.projections[j] + from, grad, problem.width);
          }
        });
      }
  });
}

// Adds up blocks of `count` sums, from `begin` to `end`, into the first block. In order and in double, so the result is
// the same for any number of threads.
template <class Real>
FASTLADDER_INLINE void add_blocks(Real* sums, int64_t blocks, int64_t count, int64_t begin, int64_t end) {
  constexpr int64_t step = 256;
  for (; begin < end; begin += step) {
    const int64_t length = std::min(step, end - begin);
    double totals[step] = {};
    for (int64_t block = 0; block < blocks; ++block)
      for (int64_t i = 0; i < length; ++i) totals[i] += sums[block * count + begin + i];
    for (int64_t i = 0; i < length; ++i) sums[begin + i] = static_cast<Real>(totals[i]);
  }
}

}  // namespace fastladder
