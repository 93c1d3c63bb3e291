// The backward pass of a dense LSTM over a whole sequence (lstm_sequence.h): the gates of all steps from the last to
// the first, each followed by the product that takes the gradient to the hidden state before it.
#pragma once

#include "operators/lstm_sequence.h"

namespace fastladder {

struct SequenceGradients {
  Tensor projections, hidden, cell, weight, gain, bias;  // the last two are empty where the argument is missing
};

template <class Engine, class Cell, class T>
SequenceGradients compute_sequence_backward(
    const OptionalTensor& grad_outputs, const OptionalTensor& grad_hidden, const OptionalTensor& grad_cell,
    const SequenceArguments& given, const SequenceResults& kept) {
  using Real = Compute<T>;
  using S = State<Cell, T>;
  const Sequence<Cell, T> sequence(given);
  const SequenceArguments& arguments = sequence.arguments;
  const Tensor& leader = arguments.projections;
  const int64_t duration = sequence.duration, batch = sequence.batch, channels = sequence.channels;
  const int64_t width = sequence.width;
  const ScalarType dtype = leader.scalar_type(), of_states = arguments.cell.scalar_type();
  const int64_t steps = duration * batch, all_statistics = sequence.statistics_at(duration);
  const Tensor outputs = check_kept("outputs", kept.outputs, steps * channels, dtype);
  const Tensor cells = check_kept("cells", kept.cells, steps * channels, of_states);
  const Tensor hidden_projections = check_kept("hidden_projections", kept.hidden_projections, steps * width, dtype);
  const Tensor mean = check_kept("mean", kept.mean, all_statistics, compute_dtype<T>);
  const Tensor rstd = check_kept("rstd", kept.rstd, all_statistics, compute_dtype<T>);

  // The gradients of the parameters from every step.
  const auto parameter = [&](const OptionalTensor& given, int64_t rows) {
    return filled(leader, std::nullopt, {given ? duration : 0, rows * width}, compute_dtype<T>);
  };

  // The gradients of the hidden states after every step, and before the first one, as far as they are known.
  Tensor grad_hiddens = filled(leader, grad_outputs, {duration, batch, channels}, dtype);
  Tensor grad_initial = filled(leader, std::nullopt, {batch, channels}, dtype);
  if (grad_hidden) add_last_gradients(sequence, *grad_hidden, grad_hiddens, grad_initial);
  // Those of the cell before and after a step take turns. Of a sample that has ended they are those of its last state.
  Tensor grad_cells[2] = {
      filled(leader, grad_cell, {batch, channels}, of_states), filled(leader, grad_cell, {batch, channels}, of_states)};
  const auto of_projections = [&] {
    const std::vector<int64_t> sizes{duration, batch, width};
    return arguments.lengths ? filled(leader, std::nullopt, sizes, dtype) : empty(leader, sizes, dtype);
  };
  Tensor grad_projections = of_projections();
  // Without a norm and a gain both projections have the same gradient.
  const bool same = arguments.norm == Norm::none && !arguments.gain;
  Tensor grad_hidden_projections = same ? grad_projections : of_projections();
  Tensor grad_gain = parameter(arguments.gain, 2), grad_bias = parameter(arguments.bias, 1);
  Tensor grad_weight = filled(leader, std::nullopt, {width, channels}, dtype);
  int64_t current = 0;
  if (!sequence.is_empty()) {
    for (int64_t step = duration - 1; step >= 0; --step) {
      const int64_t count = sequence.samples[step], statistics = sequence.statistics_at(step);
      if (count == 0) continue;
      Gradients<Cell, T> gradients{};
      gradients.output = data_of<const T>(grad_hiddens) + sequence.at(step, channels);
      gradients.new_states[0] = data_of<const S>(grad_cells[current]);
      gradients.projections[0] = data_of<T>(grad_projections) + sequence.at(step, width);
      gradients.projections[1] = data_of<T>(grad_hidden_projections) + sequence.at(step, width);
      current = 1 - current;
      gradients.states[0] = data_of<S>(grad_cells[current]);
      if (arguments.gain) gradients.gain = data_of<Real>(grad_gain) + step * 2 * width;
      if (arguments.bias) gradients.bias = data_of<Real>(grad_bias) + step * width;
      Engine::template backward<Cell, T>(
          leader, sequence.problem(step, cells, data_of<const T>(hidden_projections) + sequence.at(step, width)),
          data_of<const Real>(mean) + statistics, data_of<const Real>(rstd) + statistics, gradients);
      Engine::template product<T>(
          sequence.before(grad_initial, grad_hiddens, step, count), sequence.rows(grad_hidden_projections, step, count),
          arguments.weight, true);
    }
    write_weight_gradient<Engine, T>(sequence, arguments.hidden, outputs, grad_hidden_projections, grad_weight);
  }
  const auto total = [&](const OptionalTensor& given, Tensor& steps) {
    if (!given) return empty(leader, {0}, compute_dtype<T>);
    return torch::stable::reshape(sum_over_first(steps), sizes_of(*given));
  };
  return {
      grad_projections,
      grad_initial,
      grad_cells[current],
      grad_weight,
      total(arguments.gain, grad_gain),
      total(arguments.bias, grad_bias)};
}

template <class Engine, class Cell, class T>
SequenceGradients sequence_backward(
    OptionalTensor grad_outputs, OptionalTensor grad_hidden, OptionalTensor grad_cell, SequenceArguments arguments,
    SequenceResults kept) {
  if constexpr (widens<Engine, T>) {
    const ScalarType of_state = arguments.cell.scalar_type();
    widen(arguments);
    for (OptionalTensor* gradient : {&grad_outputs, &grad_hidden, &grad_cell}) convert(*gradient, ScalarType::Float);
    for (Tensor* tensor : {&kept.outputs, &kept.cells, &kept.hidden_projections})
      *tensor = torch::stable::to(*tensor, ScalarType::Float);
    SequenceGradients gradients =
        compute_sequence_backward<Engine, Cell, Compute<T>>(grad_outputs, grad_hidden, grad_cell, arguments, kept);
    for (Tensor* tensor : {&gradients.projections, &gradients.hidden, &gradients.weight})
      *tensor = torch::stable::to(*tensor, ScalarType::Half);
    gradients.cell = torch::stable::to(gradients.cell, of_state);
    return gradients;
  } else {
    return compute_sequence_backward<Engine, Cell, T>(grad_outputs, grad_hidden, grad_cell, arguments, kept);
  }
}

}  // namespace fastladder
