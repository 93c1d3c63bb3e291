// A dense LSTM over a whole sequence: step t is lstm_gates of projections[t] and of the product of the hidden state and
// the weight. The loop over time is the same for every device: an Engine computes the gates of one step (see
// preactivation.h) from pointers into the tensors of the sequence, so that nothing is copied, and
//
//   product<T>(out, a, b, keep)   out = a b, or with `keep` out += a b
//
// Where a backward pass may follow, the forward pass keeps the outputs, the cells and the hidden states' projections of
// all steps. To compute these anew, in one product, takes a sixth of a training step's time (measured in float32 for 32
// samples, 88 -> 200 channels). The gradient of the weight is one product over all steps.
#pragma once

#include "operators/lstm_dispatch.h"
#include "operators/sequences.h"

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
  bool keeps;  // whether a backward pass may follow
};

struct SequenceResults {
  Tensor outputs;             // (T, N, C)
  Tensor hidden, cell;        // (N, C)
  Tensor cells;               // (T, N, C), after each step
  Tensor hidden_projections;  // (T, N, 4C), or empty where no backward pass follows
  Tensor mean, rstd;          // (T, *) with those of a step, see Problem::statistics
};

// What the passes over a sequence share: its sizes, its checked arguments, and the gates of a step.
template <class Cell, class T>
struct Sequence : Steps {
  using Real = Compute<T>;
  using S = State<Cell, T>;

  SequenceArguments arguments;
  int64_t channels, width;
  Problem<Cell, T> gates{};  // those of any step, without its sizes and its data

  explicit Sequence(const SequenceArguments& given) : arguments(given) {
    Tensor& projections = arguments.projections;
    STD_TORCH_CHECK(
        projections.dim() == 3 && projections.size(2) % 4 == 0, "projections: needs an activation of shape (T, N, 4C)");
    duration = projections.size(0), batch = projections.size(1), width = projections.size(2), channels = width / 4;
    const auto check_device = [&](const char* name, const Tensor& tensor) {
      STD_TORCH_CHECK(tensor.device() == projections.device(), name, ": needs the device of the projections");
    };
    const auto check = [&](const char* name, Tensor& tensor, int64_t rows, ScalarType dtype) {
      check_device(name, tensor);
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
      check_device(name, *tensor);
      tensor = check_parameter(name, *tensor, numel, compute_dtype<T>);
      return data_of<const Real>(*tensor);
    };
    gates.gain = parameter("gain", arguments.gain, 2 * width);
    gates.bias = parameter("bias", arguments.bias, width);
  }

  bool is_empty() const { return arguments.projections.numel() == 0; }

  // The numbers among the statistics of a step: (2, N, 1), (2, 4C) or none.
  std::vector<int64_t> sizes_of_statistics() const {
    if (arguments.norm == Norm::layer) return {duration, 2, batch, 1};
    return arguments.norm == Norm::batch ? std::vector<int64_t>{duration, 2, width} : std::vector<int64_t>{0};
  }
  int64_t statistics_at(int64_t step) const {
    return arguments.norm == Norm::none ? 0 : step * 2 * (arguments.norm == Norm::layer ? batch : width);
  }

  Problem<Cell, T> problem(int64_t step, const Tensor& cells, const T* hidden_projection) const {
    Problem<Cell, T> problem = gates;
    problem.shape = {samples[step], channels, 1, true};
    problem.projections[0] = data_of<const T>(arguments.projections) + at(step, width);
    problem.projections[1] = hidden_projection;
    problem.states[0] = step == 0 ? data_of<const S>(arguments.cell) : data_of<const S>(cells) + at(step - 1, channels);
    return problem;
  }
};

// Activations and states to float32.
inline void widen(SequenceArguments& arguments) {
  for (Tensor* tensor : {&arguments.projections, &arguments.hidden, &arguments.cell, &arguments.weight})
    *tensor = torch::stable::to(*tensor, ScalarType::Float);
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
      empty(leader, {arguments.keeps ? duration : 0, batch, sequence.width}, dtype),
      empty(leader, sequence.sizes_of_statistics(), compute_dtype<T>),
      empty(leader, sequence.sizes_of_statistics(), compute_dtype<T>)};
  if (arguments.lengths || sequence.is_empty())
    for (Tensor* tensor : {&results.outputs, &results.cells, &results.hidden_projections, &results.mean, &results.rstd})
      torch::stable::zero_(*tensor);
  if (!sequence.is_empty()) {
    const Tensor weight = sequence.transposed_weight(arguments.weight);
    const Tensor one_step = empty(leader, {arguments.keeps ? 0 : batch, sequence.width}, dtype);
    for (int64_t step = 0; step < duration && sequence.samples[step] > 0; ++step) {
      const int64_t count = sequence.samples[step], at = sequence.at(step, channels);
      const int64_t statistics = sequence.statistics_at(step);
      const Tensor projection =
          arguments.keeps ? sequence.rows(results.hidden_projections, step, count) : rows_of(one_step, 0, count);
      Engine::template product<T>(
          projection, sequence.before(arguments.hidden, results.outputs, step, count), weight, false);
      Outputs<Cell, T> outputs{data_of<T>(results.outputs) + at, {data_of<State<Cell, T>>(results.cells) + at}};
      Engine::template forward<Cell, T>(
          leader, sequence.problem(step, results.cells, data_of<const T>(projection)),
          data_of<Real>(results.mean) + statistics, data_of<Real>(results.rstd) + statistics, outputs);
    }
  }
  copy_last_states(sequence, results.hidden, arguments.hidden, results.outputs);
  copy_last_states(sequence, results.cell, arguments.cell, results.cells);
  return results;
}

template <class Engine, class Cell, class T>
SequenceResults sequence_forward(SequenceArguments arguments) {
  if constexpr (widens<Engine, T>) {
    const ScalarType of_state = arguments.cell.scalar_type();
    widen(arguments);
    SequenceResults results = compute_sequence_forward<Engine, Cell, Compute<T>>(arguments);
    for (Tensor* tensor : {&results.outputs, &results.hidden, &results.hidden_projections})
      *tensor = torch::stable::to(*tensor, ScalarType::Half);
    for (Tensor* tensor : {&results.cell, &results.cells}) *tensor = torch::stable::to(*tensor, of_state);
    return results;
  } else {
    return compute_sequence_forward<Engine, Cell, T>(arguments);
  }
}

}  // namespace fastladder
