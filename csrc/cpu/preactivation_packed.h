// An operator with a preactivation on packed pixels (cpu/packing.h): a problem of more channels and fewer pixels, with
// its parameters repeated, that the same loops compute.
#pragma once

#include "cpu/packing.h"
#include "cpu/preactivation_units.h"

namespace fastladder {

// Numbers, in memory of their own or somebody else's.
template <class Real>
struct Numbers {
  Memory<Real> memory;
  const Real* data;
};

template <class Cell, class T>
class Packing {
  using Real = Compute<T>;

 public:
  // `pixels` is the most that a stretch has.
  Packing(const Problem<Cell, T>& problem, int64_t pixels)
      : problem(problem), together(choose(problem)), size(pixels * problem.width + longest_step), packed(problem) {
    if (together == 1) return;
    packed.shape.channels *= together;
    packed.width *= together;
    packed.gain = keep(0, problem.gain, problem.count * Cell::parts);
    packed.bias = keep(1, problem.bias, Cell::parts);
    for (int w = 0; w < Cell::weight_tensors; ++w)
      packed.weights[w] = keep(2 + w, problem.weights[w], problem.weight_rows);
  }

  const Problem<Cell, T>& problem;
  const int64_t together;  // pixels that count as one; 1 where they are not packed

  int64_t channels() const { return packed.shape.channels; }

  // The statistics of the packed problem. Those of layer norm are the same.
  Numbers<Real> statistics(const Real* numbers) const {
    if (together == 1 || problem.norm != Norm::batch) return {nullptr, numbers};
    return repeat(numbers, problem.count * Cell::parts);
  }

  // Memory for the packed projections of a stretch, and as much for their gradients.
  Memory<T> memory() const { return copies() ? scratch<T>(2 * problem.count * size) : nullptr; }

  // Calls run_packed(stretch) for the whole groups of pixels of a stretch, and run(stretch) for the rest of it.
  template <class RunPacked, class Run>
  void split(const Stretch& stretch, RunPacked run_packed, Run run) const {
    const int64_t pixels = stretch.end - stretch.begin;
    const int64_t middle = stretch.begin + (together == 1 ? 0 : pixels - pixels % together);
    if (middle > stretch.begin) run_packed(Stretch{stretch.n, stretch.begin, middle});
    if (stretch.end > middle) run(Stretch{stretch.n, middle, stretch.end});
  }

  // The same stretch in what the functions below return.
  Stretch within(const Stretch& stretch) const { return {stretch.n, 0, (stretch.end - stretch.begin) / together}; }

  Problem<Cell, T> pack_problem(const Stretch& stretch, T* memory) const {
    Problem<Cell, T> result = packed;
    for (int64_t j = 0; j < problem.count; ++j) {
      const T* source = problem.projections[j] + stretch.begin * problem.width;
      result.projections[j] = copies() ? memory + j * size : source;
      if (copies())
        with_step(problem.shape.channels, [&](auto step) {
          pack<step.value, Cell::parts>(
              memory + j * size, source, stretch.end - stretch.begin, together, problem.shape.channels);
        });
    }
    for (int e = 0; e < Cell::extras; ++e) result.extras[e] = at(problem.extras[e], stretch);
    for (int s = 0; s < Cell::states; ++s) result.states[s] = at(problem.states[s], stretch);
    return result;
  }

  Outputs<Cell, T> pack_outputs(const Stretch& stretch, const Outputs<Cell, T>& outputs) const {
    Outputs<Cell, T> result{at(outputs.output, stretch), {}};
    for (int s = 0; s < Cell::states; ++s) result.states[s] = at(outputs.states[s], stretch);
    return result;
  }

  // Those of the projections are filled by unpack_gradients, after the loop that writes them.
  Gradients<Cell, T> pack_gradients(const Stretch& stretch, const Gradients<Cell, T>& gradients, T* memory) const {
    Gradients<Cell, T> result = gradients;
    result.output = at(gradients.output, stretch);
    for (int s = 0; s < Cell::states; ++s) {
      result.new_states[s] = at(gradients.new_states[s], stretch);
      result.states[s] = at(gradients.states[s], stretch);
    }
    for (int e = 0; e < Cell::extras; ++e) result.extras[e] = at(gradients.extras[e], stretch);
    for (int64_t j = 0; j < problem.count; ++j)
      result.projections[j] = copies() ? memory + (problem.count + first_of(gradients, j)) * size
                                       : gradients.projections[j] + stretch.begin * problem.width;
    return result;
  }

  void unpack_gradients(const Stretch& stretch, const Gradients<Cell, T>& gradients, const T* memory) const {
    for (int64_t j = 0; copies() && j < problem.count; ++j)
      if (first_of(gradients, j) == j)
        with_step(problem.shape.channels, [&](auto step) {
          unpack<step.value, Cell::parts>(
              gradients.projections[j] + stretch.begin * problem.width, memory + (problem.count + j) * size,
              stretch.end - stretch.begin, together, problem.shape.channels);
        });
  }

 private:
  const int64_t size;  // of a packed projection
  Problem<Cell, T> packed;
  Numbers<Real> kept[4];

  // Where nothing is copied, packing pays for any channels that do not fill vectors; else where at most half of the
  // lanes of one vector would be used.
  static int64_t choose(const Problem<Cell, T>& problem) {
    const int64_t channels = problem.shape.channels;
    const bool pays = Cell::parts == 1 || 2 * channels <= Lanes<Real>::count;
    return problem.shape.channels_last && pays ? pixels_together<Real>(channels) : 1;
  }

  // Only tensors of several parts are not packed as they lie.
  bool copies() const { return Cell::parts > 1 && together > 1; }

  // The first projection that has the same gradient: two may share one.
  static int64_t first_of(const Gradients<Cell, T>& gradients, int64_t j) {
    return gradients.projections[j] == gradients.projections[0] ? 0 : j;
  }

  // The address where a stretch begins in a tensor of C channels, which may be missing.
  template <class Number>
  Number* at(Number* tensor, const Stretch& stretch) const {
    return tensor ? tensor + stretch.begin * problem.shape.channels : nullptr;
  }

  // From a parameter (rows, C), which may be missing, to (rows, together, C).
  Numbers<Real> repeat(const Real* from, int64_t rows) const {
    const int64_t channels = problem.shape.channels;
    if (!from) return {nullptr, nullptr};
    Memory<Real> memory = scratch<Real>(rows * together * channels);
    for (int64_t i = 0; i < rows * together; ++i)
      std::copy_n(from + i / together * channels, channels, &memory[i * channels]);
    const Real* data = memory.get();
    return {std::move(memory), data};
  }

  const Real* keep(int slot, const Real* from, int64_t rows) {
    kept[slot] = repeat(from, rows);
    return kept[slot].data;
  }
};

}  // namespace fastladder
