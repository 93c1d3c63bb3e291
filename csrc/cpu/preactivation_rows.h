// The rows that the loops of an operator with a preactivation (operators/preactivation_problem.h) run over, what is
// read of them, and the loop of the forward pass.
//
// A row is a walk over elements of the same channels, one vector at each step: along the pixels of one channel, or, in
// channels_last, from pixel to pixel with neighbouring channels in the vector. Either way coefficients are constant
// along it, and sums over it stay in registers.
#pragma once

#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "operators/preactivation_problem.h"

namespace fastladder {

// What a call of a loop works on: channels `begin` to `end` of sample n, or, in channels_last, pixels `begin` to `end`
// counted from the first sample on. In channels_last, n says whose statistics layer norm takes.
struct Stretch {
  int64_t n, begin, end;
};

// Addresses of one row's first vector: of part q of a tensor of K channels, of a tensor of C channels; and its (first)
// channel.
struct RowStart {
  int64_t base, part_stride, output, channel;
};

// The pixels of one channel. Coefficients are one number each.
template <class Real>
struct PixelRow : RowStart {
  using Vector = Lanes<Real>;
  static constexpr bool is_step = false;  // whether the walk is of a single step
  int64_t pixels;

  // Calls run(row) for all rows of a stretch.
  template <class Cell, class T, class Run>
  static FASTLADDER_INLINE void for_each(const Problem<Cell, T>& problem, const Stretch& stretch, Run run) {
    const auto [batch, channels, pixels, channels_last] = problem.shape;
    for (int64_t channel = stretch.begin; channel < stretch.end; ++channel)
      run(PixelRow{
          {(stretch.n * problem.width + channel) * pixels, channels * pixels, (stretch.n * channels + channel) * pixels,
           channel},
          pixels});
  }

  FASTLADDER_INLINE Vector coefficient(const Real* number) const { return Vector(*number); }
  // A sum over the row without lanes that do not count.
  FASTLADDER_INLINE Vector counted(Vector total) const { return total; }
  FASTLADDER_INLINE void add(Real* sum, Vector total) const { *sum += total.sum(); }

  // Calls body(wide, narrow, load, store, repeated) at every step, with what is to be added to the addresses in tensors
  // of K and of C channels. load(address, channels) and store(address, vector, channels) are for a tensor of so many
  // channels. A last vector that the row does not fill begins earlier and repeats what the one before it
  // did, which writes the same numbers again; sums leave out its first `repeated` lanes. In a row of less than a
  // vector, the lanes behind its end are 0.
  template <class Body>
  FASTLADDER_INLINE void walk(Body body) const {
    if (pixels < Vector::count)
      return body(
          0, 0, [=](const auto* p, int64_t) __attribute__((always_inline)) { return load(p, pixels); },
          [=](auto* p, Vector v, int64_t) __attribute__((always_inline)) { store(p, v, pixels); }, 0);
    for (int64_t begin = 0; begin < pixels; begin += Vector::count) {
      const int64_t i = std::min(begin, pixels - Vector::count);
      body(
          i, i, [](const auto* p, int64_t) __attribute__((always_inline)) { return load(p); },
          [](auto* p, Vector v, int64_t) __attribute__((always_inline)) { store(p, v); }, begin - i);
    }
  }
};

// A vector of neighbouring channels at one pixel after the other. Coefficients are vectors.
template <class Real>
struct ChannelRow : RowStart {
  using Vector = Lanes<Real>;
  static constexpr bool is_step = false;
  static constexpr int64_t ahead = 8;  // pixels that are prefetched: the hardware does not foresee such steps
  int64_t pixels, width, channels, repeated;

  // As of PixelRow. The last row begins earlier where the channels do not fill it.
  template <class Cell, class T, class Run>
  static FASTLADDER_INLINE void for_each(const Problem<Cell, T>& problem, const Stretch& stretch, Run run) {
    for_each(problem, stretch, 0, problem.shape.channels, run);
  }

  // Those of the vectors that begin from channel `first` to `end`.
  template <class Cell, class T, class Run>
  static FASTLADDER_INLINE void for_each(
      const Problem<Cell, T>& problem, const Stretch& stretch, int64_t first, int64_t end, Run run) {
    const int64_t channels = problem.shape.channels;
    for (int64_t begin = first; begin < end; begin += Vector::count) {
      const int64_t channel = std::max<int64_t>(0, std::min(begin, channels - Vector::count));
      run(ChannelRow{
          {stretch.begin * problem.width + channel, channels, stretch.begin * channels + channel, channel},
          stretch.end - stretch.begin,
          problem.width,
          channels,
          begin - channel});
    }
  }

  FASTLADDER_INLINE Vector coefficient(const Real* numbers) const {
    return channels < Vector::count ? load(numbers, channels) : load(numbers);
  }
  FASTLADDER_INLINE Vector counted(Vector total) const {
    if (channels < Vector::count) return before_lane(total, channels);
    return repeated > 0 ? from_lane(total, repeated) : total;
  }
  FASTLADDER_INLINE void add(Real* sums, Vector total) const {
    if (channels < Vector::count) return store(sums, load(sums, channels) + total, channels);
    store(sums, load(sums) + total);
  }

  // As of PixelRow. Of fewer channels than lanes, whole vectors are loaded and stored all the same, up to the last
  // pixels of the stretch: what is stored behind these channels is not what belongs there, but that is stored later,
  // since every tensor is written from its beginning to its end.
  template <class Body>
  FASTLADDER_INLINE void walk(Body body) const {
    const int64_t count = channels, partial = channels < Vector::count ? (Vector::count - 1) / channels : 0;
    int64_t pixel = 0;
    for (; pixel < pixels - partial; ++pixel)
      body(
          pixel * width, pixel * channels,
          [=](const auto* p, int64_t step) __attribute__((always_inline)) {
            __builtin_prefetch(p + ahead * step);
            return load(p);
          },
          [=](auto* p, Vector v, int64_t step) __attribute__((always_inline)) {
            __builtin_prefetch(p + ahead * step, 1);
            store(p, v);
          },
          0);
    for (; pixel < pixels; ++pixel)
      body(
          pixel * width, pixel * channels,
          [=](const auto* p, int64_t) __attribute__((always_inline)) { return load(p, count); },
          [=](auto* p, Vector v, int64_t) __attribute__((always_inline)) { store(p, v, count); }, 0);
  }
};

// A vector of neighbouring channels at one pixel, for dense layers: where every sample has statistics of its own, so
// that its row is a single step, and where the channels are so many that a walk would turn to a new page at each step.
// Written as a walk, its coefficients and sums would all go through memory once more.
template <class Real>
struct SinglePixelRow : ChannelRow<Real> {
  using Vector = Lanes<Real>;
  static constexpr bool is_step = true;
  static constexpr int64_t block = 16 * Vector::count;  // channels whose coefficients and sums stay in the first cache

  // Block by block, and in each from pixel to pixel.
  template <class Cell, class T, class Run>
  static FASTLADDER_INLINE void for_each(const Problem<Cell, T>& problem, const Stretch& stretch, Run run) {
    const int64_t channels = problem.shape.channels;
    for (int64_t first = 0; first < channels; first += block)
      for (int64_t pixel = stretch.begin; pixel < stretch.end; ++pixel)
        ChannelRow<Real>::for_each(
            problem, {stretch.n, pixel, pixel + 1}, first, std::min(first + block, channels),
            [&](const auto& row) __attribute__((always_inline)) { run(SinglePixelRow{row}); });
  }

  template <class Body>
  FASTLADDER_INLINE void walk(Body body) const {
    const int64_t count = this->channels;
    if (count < Vector::count)
      return body(
          0, 0, [=](const auto* p, int64_t) __attribute__((always_inline)) { return load(p, count); },
          [=](auto* p, Vector v, int64_t) __attribute__((always_inline)) { store(p, v, count); }, 0);
    body(
        0, 0,
        [](const auto* p, int64_t step) __attribute__((always_inline)) {
          __builtin_prefetch(p + step);  // that of the next sample
          return load(p);
        },
        [](auto* p, Vector v, int64_t) __attribute__((always_inline)) { store(p, v); }, 0);
  }
};

// Whether the rows of a dense layer are single pixels: see SinglePixelRow.
template <class Cell, class T>
bool has_single_pixels(const Problem<Cell, T>& problem) {
  constexpr int64_t longest_step = 8192;  // bytes from one sample to the next, two pages
  const auto [batch, channels, pixels, channels_last] = problem.shape;
  const bool wide = channels * static_cast<int64_t>(sizeof(T)) > longest_step;
  return channels_last && pixels == 1 && (problem.norm == Norm::layer || wide);
}

template <class T>
struct Type {
  using type = T;
};

// Calls run(count, Type<Row>()) with the number of projections as a compile-time constant and the kind of rows.
template <class Cell, class T, class Run>
void with_constants(const Problem<Cell, T>& problem, Run run) {
  using Real = Compute<T>;
  with_count<Cell>(problem.count, [&](auto count) {
    if (!problem.shape.channels_last)
      run(count, Type<PixelRow<Real>>());
    else if (has_single_pixels(problem))
      run(count, Type<SinglePixelRow<Real>>());
    else
      run(count, Type<ChannelRow<Real>>());
  });
}

// Fetches the coefficients of a row of sample n.
template <class Cell, class T, class Row>
struct Position {
  using Vector = Lanes<Compute<T>>;
  const Problem<Cell, T>& problem;
  int64_t n;
  const Row& row;

  // Fetches them from row `index` of a parameter (rows, C).
  FASTLADDER_INLINE Vector parameter(const Compute<T>* from, int64_t index, Compute<T> missing) const {
    return from ? row.coefficient(from + index * problem.shape.channels + row.channel) : Vector(missing);
  }

  // Fetches a statistic of part q of projection j. With layer norm it is the same for all channels of a sample.
  FASTLADDER_INLINE Vector statistic(const Compute<T>* from, int64_t j, int q, Compute<T> missing) const {
    if (problem.norm == Norm::none) return Vector(missing);
    if (problem.norm == Norm::batch) return parameter(from, j * Cell::parts + q, missing);
    return Vector(from[problem.norm_group(j, n, q)]);
  }
};

// The coefficients of a row.
template <class Cell, int J, class Real>
struct Coefficients {
  using Vector = Lanes<Real>;
  Vector mean[J][Cell::parts], rstd[J][Cell::parts], gain[J][Cell::parts], bias[Cell::parts];
  Vector weights[Cell::weights + 1];

  template <class T, class Row>
  FASTLADDER_INLINE Coefficients(const Position<Cell, T, Row>& at, const Real* means, const Real* rstds) {
    for (int q = 0; q < Cell::parts; ++q) {
      for (int j = 0; j < J; ++j) {
        mean[j][q] = at.statistic(means, j, q, Real(0));
        rstd[j][q] = at.statistic(rstds, j, q, Real(1));
        gain[j][q] = at.parameter(at.problem.gain, j * Cell::parts + q, Real(1));
      }
      bias[q] = at.parameter(at.problem.bias, q, Real(0));
    }
    for (int w = 0; w < Cell::weights; ++w) weights[w] = at.row.coefficient(at.problem.weight(w) + at.row.channel);
  }
};

// The inputs of a Cell at one vector of a row: the preactivations, and beside them its extras and states.
template <class Cell, int J, class T>
struct Inputs {
  using Vector = Lanes<Compute<T>>;
  Vector centred[J][Cell::parts];  // p - mean
  Vector a[Cell::parts];
  Vector beside[Cell::extras + Cell::states + 1];

  // `base` and `output` are the vector's addresses in tensors of K channels, there of part 0, and of C channels.
  template <class Load>
  FASTLADDER_INLINE Inputs(
      const Problem<Cell, T>& problem, int64_t base, int64_t part_stride, int64_t output,
      const Coefficients<Cell, J, Compute<T>>& coefficients, Load load_lanes) {
    for (int q = 0; q < Cell::parts; ++q) {
      a[q] = coefficients.bias[q];
      for (int j = 0; j < J; ++j) {
        centred[j][q] =
            load_lanes(problem.projections[j] + base + q * part_stride, problem.width) - coefficients.mean[j][q];
        a[q] = a[q] + centred[j][q] * (coefficients.rstd[j][q] * coefficients.gain[j][q]);
      }
    }
    for (int e = 0; e < Cell::extras; ++e) beside[e] = load_lanes(problem.extras[e] + output, problem.shape.channels);
    for (int s = 0; s < Cell::states; ++s)
      beside[Cell::extras + s] = load_lanes(problem.states[s] + output, problem.shape.channels);
  }
};

// The forward pass over a stretch.
template <class Cell, int J, class Row, class T>
FASTLADDER_INLINE void forward_rows(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds, Stretch stretch,
    const Outputs<Cell, T>& outputs) {
  using Vector = Lanes<Compute<T>>;
  Row::for_each(problem, stretch, [&](const Row& row) __attribute__((always_inline)) {
    const Coefficients<Cell, J, Compute<T>> coefficients(Position<Cell, T, Row>{problem, stretch.n, row}, means, rstds);
    row.walk(
        [&](int64_t wide, int64_t narrow, auto load_lanes, auto store_lanes, int64_t) __attribute__((always_inline)) {
          const int64_t at = row.output + narrow;
          const Inputs<Cell, J, T> inputs(problem, row.base + wide, row.part_stride, at, coefficients, load_lanes);
          Vector output[1 + Cell::states];
          Cell::forward(inputs.a, inputs.beside, coefficients.weights, output);
          store_lanes(outputs.output + at, output[0], problem.shape.channels);
          for (int s = 0; s < Cell::states; ++s)
            store_lanes(outputs.states[s] + at, output[1 + s], problem.shape.channels);
        });
  });
}

}  // namespace fastladder
