// The backward pass of an operator with a preactivation on CPU tensors: which loop (preactivation_backward_rows.h) runs
// over which samples, and how sums over the batch and over norm groups are added up.
#pragma once

#include "cpu/preactivation_backward_rows.h"

namespace fastladder {

template <class Cell, class T>
class BackwardPass {
  using Real = Compute<T>;

 public:
  BackwardPass(
      const Problem<Cell, T>& problem, const Real* means, const Real* rstds, const Gradients<Cell, T>& gradients)
      : problem(problem), means(means), rstds(rstds), gradients(gradients) {}

  void run() {
    first_halves();
    add_up_blocks();
    if (problem.norm == Norm::batch) {
      average_batch();
      normalize_batch();
    }
    copy_sums();
  }

 private:
  const Problem<Cell, T>& problem;
  const Real *means, *rstds;
  const Gradients<Cell, T>& gradients;

  const bool layer = problem.norm == Norm::layer, batch = problem.norm == Norm::batch;
  const int64_t samples = problem.shape.batch, channels = problem.shape.channels, width = problem.width;
  const int64_t sample_size = problem.sample(width), elements = sample_size * problem.count;  // of one sample
  const int64_t rows = problem.rows(), norm_groups = problem.count * problem.norm_groups;

  // Samples add up in blocks, large enough for their sums to cost little beside them, small enough for few roundings in
  // a row, and in eights, for threads to share them evenly. The order of additions does not depend on the number of
  // threads, so neither does the result.
  const int64_t stride = sum_stride<Real>(channels), sums_size = sum_rows<Cell>(problem.count) * stride;
  const int64_t block_samples = std::clamp<int64_t>(4 * sums_size / elements, 1, 16);
  const int64_t blocks = std::min(samples, (samples + 8 * block_samples - 1) / (8 * block_samples) * 8);
  const std::unique_ptr<Real[]> sums = scratch<Real>(blocks * sums_size);
  // The rows of a sample add up in stretches for the same reasons.
  const int64_t stretch = grain_of(elements / rows), stretches = (rows + stretch - 1) / stretch;

  // The means over norm groups that the second half takes, in the layout of the statistics.
  const std::unique_ptr<Real[]> mean_grads = scratch<Real>(problem.statistics());
  const std::unique_ptr<Real[]> mean_grads_xhat = scratch<Real>(problem.statistics());
  // Batch norm: grad_a of all samples, (N, K, S).
  const std::unique_ptr<Real[]> batch_grad_a = scratch<Real>(batch ? samples * sample_size : 0);

  // The first half of every sample, block by block, and for layer norm the second half too, while the sample is in the
  // cache.
  void first_halves() {
    over_samples(problem, blocks, elements * samples / blocks, [&](int64_t begin, int64_t end) {
      const std::unique_ptr<Real[]> sample_grad_a = scratch<Real>(layer ? sample_size : 0);
      const std::unique_ptr<double[]> norm_sums = scratch<double>(layer ? stretches * norm_groups * 2 : 0);
      for (int64_t block = begin; block < end; ++block) {
        Real* block_sums = &sums[block * sums_size];
        std::fill_n(block_sums, sums_size, Real(0));
        for (int64_t n = block * samples / blocks; n < (block + 1) * samples / blocks; ++n) {
          Real* grad_a = layer ? sample_grad_a.get() : batch ? &batch_grad_a[n * sample_size] : nullptr;
          first_half(n, grad_a, block_sums, norm_sums.get());
          if (layer) {
            average_sample(n, norm_sums.get());
            second_half(n, grad_a);
          }
        }
      }
    });
  }

  // `norm_sums`, of layer norm, are (stretches, J, norm_groups, 2).
  void first_half(int64_t n, Real* grad_a, Real* block_sums, double* norm_sums) {
    // All rows of a channels_last sample add to the same sums, so one thread does them.
    parallel_for(0, stretches, problem.shape.channels_last ? stretches : 1, [&](int64_t first, int64_t last) {
      with_constants(problem, [&](auto count, auto channels_last) {
        for (int64_t at = first; at < last; ++at)
          run_widest<backward_rows<Cell, count.value, channels_last.value, T>>(
              problem, means, rstds, n, at * stretch, std::min(rows, (at + 1) * stretch), gradients, grad_a, block_sums,
              layer ? norm_sums + at * norm_groups * 2 : nullptr);
      });
    });
  }

  // The means of layer norm, from the sums of a sample's stretches.
  void average_sample(int64_t n, const double* norm_sums) {
    for (int64_t norm_group = 0; norm_group < norm_groups; ++norm_group) {
      double total[2] = {0, 0};
      for (int64_t at = 0; at < stretches; ++at)
        for (int which : {0, 1}) total[which] += norm_sums[(at * norm_groups + norm_group) * 2 + which];
      const int64_t target = problem.norm_group(norm_group / problem.norm_groups, n, norm_group % problem.norm_groups);
      mean_grads[target] = total[0] / problem.norm_size();
      mean_grads_xhat[target] = total[1] / problem.norm_size();
    }
  }

  void second_half(int64_t n, const Real* grad_a) {
    parallel_for(0, rows, grain_of(elements / rows), [&](int64_t first, int64_t last) {
      with_constants(problem, [&](auto, auto channels_last) {
        run_widest<normalize_rows<Cell, channels_last.value, T>>(
            problem, means, rstds, mean_grads.get(), mean_grads_xhat.get(), n, first, last, gradients, grad_a);
      });
    });
  }

  // The sums of all samples, into the first block.
  void add_up_blocks() {
    parallel_for(0, sums_size, grain_of(blocks), [&](int64_t begin, int64_t end) {
      run_widest<add_blocks<Real>>(sums.get(), blocks, sums_size, begin, end);
    });
  }

  // The means of batch norm, from the sums for the gradients of the parameters.
  void average_batch() {
    for (int64_t j = 0; j < problem.count; ++j)
      for (int64_t k = 0; k < width; ++k) {
        const int64_t at = j * width + k;
        const Real gain = (problem.gain ? problem.gain[at] : Real(1)) / problem.norm_size();
        mean_grads[at] = gain * *sum_at(k);
        mean_grads_xhat[at] = gain * *sum_at(width + at);
      }
  }

  void normalize_batch() {
    over_samples(problem, samples, elements, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) second_half(n, &batch_grad_a[n * sample_size]);
    });
  }

  // The sums of the first block are the gradients of the parameters.
  void copy_sums() {
    copy_sums_to(gradients.bias, 0, width);
    copy_sums_to(gradients.gain, width, problem.count * width);
    for (int w = 0; w < Cell::weight_tensors; ++w) {
      const int64_t size = problem.weight_rows * channels;
      copy_sums_to(gradients.weights[w], (1 + problem.count) * width + w * size, size);
    }
  }

  void copy_sums_to(Real* target, int64_t first, int64_t count) {
    for (int64_t row = 0; target && row < count; row += channels)
      std::copy_n(sum_at(first + row), channels, target + row);
  }

  // The sum that would be at `index` if the rows of sum_rows followed each other without a gap.
  const Real* sum_at(int64_t index) const { return &sums[index / channels * stride + index % channels]; }
};

}  // namespace fastladder
