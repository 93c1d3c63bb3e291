// The engine of CPU tensors: statistics, then the rows of every sample, shared out among the threads.
#pragma once

#include <utility>

#include "cpu/preactivation.h"

namespace fastladder {

using torch::stable::parallel_for;

template <class Cell, class T>
void layer_statistics(const Problem<Cell, T>& problem, int64_t n, Compute<T>* mean, Compute<T>* rstd) {
  const auto [batch, channels, pixels, channels_last] = problem.shape;
  const int64_t run = problem.width / problem.groups, sample = problem.sample(problem.width);
  const bool scattered = channels_last && problem.groups > 1;
  parallel_for(0, problem.count * problem.groups, grain_of(run * pixels), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t j = task / problem.groups, group = task % problem.groups;
      const T* data = problem.projections[j] + n * sample;
      const Moments moments =
          scattered ? moments_of_segments(data + group * run, problem.shape.pixels, problem.width, run)
                    : moments_of_segments(data + group * run * problem.shape.pixels, 1, 0, run * problem.shape.pixels);
      const int64_t at = problem.statistic(j, n, group * run);
      mean[at] = moments.mean;
      rstd[at] = moments.reciprocal_deviation(problem.eps);
    }
  });
}

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
      Moments moments[Lanes<Compute<T>>::count];
      if (shape.channels_last)
        moments_of_columns(problem.projections[j] + k, shape.batch * shape.pixels, problem.width, columns, moments);
      else
        moments[0] = moments_of_segments(
            problem.projections[j] + k * shape.pixels, shape.batch, problem.width * shape.pixels, shape.pixels);
      for (int64_t column = 0; column < columns; ++column) {
        mean[j * problem.width + k + column] = moments[column].mean;
        rstd[j * problem.width + k + column] = moments[column].reciprocal_deviation(problem.eps);
      }
    }
  });
}

// Threads share out the samples where there are enough of them, else the rows of each sample in turn.
template <class Cell, class T>
bool split_rows(const Problem<Cell, T>& problem) {
  return !problem.shape.channels_last && problem.shape.batch < static_cast<int64_t>(torch::stable::get_num_threads());
}

template <class Run>
void over_samples(bool one_by_one, int64_t samples, int64_t elements, Run run) {
  if (one_by_one) return run(0, samples);
  parallel_for(0, samples, grain_of(elements), run);
}

template <class Cell, class T>
void run_forward(const Problem<Cell, T>& problem, Compute<T>* mean, Compute<T>* rstd, T* const* outputs) {
  using Real = Compute<T>;
  if (problem.norm == Norm::batch) batch_statistics(problem, mean, rstd);
  const int64_t elements = problem.sample(problem.width) * problem.count;
  over_samples(split_rows(problem), problem.shape.batch, elements, [&](int64_t begin, int64_t end) {
    Coefficients<Real> coefficients(problem.count, problem.width);
    for (int64_t n = begin; n < end; ++n) {
      if (problem.norm == Norm::layer) layer_statistics(problem, n, mean, rstd);
      if (problem.norm == Norm::layer || n == begin) coefficients.fill(problem, mean, rstd, n);
      parallel_for(0, problem.rows(), grain_of(elements / problem.rows()), [&](int64_t first, int64_t last) {
        with_count<Cell>(problem.count, [&](auto count) {
          if (problem.shape.channels_last)
            forward_rows<Cell, count.value, true>(problem, coefficients, n, first, last, outputs);
          else
            forward_rows<Cell, count.value, false>(problem, coefficients, n, first, last, outputs);
        });
      });
    }
  });
}

// Sums over the batch, in the layout of a sample's sums but with the projections' part divided by their deviation.
template <class Cell, class T>
void add_sums(
    const Problem<Cell, T>& problem, const Compute<T>* rstd, int64_t n, const Compute<T>* sums, double* totals) {
  const auto add = [&](int64_t begin, int64_t count, double scale) {
    for (int64_t at = begin; at < begin + count; ++at) totals[at] += scale * sums[at];
  };
  const int64_t width = problem.width, run = problem.run();
  add(0, width, 1.0);
  for (int64_t j = 0; j < problem.count; ++j)
    for (int64_t first = 0; first < width; first += run)
      add((1 + j) * width + first, run, problem.norm == Norm::none ? 1.0 : rstd[problem.statistic(j, n, first)]);
  add((1 + problem.count) * width, Cell::weights * problem.shape.channels, 1.0);
}

template <class Cell, class T>
void run_backward(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds,
    const Gradients<Cell, T>& gradients) {
  using Real = Compute<T>;
  const int64_t width = problem.width, channels = problem.shape.channels;
  const int64_t sums_size = sum_count<Cell>(problem.count, width, channels);
  const int64_t sample = problem.sample(width), elements = sample * problem.count;
  const bool one_by_one = split_rows(problem);
  // Blocks of samples add up on their own, and then in order: the result is the same for any number of threads. They
  // are large enough for their sums to cost little beside them.
  const int64_t samples = problem.shape.batch;
  const int64_t blocks = std::clamp<int64_t>(samples * elements / (4 * sums_size), 1, std::min<int64_t>(samples, 32));
  std::vector<double> totals((blocks + 1) * sums_size, 0.0);
  const bool layer = problem.norm == Norm::layer;  // each sample on its own; else all share coefficients and sums
  std::unique_ptr<Real[]> whole_grad_a;
  if (problem.norm == Norm::batch) whole_grad_a = scratch<Real>(samples * sample);

  const auto first_half = [&](int64_t n, const Coefficients<Real>& coefficients, Real* grad_a, Real* sums) {
    // All rows of a channels_last sample add to the same sums, so one thread does them.
    const int64_t least = problem.shape.channels_last ? problem.rows() : grain_of(elements / problem.rows());
    parallel_for(0, problem.rows(), least, [&](int64_t first, int64_t last) {
      with_count<Cell>(problem.count, [&](auto count) {
        if (problem.shape.channels_last)
          backward_rows<Cell, count.value, true>(problem, coefficients, n, first, last, gradients, grad_a, sums);
        else
          backward_rows<Cell, count.value, false>(problem, coefficients, n, first, last, gradients, grad_a, sums);
      });
    });
  };
  const auto second_half = [&](int64_t n, const Coefficients<Real>& coefficients,
                               const NormGradient<Real>& norm_gradient, const Real* grad_a) {
    parallel_for(0, problem.rows(), grain_of(elements / problem.rows()), [&](int64_t first, int64_t last) {
      if (problem.shape.channels_last)
        normalize_rows<Cell, true>(problem, coefficients, norm_gradient, n, first, last, gradients, grad_a);
      else
        normalize_rows<Cell, false>(problem, coefficients, norm_gradient, n, first, last, gradients, grad_a);
    });
  };

  over_samples(one_by_one, blocks, elements * samples / blocks, [&](int64_t begin, int64_t end) {
    Coefficients<Real> coefficients(problem.count, width);
    NormGradient<Real> norm_gradient(problem.count, width);
    std::unique_ptr<Real[]> sums = scratch<Real>(sums_size), own_grad_a = scratch<Real>(layer ? sample : 0);
    if (!layer) coefficients.fill(problem, means, rstds, 0);
    for (int64_t block = begin; block < end; ++block) {
      double* block_totals = &totals[(1 + block) * sums_size];
      std::fill_n(sums.get(), sums_size, Real(0));
      for (int64_t n = block * samples / blocks; n < (block + 1) * samples / blocks; ++n) {
        if (!layer) {
          first_half(n, coefficients, whole_grad_a ? whole_grad_a.get() + n * sample : nullptr, sums.get());
          continue;
        }
        coefficients.fill(problem, means, rstds, n);
        std::fill_n(sums.get(), sums_size, Real(0));
        first_half(n, coefficients, own_grad_a.get(), sums.get());
        add_sums(problem, rstds, n, sums.get(), block_totals);
        norm_gradient.fill(problem, rstds, n, sums.get());
        second_half(n, coefficients, norm_gradient, own_grad_a.get());
      }
      if (!layer) add_sums(problem, rstds, 0, sums.get(), block_totals);
    }
  });
  for (int64_t block = 0; block < blocks; ++block)
    for (int64_t at = 0; at < sums_size; ++at) totals[at] += totals[(1 + block) * sums_size + at];

  if (problem.norm == Norm::batch) {
    // NormGradient wants the sums before they are divided by the deviation, as those of a sample are.
    std::unique_ptr<Real[]> sums = scratch<Real>(sums_size);
    for (int64_t at = 0; at < (1 + problem.count) * width; ++at)
      sums[at] = totals[at] / (at < width ? 1.0 : static_cast<double>(rstds[at - width]));
    Coefficients<Real> coefficients(problem.count, width);
    NormGradient<Real> norm_gradient(problem.count, width);
    coefficients.fill(problem, means, rstds, 0);
    norm_gradient.fill(problem, rstds, 0, sums.get());
    over_samples(one_by_one, samples, elements, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n)
        second_half(n, coefficients, norm_gradient, whole_grad_a.get() + n * sample);
    });
  }
  const auto copy = [&](Real* target, int64_t offset, int64_t numel) {
    if (target)
      for (int64_t at = 0; at < numel; ++at) target[at] = totals[offset + at];
  };
  copy(gradients.bias, 0, width);
  copy(gradients.gain, width, problem.count * width);
  copy(gradients.weights, (1 + problem.count) * width, Cell::weights * channels);
}

struct CpuEngine {
  static constexpr bool takes_float64 = true;
  static constexpr bool takes_float16 = false;  // no CPU computes in it, so it is not worth a kernel

  template <class Cell, class T>
  static void forward(
      const Tensor&, const Problem<Cell, T>& problem, Compute<T>* mean, Compute<T>* rstd, T* const* outputs) {
    run_forward(problem, mean, rstd, outputs);
  }

  template <class Cell, class T>
  static void backward(
      const Tensor&, const Problem<Cell, T>& problem, const Compute<T>* mean, const Compute<T>* rstd,
      const Gradients<Cell, T>& gradients) {
    run_backward(problem, mean, rstd, gradients);
  }
};

}  // namespace fastladder
