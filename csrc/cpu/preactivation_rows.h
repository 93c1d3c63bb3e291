// The rows of samples that the loops of an operator with a preactivation (operators/preactivation_problem.h) run over,
// what is read of them, and the loop of the forward pass.
//
// A row is a run of elements that lie side by side: the pixels of one channel, or, in channels_last, the channels of
// one pixel. Per-channel coefficients are then constant along the row, or a vector along it.
#pragma once

#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "operators/preactivation_problem.h"

namespace fastladder {

// Threads share the samples, or blocks of them, where there are enough; else they share the rows of one sample after
// the other.
template <class Cell, class T, class Run>
void over_samples(const Problem<Cell, T>& problem, int64_t count, int64_t elements, Run run) {
  const int64_t threads = torch::stable::get_num_threads();
  if (!problem.shape.channels_last && problem.shape.batch < threads) return run(0, count);
  parallel_for(0, count, grain_of(elements), run);
}

// Calls run(count, channels_last) with the number of projections and the layout as compile-time constants.
template <class Cell, class T, class Run>
void with_constants(const Problem<Cell, T>& problem, Run run) {
  with_count<Cell>(problem.count, [&](auto count) {
    if (problem.shape.channels_last)
      run(count, std::true_type());
    else
      run(count, std::false_type());
  });
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

  // Fetches channel `channel` in row `row` of a parameter (rows, C).
  FASTLADDER_INLINE Vector parameter(const Compute<T>* from, int64_t row, Compute<T> missing) const {
    return from ? get(from + row * problem.shape.channels + channel) : Vector(missing);
  }

  // Fetches a statistic of part q of projection j. With layer norm it is the same for all channels of a sample.
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

// The coefficients of the elements of one position: fetched once per row, or along it in channels_last.
template <class Cell, int J, class Real>
struct Coefficients {
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

// The inputs of a Cell at one vector of a row: the preactivations, and beside them its extras and states.
template <class Cell, int J, bool channels_last, class T>
struct Inputs {
  using Vector = Lanes<Compute<T>>;
  Vector centred[J][Cell::parts];  // p - mean
  Vector a[Cell::parts];
  Vector beside[Cell::extras + Cell::states + 1];

  template <class Load>
  FASTLADDER_INLINE void fetch(
      const Problem<Cell, T>& problem, const Row& row, int64_t i, const Coefficients<Cell, J, Compute<T>>& coefficients,
      Load load_lanes) {
    for (int q = 0; q < Cell::parts; ++q) {
      a[q] = coefficients.bias[q];
      for (int j = 0; j < J; ++j) {
        const T* source = problem.projections[j] + row.base + q * row.part_stride + i;
        centred[j][q] = load_ahead<channels_last>(source, problem.width, load_lanes) - coefficients.mean[j][q];
        a[q] = a[q] + centred[j][q] * (coefficients.rstd[j][q] * coefficients.gain[j][q]);
      }
    }
    const auto load_output = [&](const auto* source) __attribute__((always_inline)) {
      return load_ahead<channels_last>(source + row.output + i, problem.shape.channels, load_lanes);
    };
    for (int e = 0; e < Cell::extras; ++e) beside[e] = load_output(problem.extras[e]);
    for (int s = 0; s < Cell::states; ++s) beside[Cell::extras + s] = load_output(problem.states[s]);
  }
};

// The forward pass over rows `begin` to `end` of sample n.
template <class Cell, int J, bool channels_last, class T>
FASTLADDER_INLINE void forward_rows(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds, int64_t n, int64_t begin,
    int64_t end, const Outputs<Cell, T>& outputs) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  for (int64_t index = begin; index < end; ++index) {
    const Row row = Row::of(problem, n, index);
    Coefficients<Cell, J, Real> coefficients;
    if constexpr (!channels_last)
      coefficients.fetch(position(problem, n, row.channel, Broadcast<Real>()), means, rstds);
    along<Vector>(
        row.length, [&](int64_t i, auto load_lanes, auto store_lanes, int64_t) __attribute__((always_inline)) {
          if constexpr (channels_last) coefficients.fetch(position(problem, n, i, load_lanes), means, rstds);
          Inputs<Cell, J, channels_last, T> inputs;
          inputs.fetch(problem, row, i, coefficients, load_lanes);
          Vector output[1 + Cell::states];
          Cell::forward(inputs.a, inputs.beside, coefficients.weights, output);
          store_lanes(outputs.output + row.output + i, output[0]);
          for (int s = 0; s < Cell::states; ++s) store_lanes(outputs.states[s] + row.output + i, output[1 + s]);
        });
  }
}

}  // namespace fastladder
