// The backward pass of an operator with a preactivation on CPU tensors: which loop (preactivation_backward_rows.h) runs
// over which samples, and how sums over the batch and over norm groups are added up.
#pragma once

#include "cpu/preactivation_backward_rows.h"
#include "cpu/preactivation_packed.h"

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
  const int64_t channels = problem.shape.channels, width = problem.width;
  const int64_t norm_groups = problem.count * problem.norm_groups;
  const Units<Cell, T> units{problem};
  const Packing<Cell, T> packing{problem, units.stretch};
  const Numbers<Real> packed_means = packing.statistics(means), packed_rstds = packing.statistics(rstds);

  // Units add up in blocks, large enough for their sums to cost little beside them, small enough for few roundings in
  // a row, and in eights, for threads to share them evenly. The order of additions does not depend on the number of
  // threads, so neither does the result.
  const int64_t stride = sum_stride<Real>(channels), sums_size = sum_rows<Cell>(problem.count) * stride;
  const int64_t packed_stride = sum_stride<Real>(packing.channels());
  const int64_t block_units = std::clamp<int64_t>(4 * sums_size / units.elements(), 1, 16);
  const int64_t blocks = std::min(units.count, (units.count + 8 * block_units - 1) / (8 * block_units) * 8);
  const Memory<Real> sums = scratch<Real>(blocks * sums_size);

  // The means over norm groups that the second half takes, in the layout of the statistics.
  const Memory<Real> mean_grads = scratch<Real>(problem.statistics());
  const Memory<Real> mean_grads_xhat = scratch<Real>(problem.statistics());
  // Batch norm: grad_a of all units.
  const Memory<Real> batch_grad_a = scratch<Real>(batch ? units.count * units.size() : 0);

  // What a thread works in.
  struct Workspace {
    Memory<T> packed;          // see Packing::memory
    Memory<Real> packed_sums;  // those of a block, of packed pixels
    Memory<Real> grad_a;       // layer norm: of a unit
    Memory<double> norm_sums;  // layer norm: (stretches, J, norm_groups, 2)
  };

  // The first half of every unit, block by block, and for layer norm the second half too, while the sample is in the
  // cache.
  void first_halves() {
    const int64_t packed_size = packing.together > 1 ? sum_rows<Cell>(problem.count) * packed_stride : 0;
    const int64_t norm_sums_size = layer ? units.stretches * norm_groups * 2 : 0;
    units.share(blocks, [&](int64_t begin, int64_t end) {
      const Workspace work{
          packing.memory(), scratch<Real>(packed_size), scratch<Real>(layer ? units.size() : 0),
          scratch<double>(norm_sums_size)};
      for (int64_t block = begin; block < end; ++block) {
        Real* block_sums = &sums[block * sums_size];
        std::fill_n(block_sums, sums_size, Real(0));
        std::fill_n(work.packed_sums.get(), packed_size, Real(0));
        for (int64_t unit = block * units.count / blocks; unit < (block + 1) * units.count / blocks; ++unit) {
          Real* grad_a = layer ? work.grad_a.get() : batch ? &batch_grad_a[unit * units.size()] : nullptr;
          std::fill_n(work.norm_sums.get(), norm_sums_size, 0.0);
          first_half(unit, grad_a, block_sums, work);
          if (layer) {
            average_sample(unit, work.norm_sums.get());
            second_half(unit, grad_a, {mean_grads.get(), mean_grads_xhat.get()}, work.packed.get());
          }
        }
        if (packing.together > 1)
          for (int row = 0; row < sum_rows<Cell>(problem.count); ++row)
            run_widest<fold<Real>>(
                block_sums + row * stride, &work.packed_sums[row * packed_stride], packing.together, channels);
      }
    });
  }

  void first_half(int64_t unit, Real* grad_a, Real* block_sums, const Workspace& work) {
    // All rows of a channels_last unit add to the same sums, so one thread does them.
    parallel_for(0, units.stretches, units.channels_last ? units.stretches : 1, [&](int64_t first, int64_t last) {
      for (int64_t index = first; index < last; ++index) {
        const int64_t origin = unit * units.size();
        double* norm_sums = layer ? &work.norm_sums[index * norm_groups * 2] : nullptr;
        packing.split(
            units.at(unit, index),
            [&](const Stretch& stretch) {
              T* memory = work.packed.get();
              with_count<Cell>(problem.count, [&](auto count) {
                run_widest<backward_rows<Cell, count.value, ChannelRow<Real>, T>>(
                    packing.pack_problem(stretch, memory), packed_means.data, packed_rstds.data,
                    packing.within(stretch), packing.pack_gradients(stretch, gradients, memory),
                    grad_a ? grad_a + (stretch.begin * width - origin) : nullptr, 0, work.packed_sums.get(), norm_sums);
              });
              if (!grad_a) packing.unpack_gradients(stretch, gradients, memory);
            },
            [&](const Stretch& stretch) {
              with_constants(problem, [&](auto count, auto row) {
                run_widest<backward_rows<Cell, count.value, typename decltype(row)::type, T>>(
                    problem, means, rstds, stretch, gradients, grad_a, origin, block_sums, norm_sums);
              });
            });
      }
    });
  }

  // The means of layer norm, from the sums of a sample's stretches.
  void average_sample(int64_t n, const double* norm_sums) {
    for (int64_t norm_group = 0; norm_group < norm_groups; ++norm_group) {
      double total[2] = {0, 0};
      for (int64_t index = 0; index < units.stretches; ++index)
        for (int which : {0, 1}) total[which] += norm_sums[(index * norm_groups + norm_group) * 2 + which];
      const int64_t target = problem.norm_group(norm_group / problem.norm_groups, n, norm_group % problem.norm_groups);
      mean_grads[target] = total[0] / problem.norm_size();
      mean_grads_xhat[target] = total[1] / problem.norm_size();
    }
  }

  struct MeanGrads {
    const Real *grad, *grad_xhat;
  };

  // `packed` are the means for packed pixels, `memory` that of a Workspace, which threads may not share.
  void second_half(int64_t unit, const Real* grad_a, MeanGrads packed, T* memory) {
    const int64_t origin = unit * units.size();
    parallel_for(0, units.stretches, packing.together > 1 ? units.stretches : 1, [&](int64_t first, int64_t last) {
      for (int64_t index = first; index < last; ++index)
        packing.split(
            units.at(unit, index),
            [&](const Stretch& stretch) {
              run_widest<normalize_rows<Cell, ChannelRow<Real>, T>>(
                  packing.pack_problem(stretch, memory), packed_means.data, packed_rstds.data, packed.grad,
                  packed.grad_xhat, packing.within(stretch), packing.pack_gradients(stretch, gradients, memory),
                  grad_a + (stretch.begin * width - origin), 0);
              packing.unpack_gradients(stretch, gradients, memory);
            },
            [&](const Stretch& stretch) {
              with_constants(problem, [&](auto, auto row) {
                run_widest<normalize_rows<Cell, typename decltype(row)::type, T>>(
                    problem, means, rstds, mean_grads.get(), mean_grads_xhat.get(), stretch, gradients, grad_a, origin);
              });
            });
    });
  }

  // The sums of all units, into the first block.
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
    const Numbers<Real> packed[] = {packing.statistics(mean_grads.get()), packing.statistics(mean_grads_xhat.get())};
    units.share(units.count, [&](int64_t begin, int64_t end) {
      const Memory<T> memory = packing.memory();
      for (int64_t unit = begin; unit < end; ++unit)
        second_half(unit, &batch_grad_a[unit * units.size()], {packed[0].data, packed[1].data}, memory.get());
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
