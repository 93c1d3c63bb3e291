// The engine of CPU tensors for the families with a preactivation: statistics, then the rows of every sample, which the
// threads share.
#pragma once

#include "cpu/preactivation_backward.h"
#include "cpu/products.h"
#include "cpu/statistics.h"

namespace fastladder {

// Mean and reciprocal deviation of the norm groups of sample n, for layer norm.
template <class Cell, class T>
void layer_statistics(const Problem<Cell, T>& problem, int64_t n, Compute<T>* mean, Compute<T>* rstd) {
  const auto [batch, channels, pixels, channels_last] = problem.shape;
  const int64_t run = problem.width / problem.norm_groups, sample = problem.sample(problem.width);
  const bool scattered = channels_last && problem.norm_groups > 1;
  parallel_for(0, problem.count * problem.norm_groups, grain_of(run * pixels), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t j = task / problem.norm_groups, norm_group = task % problem.norm_groups;
      const T* data = problem.projections[j] + n * sample;
      const Moments<double> moments =
          scattered
              ? run_widest<moments_of_segments<T>>(data + norm_group * run, problem.shape.pixels, problem.width, run)
              : run_widest<moments_of_segments<T>>(
                    data + norm_group * run * problem.shape.pixels, 1, 0, run * problem.shape.pixels);
      const int64_t at = problem.norm_group(j, n, norm_group);
      mean[at] = moments.mean;
      rstd[at] = reciprocal_deviation(moments, problem.eps);
    }
  });
}

// Mean and reciprocal deviation of every channel, for batch norm.
template <class Cell, class T>
void batch_statistics(const Problem<Cell, T>& problem, Compute<T>* mean, Compute<T>* rstd) {
  const auto [batch, channels, pixels, channels_last] = problem.shape;
  const int64_t step = channels_last ? Lanes<Compute<T>>::count : 1;  // channels of one task
  const int64_t tasks = (problem.width + step - 1) / step;
  parallel_for(0, problem.count * tasks, grain_of(batch * pixels * step), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const Shape& shape = problem.shape;
      const int64_t j = task / tasks, k = task % tasks * step;
      const int64_t columns = std::min(step, problem.width - k);
      Moments<double> moments[Lanes<Compute<T>>::count] = {};
      if (shape.channels_last)
        run_widest<moments_of_columns<T>>(
            problem.projections[j] + k, shape.batch * shape.pixels, problem.width, columns, moments);
      else
        moments[0] = run_widest<moments_of_segments<T>>(
            problem.projections[j] + k * shape.pixels, shape.batch, problem.width * shape.pixels, shape.pixels);
      for (int64_t column = 0; column < columns; ++column) {
        mean[j * problem.width + k + column] = moments[column].mean;
        rstd[j * problem.width + k + column] = reciprocal_deviation(moments[column], problem.eps);
      }
    }
  });
}

// The statistics for the norm, then the outputs; with layer norm the statistics of each sample just before its outputs.
template <class Cell, class T>
void run_forward(const Problem<Cell, T>& problem, Compute<T>* mean, Compute<T>* rstd, const Outputs<Cell, T>& outputs) {
  if (problem.norm == Norm::batch) batch_statistics(problem, mean, rstd);
  const int64_t elements = problem.sample(problem.width) * problem.count;
  over_samples(problem, problem.shape.batch, elements, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      if (problem.norm == Norm::layer) layer_statistics(problem, n, mean, rstd);
      parallel_for(0, problem.rows(), grain_of(elements / problem.rows()), [&](int64_t first, int64_t last) {
        with_constants(problem, [&](auto count, auto channels_last) {
          run_widest<forward_rows<Cell, count.value, channels_last.value, T>>(
              problem, mean, rstd, n, first, last, outputs);
        });
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
