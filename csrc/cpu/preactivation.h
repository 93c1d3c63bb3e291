// The loops of every family with a preactivation (operators/problem.h), over lanes of samples in one memory layout.
//
// A row is a run of elements that lie side by side: the pixels of one channel, or, in channels_last, the channels of
// one pixel. Per-channel coefficients are then constant along the row, or a vector along it.
#pragma once

#include <memory>

#include "cpu/moments.h"
#include "operators/problem.h"

namespace fastladder {

constexpr int64_t grain = 8192;  // elements below which a further thread costs more than it brings

inline int64_t grain_of(int64_t elements_per_item) {
  return std::max<int64_t>(1, grain / std::max<int64_t>(1, elements_per_item));
}

template <class T>
std::unique_ptr<T[]> scratch(int64_t count) {
  return std::unique_ptr<T[]>(new T[std::max<int64_t>(count, 1)]);
}

// What a sample's elements are centred and scaled by: (J, K) each, and the bias (K).
template <class Real>
struct Coefficients {
  std::unique_ptr<Real[]> center, scale, bias;

  Coefficients(int64_t count, int64_t width)
      : center(scratch<Real>(count * width)), scale(scratch<Real>(count * width)), bias(scratch<Real>(width)) {}

  // Dense layers have as many coefficients as numbers, so the inner loops are such as the compiler vectorises.
  template <class Cell, class T>
  void fill(const Problem<Cell, T>& problem, const Real* mean, const Real* rstd, int64_t n) {
    const int64_t width = problem.width, run = problem.run();
    for (int64_t j = 0; j < problem.count; ++j)
      for (int64_t first = 0; first < width; first += run) {
        const bool normalized = problem.norm != Norm::none;
        const int64_t at = j * width + first, statistic = normalized ? problem.statistic(j, n, first) : 0;
        const Real shift = normalized ? mean[statistic] : Real(0), factor = normalized ? rstd[statistic] : Real(1);
        std::fill_n(&center[at], run, shift);
        if (problem.gain)
          for (int64_t k = at; k < at + run; ++k) scale[k] = problem.gain[k] * factor;
        else
          std::fill_n(&scale[at], run, factor);
      }
    if (problem.bias)
      std::copy_n(problem.bias, width, bias.get());
    else
      std::fill_n(bias.get(), width, Real(0));
  }
};

// Addresses of one row: of part q of a tensor of K channels, of a tensor of C channels, and of its coefficients.
struct Row {
  int64_t length, base, part_stride, output, coefficient, coefficient_stride;

  template <class Cell, class T>
  static FASTLADDER_INLINE Row of(const Problem<Cell, T>& problem, int64_t n, int64_t row) {
    const auto [batch, channels, pixels, channels_last] = problem.shape;
    if (channels_last)
      return {channels, (n * pixels + row) * problem.width, channels, (n * pixels + row) * channels, 0, channels};
    return {pixels,  (n * problem.width + row) * pixels, channels * pixels, (n * channels + row) * pixels, row,
            channels};
  }
};

// The per-channel coefficients of one position: loaded once per row, or along it in channels_last.
template <class Cell, int J, class Real>
struct Local {
  using Vector = Lanes<Real>;
  Vector center[J][Cell::parts], scale[J][Cell::parts], bias[Cell::parts], weights[Cell::weights + 1];

  template <class Fetch>
  FASTLADDER_INLINE void fetch(
      const Coefficients<Real>& from, const Real* all_weights, int64_t width, const Row& row, int64_t i, Fetch get) {
    const int64_t at = row.coefficient + i;
    for (int q = 0; q < Cell::parts; ++q) {
      for (int j = 0; j < J; ++j) {
        center[j][q] = get(&from.center[j * width + q * row.coefficient_stride + at]);
        scale[j][q] = get(&from.scale[j * width + q * row.coefficient_stride + at]);
      }
      bias[q] = get(&from.bias[q * row.coefficient_stride + at]);
    }
    for (int w = 0; w < Cell::weights; ++w) weights[w] = get(&all_weights[w * row.coefficient_stride + at]);
  }
};

// Calls body(i, load, store, fresh) for every vector of a row. A last vector that the row does not fill begins earlier
// and repeats what the one before it did, which writes the same numbers again; `fresh` makes its repeated lanes 0, for
// sums. In a row of less than a vector, the lanes behind its end are 0.
template <class Vector, class Body>
FASTLADDER_INLINE void along(int64_t length, Body body) {
  const int64_t whole = length - length % Vector::count;
  for (int64_t i = 0; i < whole; i += Vector::count)
    body(
        i, [](const auto* p) __attribute__((always_inline)) { return load(p); },
        [](auto* p, Vector v) __attribute__((always_inline)) { store(p, v); },
        [](Vector v) __attribute__((always_inline)) { return v; });
  if (whole == length) return;
  const bool is_short = whole == 0;
  const int64_t repeated = is_short ? 0 : Vector::count - (length - whole);
  body(
      is_short ? 0 : length - Vector::count,
      [=](const auto* p) __attribute__((always_inline)) { return is_short ? load(p, length) : load(p); },
      [=](auto* p, Vector v) __attribute__((always_inline)) { is_short ? store(p, v, length) : store(p, v); },
      [=](Vector v) __attribute__((always_inline)) { return from_lane(v, repeated); });
}

template <class Cell, int J, bool channels_last, class T>
FASTLADDER_CLONES void forward_rows(
    const Problem<Cell, T>& problem, const Coefficients<Compute<T>>& coefficients, int64_t n, int64_t begin,
    int64_t end, T* const* outputs) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  for (int64_t index = begin; index < end; ++index) {
    const Row row = Row::of(problem, n, index);
    Local<Cell, J, Real> local;
    if constexpr (!channels_last)
      local.fetch(coefficients, problem.weights, problem.width, row, 0, [](const Real* p) { return Vector(*p); });
    along<Vector>(row.length, [&](int64_t i, auto load_lanes, auto store_lanes, auto) __attribute__((always_inline)) {
      if constexpr (channels_last) local.fetch(coefficients, problem.weights, problem.width, row, i, load_lanes);
      Vector a[Cell::parts], extra[Cell::extras + 1], output[Cell::outputs];
      for (int q = 0; q < Cell::parts; ++q) {
        a[q] = local.bias[q];
        for (int j = 0; j < J; ++j) {
          Vector p = load_lanes(problem.projections[j] + row.base + q * row.part_stride + i);
          a[q] = a[q] + (p - local.center[j][q]) * local.scale[j][q];
        }
      }
      for (int e = 0; e < Cell::extras; ++e) extra[e] = load_lanes(problem.extras[e] + row.output + i);
      Cell::forward(a, extra, local.weights, output);
      for (int o = 0; o < Cell::outputs; ++o) store_lanes(outputs[o] + row.output + i, output[o]);
    });
  }
}

// The sums that a sample's gradients of parameters and statistics are made of: grad_a (K), then for every projection
// grad_a * (p - mean) (J, K), then the gradients of the weights (weights, C).
template <class Cell>
int64_t sum_count(int64_t count, int64_t width, int64_t channels) {
  return (1 + count) * width + Cell::weights * channels;
}

// First half: the gradient of the preactivation, into `grad_a_sample` (K, S), or straight through the gain into the
// projections' gradients where that is null, since no norm follows; the gradients of the extras; and the sums.
template <class Cell, int J, bool channels_last, class T>
FASTLADDER_CLONES void backward_rows(
    const Problem<Cell, T>& problem, const Coefficients<Compute<T>>& coefficients, int64_t n, int64_t begin,
    int64_t end, const Gradients<Cell, T>& gradients, Compute<T>* grad_a_sample, Compute<T>* sums) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  constexpr int sum_parts = (1 + J) * Cell::parts, all_sums = sum_parts + Cell::weights;
  const int64_t sample_base = n * problem.sample(problem.width);
  for (int64_t index = begin; index < end; ++index) {
    const Row row = Row::of(problem, n, index);
    Local<Cell, J, Real> local;
    Vector total[all_sums];
    if constexpr (!channels_last) {
      local.fetch(coefficients, problem.weights, problem.width, row, 0, [](const Real* p) { return Vector(*p); });
      for (Vector& sum : total) sum = Vector(Real(0));
    }
    along<Vector>(
        row.length, [&](int64_t i, auto load_lanes, auto store_lanes, auto fresh) __attribute__((always_inline)) {
          if constexpr (channels_last) local.fetch(coefficients, problem.weights, problem.width, row, i, load_lanes);
          Vector a[Cell::parts], centred[J][Cell::parts], extra[Cell::extras + 1], grad_output[Cell::outputs];
          Vector grad_a[Cell::parts], grad_extra[Cell::extras + 1], grad_weights[Cell::weights + 1];
          for (int q = 0; q < Cell::parts; ++q) {
            a[q] = local.bias[q];
            for (int j = 0; j < J; ++j) {
              Vector p = load_lanes(problem.projections[j] + row.base + q * row.part_stride + i);
              centred[j][q] = p - local.center[j][q];
              a[q] = a[q] + centred[j][q] * local.scale[j][q];
            }
          }
          for (int e = 0; e < Cell::extras; ++e) extra[e] = load_lanes(problem.extras[e] + row.output + i);
          for (int o = 0; o < Cell::outputs; ++o)
            grad_output[o] = gradients.outputs[o] ? load_lanes(gradients.outputs[o] + row.output + i) : Vector(Real(0));
          Cell::backward(a, extra, local.weights, grad_output, grad_a, grad_extra, grad_weights);
          for (int e = 0; e < Cell::extras; ++e) store_lanes(gradients.extras[e] + row.output + i, grad_extra[e]);
          for (int q = 0; q < Cell::parts; ++q) {
            const int64_t at = row.base + q * row.part_stride + i;
            if (grad_a_sample) {
              store_lanes(grad_a_sample + (at - sample_base), grad_a[q]);
            } else {
              for (int j = 0; j < J; ++j) store_lanes(gradients.projections[j] + at, grad_a[q] * local.scale[j][q]);
            }
          }
          Vector part[all_sums];
          for (int q = 0; q < Cell::parts; ++q) {
            part[q] = grad_a[q];
            for (int j = 0; j < J; ++j) part[(1 + j) * Cell::parts + q] = grad_a[q] * centred[j][q];
          }
          for (int w = 0; w < Cell::weights; ++w) part[sum_parts + w] = grad_weights[w];
          for (int s = 0; s < all_sums; ++s) {
            if constexpr (channels_last) {
              Real* target = sums + s * row.coefficient_stride + i;
              store_lanes(target, load_lanes(target) + fresh(part[s]));
            } else {
              total[s] = total[s] + fresh(part[s]);
            }
          }
        });
    if constexpr (!channels_last)
      for (int s = 0; s < all_sums; ++s) sums[s * row.coefficient_stride + row.coefficient] += total[s].sum();
  }
}

// The coefficients (J, K) of the second half, grad_p = direct * grad_a - offset - slope * (p - center).
template <class Real>
struct NormGradient {
  std::unique_ptr<Real[]> direct, offset, slope;

  NormGradient(int64_t count, int64_t width)
      : direct(scratch<Real>(count * width)),
        offset(scratch<Real>(count * width)),
        slope(scratch<Real>(count * width)) {}

  // With xhat = (p - mean) rstd: grad_p = rstd (gain grad_a - <gain grad_a> - xhat <gain grad_a xhat>), where < > is
  // the mean over the normalisation group. `sums` are those of the group's sample (layer) or of the batch (batch).
  template <class Cell, class T>
  void fill(const Problem<Cell, T>& problem, const Real* rstd, int64_t n, const Real* sums) {
    const int64_t width = problem.width, run = problem.run();
    for (int64_t j = 0; j < problem.count; ++j)
      for (int64_t first = 0; first < width; first += run) {
        const int64_t at = j * width + first;
        const Real deviation = rstd[problem.statistic(j, n, first)];
        double plain = 0, projected = 0;
        for (int64_t k = 0; k < run; ++k) {
          const double gain = problem.gain ? problem.gain[at + k] : 1.0;
          plain += gain * sums[first + k];
          projected += gain * sums[width + at + k];
        }
        plain /= problem.group_size();
        projected *= static_cast<double>(deviation) / problem.group_size();
        if (problem.gain)
          for (int64_t k = at; k < at + run; ++k) direct[k] = deviation * problem.gain[k];
        else
          std::fill_n(&direct[at], run, deviation);
        std::fill_n(&offset[at], run, static_cast<Real>(deviation * plain));
        std::fill_n(&slope[at], run, static_cast<Real>(deviation * deviation * projected));
      }
  }
};

// Second half: the gradient through the normalisation, from grad_a to the projections.
template <class Cell, bool channels_last, class T>
FASTLADDER_CLONES void normalize_rows(
    const Problem<Cell, T>& problem, const Coefficients<Compute<T>>& coefficients,
    const NormGradient<Compute<T>>& norm_gradient, int64_t n, int64_t begin, int64_t end,
    const Gradients<Cell, T>& gradients, const Compute<T>* grad_a_sample) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  const int64_t sample_base = n * problem.sample(problem.width);
  for (int64_t index = begin; index < end; ++index) {
    const Row row = Row::of(problem, n, index);
    for (int q = 0; q < Cell::parts; ++q)
      for (int64_t j = 0; j < problem.count; ++j) {
        const int64_t k = j * problem.width + q * row.coefficient_stride + row.coefficient;
        const int64_t base = row.base + q * row.part_stride;
        Vector direct, offset, slope, center;
        const auto fetch = [&](int64_t i, auto get) __attribute__((always_inline)) {
          direct = get(&norm_gradient.direct[k + i]);
          offset = get(&norm_gradient.offset[k + i]);
          slope = get(&norm_gradient.slope[k + i]);
          center = get(&coefficients.center[k + i]);
        };
        if constexpr (!channels_last) fetch(0, [](const Real* p) { return Vector(*p); });
        along<Vector>(
            row.length, [&](int64_t i, auto load_lanes, auto store_lanes, auto) __attribute__((always_inline)) {
              if constexpr (channels_last) fetch(i, load_lanes);
              Vector grad_a = load_lanes(grad_a_sample + (base - sample_base) + i);
              Vector centred = load_lanes(problem.projections[j] + base + i) - center;
              store_lanes(gradients.projections[j] + base + i, direct * grad_a - offset - slope * centred);
            });
      }
  }
}

}  // namespace fastladder
