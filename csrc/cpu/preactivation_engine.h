// The engine of CPU tensors for the families with a preactivation: statistics, then the rows of every sample, which the
// threads share.
#pragma once

#include "cpu/preactivation_backward.h"
#include "cpu/products.h"
#include "cpu/statistics.h"

namespace fastladder {

// Mean and sum of squared differences from it of the channels of (pixels, width) numbers, (2, width). Pixels are taken
// together where their channels fill no vectors (cpu/packing.h).
template <class T>
Memory<double> moments_of_channels(const T* data, int64_t pixels, int64_t width) {
  constexpr int64_t lanes = Lanes<Compute<T>>::count;
  const int64_t together = pixels_together<Compute<T>>(width), columns = together * width, rows = pixels / together;
  const Memory<double> of_columns = scratch<double>(2 * columns);
  std::fill_n(of_columns.get(), 2 * columns, 0.0);
  parallel_for(0, columns / lanes, grain_of(rows * lanes), [&](int64_t begin, int64_t end) {
    run_widest<moments_of_columns<T>>(data, rows, columns, begin * lanes, end * lanes, of_columns.get());
  });
  Memory<double> moments = scratch<double>(2 * width);
  for (int64_t k = 0; k < width; ++k) {
    Moments<double> channel = pool(&of_columns[k], &of_columns[columns + k], together, width, rows);
    for (int64_t pixel = rows * together; pixel < pixels; ++pixel)
      channel.merge({1.0, static_cast<double>(data[pixel * width + k]), 0.0});
    moments[k] = channel.mean;
    moments[width + k] = channel.squares;
  }
  return moments;
}

// Mean and reciprocal deviation of the norm groups of sample n, for layer norm.
template <class Cell, class T>
void layer_statistics(const Problem<Cell, T>& problem, int64_t n, Compute<T>* mean, Compute<T>* rstd) {
  const auto [batch, channels, pixels, channels_last] = problem.shape;
  const int64_t run = problem.width / problem.norm_groups, size = run * pixels;
  const bool scattered = channels_last && problem.norm_groups > 1 && pixels > 1;
  parallel_for(0, problem.count, grain_of(problem.norm_groups * size), [&](int64_t begin, int64_t end) {
    for (int64_t j = begin; j < end; ++j) {
      const T* data = problem.projections[j] + n * problem.norm_groups * size;
      const auto of_channels = scattered ? moments_of_channels(data, problem.shape.pixels, problem.width) : nullptr;
      for (int64_t norm_group = 0; norm_group < problem.norm_groups; ++norm_group) {
        const Moments<double> moments =
            scattered ? pool(
                            &of_channels[norm_group * run], &of_channels[problem.width + norm_group * run], run, 1,
                            problem.shape.pixels)
                      : run_widest<moments_of_segments<T>>(data + norm_group * size, 1, 0, size);
        const int64_t at = problem.norm_group(j, n, norm_group);
        mean[at] = moments.mean;
        rstd[at] = reciprocal_deviation(moments, problem.eps);
      }
    }
  });
}

// Mean and reciprocal deviation of every channel, for batch norm.
template <class Cell, class T>
void batch_statistics(const Problem<Cell, T>& problem, Compute<T>* mean, Compute<T>* rstd) {
  const auto [batch, channels, pixels, channels_last] = problem.shape;
  const auto write = [&](int64_t at, const Moments<double>& moments) {
    mean[at] = moments.mean;
    rstd[at] = reciprocal_deviation(moments, problem.eps);
  };
  for (int64_t j = 0; channels_last && j < problem.count; ++j) {
    const auto of_channels = moments_of_channels(problem.projections[j], batch * pixels, problem.width);
    for (int64_t k = 0; k < problem.width; ++k)
      write(
          j * problem.width + k, {static_cast<double>(batch * pixels), of_channels[k], of_channels[problem.width + k]});
  }
  if (channels_last) return;
  parallel_for(0, problem.count * problem.width, grain_of(batch * pixels), [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const Shape& shape = problem.shape;
      const T* data = problem.projections[at / problem.width] + at % problem.width * shape.pixels;
      write(at, run_widest<moments_of_segments<T>>(data, shape.batch, problem.width * shape.pixels, shape.pixels));
    }
  });
}

// The outputs of one stretch. `packed_means` and `packed_rstds` are the statistics for packed pixels, `memory` that of
// Packing::memory.
template <class Cell, class T>
void forward_stretch(
    const Packing<Cell, T>& packing, Stretch whole, const Compute<T>* means, const Compute<T>* rstds,
    const Compute<T>* packed_means, const Compute<T>* packed_rstds, const Outputs<Cell, T>& outputs, T* memory) {
  packing.split(
      whole,
      [&](const Stretch& stretch) {
        with_count<Cell>(packing.problem.count, [&](auto count) {
          run_widest<forward_rows<Cell, count.value, ChannelRow<Compute<T>>, T>>(
              packing.pack_problem(stretch, memory), packed_means, packed_rstds, packing.within(stretch),
              packing.pack_outputs(stretch, outputs));
        });
      },
      [&](const Stretch& stretch) {
        with_constants(packing.problem, [&](auto count, auto row) {
          run_widest<forward_rows<Cell, count.value, typename decltype(row)::type, T>>(
              packing.problem, means, rstds, stretch, outputs);
        });
      });
}

// The statistics for the norm, then the outputs; with layer norm the statistics of each sample just before its outputs.
template <class Cell, class T>
void run_forward(
    const Problem<Cell, T>& problem, Compute<T>* means, Compute<T>* rstds, const Outputs<Cell, T>& outputs) {
  if (problem.norm == Norm::batch) batch_statistics(problem, means, rstds);
  const Units<Cell, T> units(problem);
  const Packing<Cell, T> packing(problem, units.stretch);
  const Numbers<Compute<T>> packed_means = packing.statistics(means), packed_rstds = packing.statistics(rstds);
  units.share(units.count, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      if (problem.norm == Norm::layer) layer_statistics(problem, unit, means, rstds);
      parallel_for(0, units.stretches, 1, [&](int64_t first, int64_t last) {
        const Memory<T> memory = packing.memory();
        for (int64_t index = first; index < last; ++index)
          forward_stretch(
              packing, units.at(unit, index), means, rstds, packed_means.data, packed_rstds.data, outputs,
              memory.get());
      });
    }
  });
}

struct CpuPreactivationEngine {
  static constexpr bool takes_float64 = true;
  static constexpr bool takes_float16 = false;  // no CPU computes in it, so it is not worth a kernel

  template <class Cell, class T>
  static void forward(
      const Tensor&, const Problem<Cell, T>& problem, Compute<T>* mean, Compute<T>* rstd,
      const Outputs<Cell, T>& outputs) {
    run_forward(problem, mean, rstd, outputs);
  }

  template <class Cell, class T>
  static void backward(
      const Tensor&, const Problem<Cell, T>& problem, const Compute<T>* mean, const Compute<T>* rstd,
      const Gradients<Cell, T>& gradients) {
    BackwardPass<Cell, T>(problem, mean, rstd, gradients).run();
  }

  template <class T>
  static void product(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
    multiply<T>(out, a, b, keep);
  }
};

}  // namespace fastladder
