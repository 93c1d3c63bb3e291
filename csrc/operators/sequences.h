// What the operators over whole sequences share: tensors (T, N, C) that hold one step after another, of samples that
// are sorted by length, so that those of a step are the first ones.
#pragma once

#include "operators/matrices.h"

namespace fastladder {

// The number of samples whose sequence goes on at each step: none more than at the step before.
inline std::vector<int64_t> samples_of_steps(int64_t duration, int64_t batch, const OptionalTensor& lengths) {
  if (!lengths) return std::vector<int64_t>(duration, batch);
  STD_TORCH_CHECK(lengths->dim() == 1 && lengths->size(0) == batch, "lengths: needs ", batch, " numbers");
  const torch::stable::Device cpu(torch::headeronly::DeviceType::CPU);
  const Tensor numbers = make_contiguous(torch::stable::to(torch::stable::to(*lengths, ScalarType::Long), cpu));
  const int64_t* of_sample = data_of<const int64_t>(numbers);
  std::vector<int64_t> samples(duration, 0);
  int64_t before = duration;
  for (int64_t n = 0; n < batch; before = of_sample[n++]) {
    STD_TORCH_CHECK(
        of_sample[n] >= 0 && of_sample[n] <= before, "lengths: got ", of_sample[n], " after ", before,
        ", needs numbers that fall from ", duration, " to 0");
    std::fill_n(samples.begin(), of_sample[n], n + 1);
  }
  return samples;
}

// The sizes of a sequence, and where its steps lie.
struct Steps {
  int64_t duration, batch;
  std::vector<int64_t> samples;  // of every step

  // Where a step's data begin in a tensor (T, N, columns).
  int64_t at(int64_t step, int64_t columns) const { return step * batch * columns; }

  // The samples that a step has, of a matrix with one row for every sample of every step, or of a single step.
  Tensor rows(const Tensor& tensor, int64_t step, int64_t count) const {
    return rows_of(tensor, step * batch, step * batch + count);
  }

  // The states before a step, of its first `count` samples: the initial ones, (N, C), or those of the step before,
  // among the states after every step, (T, N, C).
  Tensor before(const Tensor& initial, const Tensor& states, int64_t step, int64_t count) const {
    return step == 0 ? rows(initial, 0, count) : rows(states, step - 1, count);
  }

  // Calls run(step, begin, end) with the samples whose last step this is; -1 where they have none.
  template <class Run>
  void for_ends(Run run) const {
    for (int64_t step = duration - 1, ended = 0; step >= -1 && ended < batch; --step) {
      const int64_t going = step < 0 ? batch : samples[step];
      if (going > ended) run(step, ended, going);
      ended = std::max(ended, going);
    }
  }

  // A weight as the products of all steps take it: they are a fifth faster where its rows are contiguous, which makes
  // up for a copy after a few of them.
  Tensor transposed_weight(const Tensor& weight) const {
    const Tensor view = transposed(weight);
    return duration >= 16 ? torch::stable::contiguous(view) : view;
  }
};

inline void copy_rows(const Tensor& target, int64_t begin, int64_t end, const Tensor& source, int64_t from) {
  Tensor rows = rows_of(target, begin, end);
  torch::stable::copy_(rows, rows_of(source, from, from + end - begin));
}

// Writes the states after the last step of each sample, (N, C).
inline void copy_last_states(const Steps& steps, const Tensor& last, const Tensor& initial, const Tensor& states) {
  steps.for_ends([&](int64_t step, int64_t begin, int64_t end) {
    copy_rows(last, begin, end, step < 0 ? initial : states, std::max<int64_t>(step, 0) * steps.batch + begin);
  });
}

// A new tensor on the device of `like` with the numbers of another one, which are zero where it is missing.
inline Tensor filled(
    const Tensor& like, const OptionalTensor& given, const std::vector<int64_t>& sizes, ScalarType dtype) {
  Tensor tensor = empty(like, sizes, dtype);
  given ? torch::stable::copy_(tensor, *given) : torch::stable::zero_(tensor);
  return tensor;
}

// (T, *) added up over its first size.
inline Tensor sum_over_first(const Tensor& tensor) {
  const int64_t first = 0;
  return torch::stable::sum(tensor, torch::headeronly::IntHeaderOnlyArrayRef(&first, 1));
}

// A tensor that the forward pass has kept, contiguous.
inline Tensor check_kept(const char* name, const Tensor& tensor, int64_t numel, ScalarType dtype) {
  STD_TORCH_CHECK(
      tensor.numel() == numel && tensor.scalar_type() == dtype, name, ": needs what the forward pass has kept");
  return make_contiguous(tensor);
}

// Adds the gradients of the last states, (N, C), to those of all steps, (T, N, C), or to those of the initial states,
// (N, C), for samples without a step.
inline void add_last_gradients(
    const Steps& steps, const Tensor& of_last, const Tensor& of_steps, const Tensor& of_initial) {
  const int64_t batch = steps.batch;
  Tensor summands = filled(of_steps, std::nullopt, {2, batch, of_last.size(1)}, of_steps.scalar_type());
  copy_rows(summands, batch, 2 * batch, make_contiguous(of_last), 0);
  steps.for_ends([&](int64_t step, int64_t begin, int64_t end) {
    if (step >= 0) copy_rows(summands, begin, end, of_steps, step * batch + begin);
  });
  const Tensor sums = sum_over_first(summands);
  steps.for_ends([&](int64_t step, int64_t begin, int64_t end) {
    const int64_t to = std::max<int64_t>(step, 0) * batch;
    copy_rows(step < 0 ? of_initial : of_steps, to + begin, to + end, sums, begin);
  });
}

// The gradient of a weight that projects the states before every step: the product of the projections' gradients, (T,
// N, K), with these states, over all steps. Those before the first step are in a tensor of their own.
template <class Engine, class T>
void write_weight_gradient(
    const Steps& steps, const Tensor& initial, const Tensor& states, const Tensor& grad_projections,
    const Tensor& grad_weight) {
  const int64_t batch = steps.batch, all = steps.duration * batch;
  const auto gradients = [&](int64_t begin, int64_t end) { return transposed(rows_of(grad_projections, begin, end)); };
  Engine::template product<T>(grad_weight, gradients(0, batch), initial, false);
  if (all > batch)
    Engine::template product<T>(grad_weight, gradients(batch, all), rows_of(states, 0, all - batch), true);
}

}  // namespace fastladder
