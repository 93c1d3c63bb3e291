// The loops of every family with a preactivation (operators/preactivation_problem.h), over lanes of samples in one
// memory layout.
//
// A row is a run of elements that lie side by side: the pixels of one channel, or, in channels_last, the channels of
// one pixel. Per-channel coefficients are then constant along the row, or a vector along it.
#pragma once

#include <memory>

#include "cpu/statistics.h"
#include "operators/preactivation_problem.h"

namespace fastladder {

constexpr int64_t grain = 8192;  // elements below which a further thread costs more than it brings

inline int64_t grain_of(int64_t elements_per_item) {
  return std::max<int64_t>(1, grain / std::max<int64_t>(1, elements_per_item));
}

template <class T>
std::unique_ptr<T[]> scratch(int64_t count) {
  return std::unique_ptr<T[]>(new T[std::max<int64_t>(count, 1)]);
}

// Addresses of one row: of part q of a tensor of K channels, of a tensor of C channels, and its (first) channel.
struct Row {
  int64_t length, base, part_stride, output, channel;

  template <class Cell, class T>
  static FASTLADDER_INLINE Row of(const Problem<Cell, T>& problem, int64_t n, int64_t row) {
    const auto [batch, channels, pixels, channels_last] = problem.shape;
    if (channels_last)
      return {channels, (n * pixels + row) * problem.width, channels, (n * pixels + row) * channels, 0};
    return {pixels, (n * problem.width + row) * pixels, channels * pixels, (n * channels + row) * pixels, row};
  }
};

// Fetches numbers for output channel `channel` of sample n: of tensors of one number per channel with `get`, which
// loads one number or, in channels_last, a vector along the channels.
template <class Cell, class T, class Get>
struct Position {
  using Vector = Lanes<Compute<T>>;
  const Problem<Cell, T>& problem;
  int64_t n, channel;
  Get get;

  // Of channel `channel` in row `row` of a parameter (rows, C).
  FASTLADDER_INLINE Vector parameter(const Compute<T>* from, int64_t row, Compute<T> missing) const {
    return from ? get(from + row * problem.shape.channels + channel) : Vector(missing);
  }

  // Of part q of projection j. Those of layer norm belong to the sample, so they are the same for all channels.
  FASTLADDER_INLINE Vector statistic(const Compute<T>* from, int64_t j, int q, Compute<T> missing) const {
    if (problem.norm == Norm::none) return Vector(missing);
    if (problem.norm == Norm::batch) return parameter(from, j * Cell::parts + q, missing);
    return Vector(from[problem.norm_group(j, n, q)]);
  }
};

template <class Cell, class T, class Get>
FASTLADDER_INLINE Position<Cell, T, Get> position(
    const Problem<Cell, T>& problem, int64_t n, int64_t channel, Get get) {
  return {problem, n, channel, get};
}

template <class Real>
struct Broadcast {
  FASTLADDER_INLINE Lanes<Real> operator()(const Real* number) const { return Lanes<Real>(*number); }
};

// What the elements of one position share: fetched once per row, or along it in channels_last.
template <class Cell, int J, class Real>
struct Local {
  using Vector = Lanes<Real>;
  Vector mean[J][Cell::parts], rstd[J][Cell::parts], gain[J][Cell::parts], bias[Cell::parts];
  Vector weights[Cell::weights + 1];

  template <class T, class Get>
  FASTLADDER_INLINE void fetch(const Position<Cell, T, Get>& at, const Real* means, const Real* rstds) {
    for (int q = 0; q < Cell::parts; ++q) {
      for (int j = 0; j < J; ++j) {
        mean[j][q] = at.statistic(means, j, q, Real(0));
        rstd[j][q] = at.statistic(rstds, j, q, Real(1));
        gain[j][q] = at.parameter(at.problem.gain, j * Cell::parts + q, Real(1));
      }
      bias[q] = at.parameter(at.problem.bias, q, Real(0));
    }
    for (int w = 0; w < Cell::weights; ++w) weights[w] = at.get(at.problem.weight(w) + at.channel);
  }
};

// Calls body(i, load, store, repeated) for every vector of a row. A last vector that the row does not fill begins
// earlier and repeats what the one before it did, which writes the same numbers again; sums leave out its first
// `repeated` lanes. In a row of less than a vector, the lanes behind its end are 0.
template <class Vector, class Body>
FASTLADDER_INLINE void along(int64_t length, Body body) {
  if (length < Vector::count)
    return body(
        0, [=](const auto* p) __attribute__((always_inline)) { return load(p, length); },
        [=](auto* p, Vector v) __attribute__((always_inline)) { store(p, v, length); }, 0);
  for (int64_t begin = 0; begin < length; begin += Vector::count) {
    const int64_t i = std::min(begin, length - Vector::count);
    body(
        i, [](const auto* p) __attribute__((always_inline)) { return load(p); },
        [](auto* p, Vector v) __attribute__((always_inline)) { store(p, v); }, begin - i);
  }
}

// Loads a vector of a row. In channels_last the parts of a row are short runs, `next` numbers before those of the next
// row, and too short for the processor to foresee them: they are asked for now (measured: a fifth less time).
template <bool channels_last, class T, class Load>
FASTLADDER_INLINE Lanes<Compute<T>> load_ahead(const T* source, int64_t next, Load load_lanes) {
  if constexpr (channels_last) __builtin_prefetch(source + next);
  return load_lanes(source);
}

template <class Cell, int J, bool channels_last, class T>
FASTLADDER_INLINE void forward_rows(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds, int64_t n, int64_t begin,
    int64_t end, const Outputs<Cell, T>& outputs) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  const int64_t channels = problem.shape.channels;
  for (int64_t index = begin; index < end; ++index) {
    const Row row = Row::of(problem, n, index);
    Local<Cell, J, Real> local;
    if constexpr (!channels_last) local.fetch(position(problem, n, row.channel, Broadcast<Real>()), means, rstds);
    along<Vector>(
        row.length, [&](int64_t i, auto load_lanes, auto store_lanes, int64_t) __attribute__((always_inline)) {
          if constexpr (channels_last) local.fetch(position(problem, n, i, load_lanes), means, rstds);
          Vector a[Cell::parts], beside[Cell::extras + Cell::states + 1], output[1 + Cell::states];
          for (int q = 0; q < Cell::parts; ++q) {
            a[q] = local.bias[q];
            for (int j = 0; j < J; ++j) {
              Vector p = load_ahead<channels_last>(
                  problem.projections[j] + row.base + q * row.part_stride + i, problem.width, load_lanes);
              a[q] = a[q] + (p - local.mean[j][q]) * (local.rstd[j][q] * local.gain[j][q]);
            }
          }
          for (int e = 0; e < Cell::extras; ++e)
            beside[e] = load_ahead<channels_last>(problem.extras[e] + row.output + i, channels, load_lanes);
          for (int s = 0; s < Cell::states; ++s)
            beside[Cell::extras + s] =
                load_ahead<channels_last>(problem.states[s] + row.output + i, channels, load_lanes);
          Cell::forward(a, beside, local.weights, output);
          store_lanes(outputs.output + row.output + i, output[0]);
          for (int s = 0; s < Cell::states; ++s) store_lanes(outputs.states[s] + row.output + i, output[1 + s]);
        });
  }
}

// The sums that the gradients of the parameters are, in rows of C: grad_a (parts, C), then for every projection grad_a
// * xhat (J, parts, C), then the gradients of the weights (weights, C).
template <class Cell>
constexpr int64_t sum_rows(int64_t count) {
  return (1 + count) * Cell::parts + Cell::weights;
}

// Numbers from one of these rows to the next: an odd number of cache lines, for rows a power of two apart would push
// each other out of the cache.
template <class Real>
constexpr int64_t sum_stride(int64_t channels) {
  constexpr int64_t line = 64 / sizeof(Real);
  return ((channels + line - 1) / line | 1) * line;
}

// First half: the gradient of the preactivation, into `grad_a_sample` (K, S), or straight through the gain into the
// projections' gradients where that is null, since no norm follows; the gradients of extras and states; and the sums,
// added to those of earlier calls. Layer norm wants more, of these rows only: gain grad_a and gain grad_a xhat for
// every projection and norm group, (J, norm_groups, 2).
template <class Cell, int J, bool channels_last, class T>
FASTLADDER_INLINE void backward_rows(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds, int64_t n, int64_t begin,
    int64_t end, const Gradients<Cell, T>& gradients, Compute<T>* grad_a_sample, Compute<T>* sums, double* norm_sums) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  constexpr int norm_groups = Problem<Cell, T>::norm_groups;
  constexpr int sum_parts = (1 + J) * Cell::parts, all_sums = sum_parts + Cell::weights;
  const int64_t channels = problem.shape.channels, stride = sum_stride<Real>(channels);
  const int64_t sample_base = n * problem.sample(problem.width);
  Vector sum_grad[J][norm_groups], sum_grad_xhat[J][norm_groups];
  for (int j = 0; j < J; ++j)
    for (int norm_group = 0; norm_group < norm_groups; ++norm_group)
      sum_grad[j][norm_group] = sum_grad_xhat[j][norm_group] = Vector(Real(0));
  for (int64_t index = begin; index < end; ++index) {
    const Row row = Row::of(problem, n, index);
    Local<Cell, J, Real> local;
    const auto add_to_norm_sums = [&](const Vector* part) __attribute__((always_inline)) {
      for (int j = 0; j < J; ++j)
        for (int q = 0; q < Cell::parts; ++q) {
          const int norm_group = Cell::joint ? 0 : q;
          sum_grad[j][norm_group] = sum_grad[j][norm_group] + local.gain[j][q] * part[q];
          sum_grad_xhat[j][norm_group] =
              sum_grad_xhat[j][norm_group] + local.gain[j][q] * part[(1 + j) * Cell::parts + q];
        }
    };
    Vector total[all_sums];
    if constexpr (!channels_last) {
      local.fetch(position(problem, n, row.channel, Broadcast<Real>()), means, rstds);
      for (Vector& sum : total) sum = Vector(Real(0));
    }
    along<Vector>(
        row.length, [&](int64_t i, auto load_lanes, auto store_lanes, int64_t repeated) __attribute__((always_inline)) {
          if constexpr (channels_last) local.fetch(position(problem, n, i, load_lanes), means, rstds);
          Vector a[Cell::parts], xhat[J][Cell::parts], beside[Cell::extras + Cell::states + 1];
          Vector grad_a[Cell::parts], grad_beside[Cell::extras + Cell::states + 1], grad_weights[Cell::weights + 1];
          Vector grad_output[1 + Cell::states];
          for (int q = 0; q < Cell::parts; ++q) {
            a[q] = local.bias[q];
            for (int j = 0; j < J; ++j) {
              Vector p = load_ahead<channels_last>(
                  problem.projections[j] + row.base + q * row.part_stride + i, problem.width, load_lanes);
              xhat[j][q] = (p - local.mean[j][q]) * local.rstd[j][q];
              a[q] = a[q] + xhat[j][q] * local.gain[j][q];
            }
          }
          const auto load_output = [&](const auto* source) __attribute__((always_inline)) {
            return load_ahead<channels_last>(source + row.output + i, channels, load_lanes);
          };
          for (int e = 0; e < Cell::extras; ++e) beside[e] = load_output(problem.extras[e]);
          for (int s = 0; s < Cell::states; ++s) beside[Cell::extras + s] = load_output(problem.states[s]);
          grad_output[0] = gradients.output ? load_output(gradients.output) : Vector(Real(0));
          for (int s = 0; s < Cell::states; ++s)
            grad_output[1 + s] = gradients.new_states[s] ? load_output(gradients.new_states[s]) : Vector(Real(0));
          Cell::backward(a, beside, local.weights, grad_output, grad_a, grad_beside, grad_weights);
          for (int e = 0; e < Cell::extras; ++e) store_lanes(gradients.extras[e] + row.output + i, grad_beside[e]);
          for (int s = 0; s < Cell::states; ++s)
            store_lanes(gradients.states[s] + row.output + i, grad_beside[Cell::extras + s]);
          for (int q = 0; q < Cell::parts; ++q) {
            const int64_t at = row.base + q * row.part_stride + i;
            if (grad_a_sample) {
              store_lanes(grad_a_sample + (at - sample_base), grad_a[q]);
            } else {
              for (int j = 0; j < J; ++j) store_lanes(gradients.projections[j] + at, grad_a[q] * local.gain[j][q]);
            }
          }
          Vector part[all_sums];
          for (int q = 0; q < Cell::parts; ++q) {
            part[q] = grad_a[q];
            for (int j = 0; j < J; ++j) part[(1 + j) * Cell::parts + q] = grad_a[q] * xhat[j][q];
          }
          for (int w = 0; w < Cell::weights; ++w) part[sum_parts + w] = grad_weights[w];
          if (repeated > 0)
            for (Vector& sum : part) sum = from_lane(sum, repeated);
          if constexpr (channels_last) {
            for (int s = 0; s < all_sums; ++s) {
              Real* target = sums + s * stride + i;
              store_lanes(target, load_lanes(target) + part[s]);
            }
            if (norm_sums) add_to_norm_sums(part);
          } else {
            for (int s = 0; s < all_sums; ++s) total[s] = total[s] + part[s];
          }
        });
    if constexpr (!channels_last) {
      for (int s = 0; s < all_sums; ++s) sums[s * stride + row.channel] += total[s].sum();
      if (norm_sums) add_to_norm_sums(total);
    }
  }
  if (norm_sums)
    for (int j = 0; j < J; ++j)
      for (int norm_group = 0; norm_group < norm_groups; ++norm_group) {
        *norm_sums++ = sum_grad[j][norm_group].sum();
        *norm_sums++ = sum_grad_xhat[j][norm_group].sum();
      }
}

// Second half, from grad_a to the gradient of the projections through the normalisation:
// grad_p = rstd (gain grad_a - mean_grad - xhat mean_grad_xhat), where mean_grad and mean_grad_xhat, which stand like
// the statistics, are the means of gain grad_a and of gain grad_a xhat over the norm group.
template <class Cell, bool channels_last, class T>
FASTLADDER_INLINE void normalize_rows(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds, const Compute<T>* mean_grads,
    const Compute<T>* mean_grads_xhat, int64_t n, int64_t begin, int64_t end, const Gradients<Cell, T>& gradients,
    const Compute<T>* grad_a_sample) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  const int64_t sample_base = n * problem.sample(problem.width);
  for (int64_t index = begin; index < end; ++index) {
    const Row row = Row::of(problem, n, index);
    for (int q = 0; q < Cell::parts; ++q)
      for (int64_t j = 0; j < problem.count; ++j) {
        const int64_t base = row.base + q * row.part_stride;
        Vector mean, rstd, gain, mean_grad, mean_grad_xhat;
        const auto fetch = [&](const auto& at) __attribute__((always_inline)) {
          mean = at.statistic(means, j, q, Real(0));
          rstd = at.statistic(rstds, j, q, Real(1));
          mean_grad = at.statistic(mean_grads, j, q, Real(0));
          mean_grad_xhat = at.statistic(mean_grads_xhat, j, q, Real(0));
          gain = at.parameter(problem.gain, j * Cell::parts + q, Real(1));
        };
        if constexpr (!channels_last) fetch(position(problem, n, row.channel, Broadcast<Real>()));
        along<Vector>(
            row.length, [&](int64_t i, auto load_lanes, auto store_lanes, int64_t) __attribute__((always_inline)) {
              if constexpr (channels_last) fetch(position(problem, n, i, load_lanes));
              Vector grad_a = load_lanes(grad_a_sample + (base - sample_base) + i);
              Vector xhat = (load_lanes(problem.projections[j] + base + i) - mean) * rstd;
              store_lanes(
                  gradients.projections[j] + base + i, rstd * (gain * grad_a - mean_grad - xhat * mean_grad_xhat));
            });
      }
  }
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
