// A dense LSTM over a whole sequence: step t is lstm_gates of projections[t] and of the product of the hidden state and
// the weight. The loop over time is the same for every device: an Engine computes the gates of one step (see
// preactivation.h) from pointers into the tensors of the sequence, so that nothing is copied, and
//
//   product(out, a, b, keep)   out = a b, or with `keep` out += a b
//
// Samples are sorted by length, so that those of a step are the first ones.
//
// The forward pass keeps the outputs and the cells of all steps. The backward pass computes the projections of all
// hidden states anew, in one product, and the gradient of the weight in one product more. Keeping these projections
// too would save a twentieth of the time of a training step, and take four times as much memory.
#pragma once

#include "operators/lstm_dispatch.h"
#include "operators/matrices.h"

namespace fastladder {

struct SequenceArguments {
  Tensor projections;      // (T, N, 4C)
  Tensor hidden, cell;     // (N, C)
  Tensor weight;           // (4C, C)
  OptionalTensor lengths;  // (N), from T down to 0
  OptionalTensor gain;     // (2, 4C)
  OptionalTensor bias;     // (4C)
  Norm norm;
  double eps;
};

struct SequenceResults {
  Tensor outputs;       // (T, N, C)
  Tensor hidden, cell;  // (N, C)
  Tensor cells;         // (T, N, C), after each step
  Tensor mean, rstd;    // (T, *) with those of a step, see Problem::statistics
};

struct SequenceGradients {
  Tensor projections, hidden, cell, weight, gain, bias;  // the last two are empty where the argument is missing
};

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

// What the passes over a sequence share: its sizes, its checked arguments, and the gates of a step.
template <class Cell, class T>
struct Sequence {
  using Real = Compute<T>;
  using S = State<Cell, T>;

  SequenceArguments arguments;
  int64_t duration, batch, channels, width;
  std::vector<int64_t> samples;  // of every step
  Problem<Cell, T> gates{};      // those of any step, without its sizes and its data

  explicit Sequence(const SequenceArguments& given) : arguments(given) {
    Tensor& projections = arguments.projections;
    STD_TORCH_CHECK(
        projections.dim() == 3 && projections.size(2) % 4 == 0, "projections: needs an activation of shape (T, N, 4C)");
    duration = projections.size(0), batch = projections.size(1), width = projections.size(2), channels = width / 4;
    const auto check = [&](const char* name, Tensor& tensor, int64_t rows, ScalarType dtype) {
      STD_TORCH_CHECK(
          tensor.dim() == 2 && tensor.size(0) == rows && tensor.size(1) == channels, name,
          ": its shape does not go with that of the projections");
      STD_TORCH_CHECK(
          tensor.scalar_type() == dtype, name, ": got dtype ", toString(tensor.scalar_type()), ", needs ",
          toString(dtype));
      tensor = make_contiguous(tensor);
    };
    projections = make_contiguous(projections);
    check("hidden", arguments.hidden, batch, projections.scalar_type());
    check("cell", arguments.cell, batch, state_dtype<Cell, T>(projections));
    check("weight", arguments.weight, width, projections.scalar_type());
    samples = samples_of_steps(duration, batch, arguments.lengths);
    STD_TORCH_CHECK(
        !arguments.lengths || arguments.norm != Norm::batch, "lengths: needs none with norm 'batch', which would take ",
        "in the samples that have ended");
    gates.count = 2;
    gates.width = width;
    gates.norm = arguments.norm;
    gates.eps = arguments.eps;
    const auto parameter = [&](const char* name, OptionalTensor& tensor, int64_t numel) -> const Real* {
      if (!tensor) return nullptr;
      tensor = check_parameter(name, *tensor, numel, compute_dtype<T>);
      return data_of<const Real>(*tensor);
    };
    gates.gain = parameter("gain", arguments.gain, 2 * width);
    gates.bias = parameter("bias", arguments.bias, width);
  }

  bool is_empty() const { return arguments.projections.numel() == 0; }

  // Where a step's data begin in a tensor (T, N, columns).
  int64_t at(int64_t step, int64_t columns) const { return step * batch * columns; }

  // The numbers among the statistics of a step: (2, N, 1), (2, 4C) or none.
  std::vector<int64_t> sizes_of_statistics() const {
    if (arguments.norm == Norm::layer) return {duration, 2, batch, 1};
    return arguments.norm == Norm::batch ? std::vector<int64_t>{duration, 2, width} : std::vector<int64_t>{0};
  }
  int64_t statistics_at(int64_t step) const {
    return arguments.norm == Norm::none ? 0 : step * 2 * (arguments.norm == Norm::layer ? batch : width);
  }

  // The samples that a step has, of a matrix with one row for every sample of every step, or of a single step.
  Tensor rows(const Tensor& tensor, int64_t step, int64_t count) const {
    return rows_of(tensor, step * batch, step * batch + count);
  }

  // The hidden states before step t, of its first `count` samples.
  Tensor hidden_before(const Tensor& outputs, int64_t step, int64_t count) const {
    return step == 0 ? rows(arguments.hidden, 0, count) : rows(outputs, step - 1, count);
  }

  Problem<Cell, T> problem(int64_t step, const Tensor& cells, const T* hidden_projection) const {
    Problem<Cell, T> problem = gates;
    problem.shape = {samples[step], channels, 1, true};
    problem.projections[0] = data_of<const T>(arguments.projections) + at(step, width);
    problem.projections[1] = hidden_projection;
    problem.states[0] = step == 0 ? data_of<const S>(arguments.cell) : data_of<const S>(cells) + at(step - 1, channels);
    return problem;
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
};

// Activations and states to float32.
inline void widen(SequenceArguments& arguments) {
  for (Tensor* tensor : {&arguments.projections, &arguments.hidden, &arguments.cell, &arguments.weight})
    *tensor = torch::stable::to(*tensor, ScalarType::Float);
}

// (T, *) added up over its first size.
inline Tensor sum_of_steps(const Tensor& steps) {
  const int64_t first = 0;
  return torch::stable::sum(steps, torch::headeronly::IntHeaderOnlyArrayRef(&first, 1));
}

inline void copy_rows(const Tensor& target, int64_t begin, int64_t end, const Tensor& source, int64_t from) {
  Tensor rows = rows_of(target, begin, end);
  torch::stable::copy_(rows, rows_of(source, from, from + end - begin));
}

template <class Engine, class Cell, class T>
SequenceResults compute_sequence_forward(const SequenceArguments& given) {
  using Real = Compute<T>;
  const Sequence<Cell, T> sequence(given);
  const SequenceArguments& arguments = sequence.arguments;
  const Tensor& leader = arguments.projections;
  const int64_t duration = sequence.duration, batch = sequence.batch, channels = sequence.channels;
  const ScalarType dtype = leader.scalar_type(), of_states = arguments.cell.scalar_type();
  SequenceResults results{
      empty(leader, {duration, batch, channels}, dtype),
      empty(leader, {batch, channels}, dtype),
      empty(leader, {batch, channels}, of_states),
      empty(leader, {duration, batch, channels}, of_states),
      empty(leader, sequence.sizes_of_statistics(), compute_dtype<T>),
      empty(leader, sequence.sizes_of_statistics(), compute_dtype<T>)};
  if (arguments.lengths || sequence.is_empty())
    for (Tensor* tensor : {&results.outputs, &results.cells, &results.mean, &results.rstd})
      torch::stable::zero_(*tensor);
  if (!sequence.is_empty()) {
    const Tensor weight = transposed(arguments.weight);
    const Tensor projection = empty(leader, {batch, sequence.width}, dtype);
    for (int64_t step = 0; step < duration && sequence.samples[step] > 0; ++step) {
      const int64_t count = sequence.samples[step], at = sequence.at(step, channels);
      const int64_t statistics = sequence.statistics_at(step);
      Engine::product(
          rows_of(projection, 0, count), sequence.hidden_before(results.outputs, step, count), weight, false);
      Outputs<Cell, T> outputs{data_of<T>(results.outputs) + at, {data_of<State<Cell, T>>(results.cells) + at}};
      Engine::template forward<Cell, T>(
          leader, sequence.problem(step, results.cells, data_of<const T>(projection)),
          data_of<Real>(results.mean) + statistics, data_of<Real>(results.rstd) + statistics, outputs);
    }
  }
  sequence.for_ends([&](int64_t step, int64_t begin, int64_t end) {
    const int64_t from = step < 0 ? begin : step * batch + begin;
    copy_rows(results.hidden, begin, end, step < 0 ? arguments.hidden : results.outputs, from);
    copy_rows(results.cell, begin, end, step < 0 ? arguments.cell : results.cells, from);
  });
  return results;
}

template <class Engine, class Cell, class T>
SequenceGradients compute_sequence_backward(
    const OptionalTensor& grad_outputs, const OptionalTensor& grad_hidden, const OptionalTensor& grad_cell,
    const SequenceArguments& given, const SequenceResults& kept) {
  using Real = Compute<T>;
  using S = State<Cell, T>;
  const Sequence<Cell, T> sequence(given);
  const SequenceArguments& arguments = sequence.arguments;
  const Tensor& leader = arguments.projections;
  const Tensor outputs = make_contiguous(kept.outputs), cells = make_contiguous(kept.cells);
  const Tensor mean = make_contiguous(kept.mean), rstd = make_contiguous(kept.rstd);
  const int64_t duration = sequence.duration, batch = sequence.batch, channels = sequence.channels;
  const int64_t width = sequence.width;
  const ScalarType dtype = leader.scalar_type(), of_states = arguments.cell.scalar_type();

  // A new tensor with the numbers of a gradient, which are zero where it is missing.
  const auto filled = [&](const OptionalTensor& gradient, const std::vector<int64_t>& sizes, ScalarType dtype) {
    Tensor tensor = empty(leader, sizes, dtype);
    gradient ? torch::stable::copy_(tensor, *gradient) : torch::stable::zero_(tensor);
    return tensor;
  };
  // The gradients of the parameters from every step.
  const auto parameter = [&](const OptionalTensor& given, int64_t rows) {
    return filled(std::nullopt, {given ? duration : 0, rows * width}, compute_dtype<T>);
  };

  // The gradients of the hidden states after every step, and before the first one, as far as they are known.
  Tensor grad_hiddens = filled(grad_outputs, {duration, batch, channels}, dtype);
  Tensor grad_initial = filled(std::nullopt, {batch, channels}, dtype);
  if (grad_hidden) {
    Tensor summands = filled(std::nullopt, {2, batch, channels}, dtype);
    copy_rows(summands, batch, 2 * batch, make_contiguous(*grad_hidden), 0);
    sequence.for_ends([&](int64_t step, int64_t begin, int64_t end) {
      if (step >= 0) copy_rows(summands, begin, end, grad_hiddens, step * batch + begin);
    });
    const Tensor sums = sum_of_steps(summands);
    sequence.for_ends([&](int64_t step, int64_t begin, int64_t end) {
      const int64_t to = std::max<int64_t>(step, 0) * batch;
      copy_rows(step < 0 ? grad_initial : grad_hiddens, to + begin, to + end, sums, begin);
    });
  }
  // Those of the cell before and after a step take turns. Of a sample that has ended they are those of its last state.
  Tensor grad_cells[2] = {
      filled(grad_cell, {batch, channels}, of_states), filled(grad_cell, {batch, channels}, of_states)};
  const auto of_projections = [&] {
    const std::vector<int64_t> sizes{duration, batch, width};
    return arguments.lengths ? filled(std::nullopt, sizes, dtype) : empty(leader, sizes, dtype);
  };
  Tensor grad_projections = of_projections();
  // Without a norm and a gain both projections have the same gradient.
  const bool same = arguments.norm == Norm::none && !arguments.gain;
  Tensor grad_hidden_projections = same ? grad_projections : of_projections();
  Tensor grad_gain = parameter(arguments.gain, 2), grad_bias = parameter(arguments.bias, 1);
  Tensor grad_weight = filled(std::nullopt, {width, channels}, dtype);
  int64_t current = 0;
  if (!sequence.is_empty()) {
    const Tensor hidden_projections = empty(leader, {duration, batch, width}, dtype);
    const Tensor weight = transposed(arguments.weight);
    const int64_t later = (duration - 1) * batch;  // samples of all steps but the first
    Engine::product(rows_of(hidden_projections, 0, batch), arguments.hidden, weight, false);
    if (later > 0)
      Engine::product(rows_of(hidden_projections, batch, batch + later), rows_of(outputs, 0, later), weight, false);
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
      Engine::product(
          step == 0 ? rows_of(grad_initial, 0, count) : sequence.rows(grad_hiddens, step - 1, count),
          sequence.rows(grad_hidden_projections, step, count), arguments.weight, true);
    }
    Engine::product(grad_weight, transposed(rows_of(grad_hidden_projections, 0, batch)), arguments.hidden, false);
    if (later > 0)
      Engine::product(
          grad_weight, transposed(rows_of(grad_hidden_projections, batch, batch + later)), rows_of(outputs, 0, later),
          true);
  }
  const auto total = [&](const OptionalTensor& given, Tensor& steps) {
    if (!given) return empty(leader, {0}, compute_dtype<T>);
    return torch::stable::reshape(sum_of_steps(steps), sizes_of(*given));
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
SequenceResults sequence_forward(SequenceArguments arguments) {
  if constexpr (widens<Engine, T>) {
    const ScalarType of_state = arguments.cell.scalar_type();
    widen(arguments);
    SequenceResults results = compute_sequence_forward<Engine, Cell, Compute<T>>(arguments);
    for (Tensor* tensor : {&results.outputs, &results.hidden}) *tensor = torch::stable::to(*tensor, ScalarType::Half);
    for (Tensor* tensor : {&results.cell, &results.cells}) *tensor = torch::stable::to(*tensor, of_state);
    return results;
  } else {
    return compute_sequence_forward<Engine, Cell, T>(arguments);
  }
}

template <class Engine, class Cell, class T>
SequenceGradients sequence_backward(
    OptionalTensor grad_outputs, OptionalTensor grad_hidden, OptionalTensor grad_cell, SequenceArguments arguments,
    SequenceResults kept) {
  if constexpr (widens<Engine, T>) {
    const ScalarType of_state = arguments.cell.scalar_type();
    widen(arguments);
    for (OptionalTensor* gradient : {&grad_outputs, &grad_hidden, &grad_cell}) convert(*gradient, ScalarType::Float);
    for (Tensor* tensor : {&kept.outputs, &kept.cells}) *tensor = torch::stable::to(*tensor, ScalarType::Float);
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
