// The engine of CPU tensors: statistics, then the rows of every sample, shared out among the threads.
#pragma once

#include <utility>

#include "cpu/preactivation_rows.h"

namespace fastladder {

using torch::stable::parallel_for;

template <class Cell, class T>
void layer_statistics(const Problem<Cell, T>& problem, int64_t n, Compute<T>* mean, Compute<T>* rstd) {
  const auto [batch, channels, pixels, channels_last] = problem.shape;
  const int64_t run = problem.width / problem.norm_groups, sample = problem.sample(problem.width);
  const bool scattered = channels_last && problem.norm_groups > 1;
  parallel_for(0, problem.count * problem.norm_groups, grain_of(run * pixels), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t j = task / problem.norm_groups, norm_group = task % problem.norm_groups;
      const T* data = problem.projections[j] + n * sample;
      const Moments moments =
          scattered
              ? run_widest<moments_of_segments<T>>(data + norm_group * run, problem.shape.pixels, problem.width, run)
              : run_widest<moments_of_segments<T>>(
                    data + norm_group * run * problem.shape.pixels, 1, 0, run * problem.shape.pixels);
      const int64_t at = problem.norm_group(j, n, norm_group);
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
        run_widest<moments_of_columns<T>>(
            problem.projections[j] + k, shape.batch * shape.pixels, problem.width, columns, moments);
      else
        moments[0] = run_widest<moments_of_segments<T>>(
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
void run_forward(const Problem<Cell, T>& problem, Compute<T>* mean, Compute<T>* rstd, const Outputs<Cell, T>& outputs) {
  if (problem.norm == Norm::batch) batch_statistics(problem, mean, rstd);
  const int64_t elements = problem.sample(problem.width) * problem.count;
  over_samples(split_rows(problem), problem.shape.batch, elements, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      if (problem.norm == Norm::layer) layer_statistics(problem, n, mean, rstd);
      parallel_for(0, problem.rows(), grain_of(elements / problem.rows()), [&](int64_t first, int64_t last) {
        with_count<Cell>(problem.count, [&](auto count) {
          if (problem.shape.channels_last)
            run_widest<forward_rows<Cell, count.value, true, T>>(problem, mean, rstd, n, first, last, outputs);
          else
            run_widest<forward_rows<Cell, count.value, false, T>>(problem, mean, rstd, n, first, last, outputs);
        });
      });
    }
  });
}

template <class Cell, class T>
void run_backward(
    const Problem<Cell, T>& problem, const Compute<T>* means, const Compute<T>* rstds,
    const Gradients<Cell, T>& gradients) {
  using Real = Compute<T>;
  const int64_t width = problem.width, channels = problem.shape.channels, samples = problem.shape.batch;
  const int64_t sample = problem.sample(width), elements = sample * problem.count, rows = problem.rows();
  const bool one_by_one = split_rows(problem), layer = problem.norm == Norm::layer;
  // Samples add up in blocks, large enough for their sums to cost little beside them, small enough for few roundings in
  // a row, and in eights, for threads to share them evenly. What adds up in which order does not depend on the number
  // of threads, nor does the result.
  const int64_t stride = sum_stride<Real>(channels), sums_size = sum_rows<Cell>(problem.count) * stride;
  const int64_t most = std::clamp<int64_t>(4 * sums_size / elements, 1, 16);  // samples of a block
  const int64_t blocks = std::min(samples, (samples + 8 * most - 1) / (8 * most) * 8);
  const std::unique_ptr<Real[]> sums = scratch<Real>(blocks * sums_size);
  // The rows of a sample add up in stretches for the same reasons.
  const int64_t stretch = grain_of(elements / rows), stretches = (rows + stretch - 1) / stretch;
  const int64_t norm_groups = problem.count * problem.norm_groups;
  // The means over norm groups that the second half takes, in the layout of the statistics.
  const std::unique_ptr<Real[]> mean_grads = scratch<Real>(problem.statistics());
  const std::unique_ptr<Real[]> mean_grads_xhat = scratch<Real>(problem.statistics());
  const std::unique_ptr<Real[]> batch_grad_a = scratch<Real>(problem.norm == Norm::batch ? samples * sample : 0);

  const auto first_half = [&](int64_t n, Real* grad_a, Real* block_sums, double* norm_sums) {
    // All rows of a channels_last sample add to the same sums, so one thread does them.
    parallel_for(0, stretches, problem.shape.channels_last ? stretches : 1, [&](int64_t first, int64_t last) {
      with_count<Cell>(problem.count, [&](auto count) {
        for (int64_t at = first; at < last; ++at) {
          const int64_t begin = at * stretch, end = std::min(rows, begin + stretch);
          double* own = layer ? norm_sums + at * norm_groups * 2 : nullptr;
          if (problem.shape.channels_last)
            run_widest<backward_rows<Cell, count.value, true, T>>(
                problem, means, rstds, n, begin, end, gradients, grad_a, block_sums, own);
          else
            run_widest<backward_rows<Cell, count.value, false, T>>(
                problem, means, rstds, n, begin, end, gradients, grad_a, block_sums, own);
        }
      });
    });
    for (int64_t norm_group = 0; layer && norm_group < norm_groups; ++norm_group) {
      double total[2] = {0, 0};
      for (int64_t at = 0; at < stretches; ++at)
        for (int which : {0, 1}) total[which] += norm_sums[(at * norm_groups + norm_group) * 2 + which];
      const int64_t target = problem.norm_group(norm_group / problem.norm_groups, n, norm_group % problem.norm_groups);
      mean_grads[target] = total[0] / problem.norm_size();
      mean_grads_xhat[target] = total[1] / problem.norm_size();
    }
  };
  const auto second_half = [&](int64_t n, const Real* grad_a) {
    parallel_for(0, rows, grain_of(elements / rows), [&](int64_t first, int64_t last) {
      if (problem.shape.channels_last)
        run_widest<normalize_rows<Cell, true, T>>(
            problem, means, rstds, mean_grads.get(), mean_grads_xhat.get(), n, first, last, gradients, grad_a);
      else
        run_widest<normalize_rows<Cell, false, T>>(
            problem, means, rstds, mean_grads.get(), mean_grads_xhat.get(), n, first, last, gradients, grad_a);
    });
  };

  over_samples(one_by_one, blocks, elements * samples / blocks, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<Real[]> sample_grad_a = scratch<Real>(layer ? sample : 0);
    const std::unique_ptr<double[]> norm_sums = scratch<double>(layer ? stretches * norm_groups * 2 : 0);
    for (int64_t at = begin; at < end; ++at) {
      Real* block_sums = &sums[at * sums_size];
      std::fill_n(block_sums, sums_size, Real(0));
      for (int64_t n = at * samples / blocks; n < (at + 1) * samples / blocks; ++n) {
        Real* grad_a = layer ? sample_grad_a.get() : problem.norm == Norm::batch ? &batch_grad_a[n * sample] : nullptr;
        first_half(n, grad_a, block_sums, norm_sums.get());
        if (layer) second_half(n, grad_a);
      }
    }
  });
  parallel_for(0, sums_size, grain_of(blocks), [&](int64_t begin, int64_t end) {
    run_widest<add_blocks<Real>>(sums.get(), blocks, sums_size, begin, end);
  });

  // Where a number stands that would be at `index` if rows followed each other without a gap.
  const auto place = [&](int64_t index) { return index / channels * stride + index % channels; };
  if (problem.norm == Norm::batch) {
    for (int64_t j = 0; j < problem.count; ++j)
      for (int64_t k = 0; k < width; ++k) {
        const int64_t at = j * width + k;
        const Real gain = (problem.gain ? problem.gain[at] : Real(1)) / problem.norm_size();
        mean_grads[at] = gain * sums[place(k)];
        mean_grads_xhat[at] = gain * sums[place(width + at)];
      }
    over_samples(one_by_one, samples, elements, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) second_half(n, &batch_grad_a[n * sample]);
    });
  }
  const auto copy = [&](Real* target, int64_t offset, int64_t count) {
    for (int64_t row = 0; target && row < count; row += channels)
      std::copy_n(&sums[place(offset + row)], channels, target + row);
  };
  copy(gradients.bias, 0, width);
  copy(gradients.gain, width, problem.count * width);
  for (int w = 0; w < Cell::weight_tensors; ++w) {
    const int64_t size = problem.weight_rows * channels;
    copy(gradients.weights[w], (1 + problem.count) * width + w * size, size);
  }
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
    run_backward(problem, mean, rstd, gradients);
  }
};

}  // namespace fastladder
