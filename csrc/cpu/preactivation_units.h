// How the threads share the rows of an operator with a preactivation.
#pragma once

#include "cpu/preactivation_rows.h"

namespace fastladder {

// The rows in units that threads share, and each unit in stretches. A unit is a sample: a row for each of its channels,
// or in channels_last for each of its pixels. In channels_last, where a sample has no statistics of its own, units are
// runs of the pixels of all samples, which may be small: those of a dense layer have a single pixel. There are eight of
// them or more where there are pixels enough, for the threads to share.
template <class Cell, class T>
struct Units {
  // Of a stretch: with fewer, coefficients and sums outweigh the pixels. Single pixels have those in any stretch.
  static constexpr int64_t least_pixels = 16, least_single_pixels = 4;

  explicit Units(const Problem<Cell, T>& problem)
      : channels_last(problem.shape.channels_last),
        samples(!channels_last || problem.norm == Norm::layer),
        batch(problem.shape.batch),
        row_size(channels_last ? problem.width : Cell::parts * problem.shape.pixels),
        projections(problem.count) {
    const int64_t pixels = batch * problem.shape.pixels, fitting = grain_of(row_size * projections);
    const int64_t least = !channels_last ? 1 : has_single_pixels(problem) ? least_single_pixels : least_pixels;
    stretch = (fitting + least - 1) / least * least;
    rows = !channels_last ? problem.shape.channels
           : samples      ? problem.shape.pixels
                          : std::min({std::max(least, (pixels + 7) / 8), 8 * stretch, pixels});
    all_rows = channels_last ? pixels : batch * rows;
    count = (all_rows + rows - 1) / rows;
    stretches = (rows + stretch - 1) / stretch;
  }

  bool channels_last, samples;           // samples: whether a unit is a sample
  int64_t batch, row_size, projections;  // row_size: numbers of a row in one projection
  int64_t stretch, rows, all_rows;       // the rows of a stretch, of a unit (the last may have fewer) and of all units
  int64_t count, stretches;              // the units, and the stretches of each

  int64_t size() const { return rows * row_size; }  // of one projection in a unit
  int64_t elements() const { return size() * projections; }

  // Stretch `index` of a unit. It may be empty.
  Stretch at(int64_t unit, int64_t index) const {
    const int64_t first = channels_last ? unit * rows : 0;
    const int64_t end = channels_last ? std::min(first + rows, all_rows) : rows;
    return {samples ? unit : 0, std::min(first + index * stretch, end), std::min(first + (index + 1) * stretch, end)};
  }

  // Threads share `items`, which are the units or blocks of them, where there are enough; else they share the rows of
  // one unit after the other.
  template <class Run>
  void share(int64_t items, Run run) const {
    if (!channels_last && batch < torch::stable::get_num_threads()) return run(0, items);
    parallel_for(0, items, grain_of(elements() * count / items), run);
  }
};

}  // namespace fastladder
