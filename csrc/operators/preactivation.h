// A call of an operator with a preactivation (preactivation_problem.h): its arguments, checked and brought into one
// memory layout, and its results. An Engine (cpu/preactivation_engine.h, cuda/preactivation_engine.cuh) runs a Cell
// over tensors of at least one element by
//
//   static constexpr bool takes_float64, takes_float16
//   forward<Cell, T>(leader, problem, mean, rstd, outputs)
//   backward<Cell, T>(leader, problem, mean, rstd, gradients)
//
// where `leader`, the first projection, says on which device.
#pragma once

#include "operators/dispatch.h"
#include "operators/preactivation_problem.h"

namespace fastladder {

// The tensors of one call. Optional ones are empty where the family has none or the caller gave none.
struct Arguments {
  std::vector<Tensor> projections;  // J times (N, K, *S)
  std::vector<Tensor> extras;       // (N, C, *S) each
  std::vector<Tensor> weights;      // (weights, C), in as many tensors as the family has
  OptionalTensor gain;              // (J, K)
  OptionalTensor bias;              // (K)
  Norm norm = Norm::none;
  double eps = 0;
  std::vector<Tensor> states;  // (N, C, *S) each
};

struct Results {
  Tensor output;               // (N, C, *S)
  std::vector<Tensor> states;  // (N, C, *S) each
  Tensor mean, rstd;           // see Problem::statistics
};

struct ArgumentGradients {
  std::vector<Tensor> projections, extras, weights, states;
  Tensor gain, bias;  // empty where the argument is missing
};

// Checks an activation and brings it into the layout of the kernel; `tensor` keeps the copy alive.
template <class T>
const T* activation_data(
    const char* name, Tensor& tensor, const Tensor& leader, int64_t channels, bool channels_last, ScalarType dtype) {
  check_activation(name, tensor, leader, channels, dtype);
  tensor = arrange(tensor, channels_last);
  return data_of<const T>(tensor);
}

// The dtype of a Cell's states beside the leading activation.
template <class Cell, class T>
ScalarType state_dtype(const Tensor& leader) {
  return std::is_same_v<State<Cell, T>, T> ? leader.scalar_type() : compute_dtype<T>;
}

template <class Cell, class T>
Problem<Cell, T> make_problem(Arguments& arguments) {
  using Real = Compute<T>;
  const int64_t count = arguments.projections.size();
  STD_TORCH_CHECK(
      count >= Cell::least_projections && count <= Cell::most_projections, "projections: got ", count,
      " tensors, needs ", Cell::least_projections, " to ", Cell::most_projections);
  const Tensor leader = arguments.projections[0];
  Problem<Cell, T> problem{};
  problem.shape = shape_of(leader, Cell::parts);
  problem.count = count;
  problem.width = Cell::parts * problem.shape.channels;
  problem.norm = arguments.norm;
  problem.eps = arguments.eps;
  const int64_t channels = problem.shape.channels;
  const bool channels_last = problem.shape.channels_last;
  const ScalarType dtype = leader.scalar_type(), of_states = state_dtype<Cell, T>(leader);
  for (int64_t j = 0; j < count; ++j)
    problem.projections[j] =
        activation_data<T>("projections", arguments.projections[j], leader, problem.width, channels_last, dtype);
  for (int e = 0; e < Cell::extras; ++e)
    problem.extras[e] = activation_data<T>("lateral", arguments.extras[e], leader, channels, channels_last, dtype);
  for (int s = 0; s < Cell::states; ++s)
    problem.states[s] =
        activation_data<State<Cell, T>>("cell", arguments.states[s], leader, channels, channels_last, of_states);
  const auto parameter = [&](const char* name, Tensor& tensor, int64_t numel) -> const Real* {
    STD_TORCH_CHECK(tensor.device() == leader.device(), name, ": needs the device of the first activation");
    tensor = check_parameter(name, tensor, numel, compute_dtype<T>);
    return data_of<const Real>(tensor);
  };
  for (int w = 0; w < Cell::weight_tensors; ++w)
    problem.weights[w] = parameter("weights", arguments.weights[w], problem.weight_rows * channels);
  if (arguments.gain) problem.gain = parameter("gain", *arguments.gain, count * problem.width);
  if (arguments.bias) problem.bias = parameter("bias", *arguments.bias, problem.width);
  // One pixel is a row of channels in either layout, and channels make the longer row.
  problem.shape.channels_last = channels_last || problem.shape.pixels == 1;
  return problem;
}

template <class Engine, class Cell, class T>
Results compute_forward(Arguments arguments) {
  const Tensor leader = arguments.projections.at(0);
  const Problem<Cell, T> problem = make_problem<Cell, T>(arguments);
  std::vector<int64_t> sizes{0};
  if (problem.norm == Norm::layer) sizes = {problem.count, problem.shape.batch, problem.norm_groups};
  if (problem.norm == Norm::batch) sizes = {problem.count, problem.width};
  const auto activation = [&](ScalarType dtype) {
    return empty_activation(leader, problem.shape.channels, is_channels_last(leader), dtype);
  };
  Results results{
      activation(leader.scalar_type()),
      {},
      empty(leader, sizes, compute_dtype<T>),
      empty(leader, sizes, compute_dtype<T>)};
  Outputs<Cell, T> outputs{};
  outputs.output = data_of<T>(results.output);
  for (int s = 0; s < Cell::states; ++s) {
    results.states.push_back(activation(state_dtype<Cell, T>(leader)));
    outputs.states[s] = data_of<State<Cell, T>>(results.states[s]);
  }
  if (leader.numel() == 0) {
    torch::stable::zero_(results.mean);
    torch::stable::zero_(results.rstd);
    return results;
  }
  Engine::template forward<Cell, T>(
      leader, problem, data_of<Compute<T>>(results.mean), data_of<Compute<T>>(results.rstd), outputs);
  return results;
}

template <class Engine, class Cell, class T>
ArgumentGradients compute_backward(
    OptionalTensor grad_output, std::vector<OptionalTensor> grad_states, Arguments arguments, Tensor mean,
    Tensor rstd) {
  using Real = Compute<T>;
  const Tensor leader = arguments.projections.at(0);
  const Problem<Cell, T> problem = make_problem<Cell, T>(arguments);
  const bool channels_last = is_channels_last(leader);
  const int64_t width = problem.width, channels = problem.shape.channels;
  const ScalarType dtype = leader.scalar_type(), of_states = state_dtype<Cell, T>(leader);
  mean = check_parameter("mean", mean, problem.statistics(), compute_dtype<T>);
  rstd = check_parameter("rstd", rstd, problem.statistics(), compute_dtype<T>);

  Gradients<Cell, T> gradients{};
  const auto parameter = [&](const OptionalTensor& given, Real*& target) {
    Tensor gradient = empty(leader, given ? sizes_of(*given) : std::vector<int64_t>{0}, compute_dtype<T>);
    if (given) target = data_of<Real>(gradient);
    return gradient;
  };
  ArgumentGradients results{
      {}, {}, {}, {}, parameter(arguments.gain, gradients.gain), parameter(arguments.bias, gradients.bias)};
  for (int w = 0; w < Cell::weight_tensors; ++w)
    results.weights.push_back(parameter(arguments.weights[w], gradients.weights[w]));
  if (grad_output)
    gradients.output = activation_data<T>("gradient", *grad_output, leader, channels, channels_last, dtype);
  for (int s = 0; s < Cell::states; ++s)
    if (grad_states[s])
      gradients.new_states[s] =
          activation_data<State<Cell, T>>("gradient", *grad_states[s], leader, channels, channels_last, of_states);
  for (int64_t j = 0; j < problem.count; ++j) {
    results.projections.push_back(empty_activation(leader, width, channels_last, dtype));
    gradients.projections[j] = data_of<T>(results.projections[j]);
  }
  for (int e = 0; e < Cell::extras; ++e) {
    results.extras.push_back(empty_activation(leader, channels, channels_last, dtype));
    gradients.extras[e] = data_of<T>(results.extras[e]);
  }
  for (int s = 0; s < Cell::states; ++s) {
    results.states.push_back(empty_activation(leader, channels, channels_last, of_states));
    gradients.states[s] = data_of<State<Cell, T>>(results.states[s]);
  }
  if (leader.numel() == 0) {
    for (Tensor* gradient : {&results.gain, &results.bias}) torch::stable::zero_(*gradient);
    for (Tensor& gradient : results.weights) torch::stable::zero_(gradient);
    return results;
  }
  Engine::template backward<Cell, T>(leader, problem, data_of<const Real>(mean), data_of<const Real>(rstd), gradients);
  return results;
}

inline void convert(std::vector<Tensor>& tensors, ScalarType dtype) {
  for (Tensor& tensor : tensors) tensor = torch::stable::to(tensor, dtype);
}

inline void convert(OptionalTensor& tensor, ScalarType dtype) {
  if (tensor) tensor = torch::stable::to(*tensor, dtype);
}

// Activations and states to float32.
inline void widen(Arguments& arguments) {
  for (auto* tensors : {&arguments.projections, &arguments.extras, &arguments.states})
    convert(*tensors, ScalarType::Float);
}

template <class Engine, class Cell, class T>
Results forward(Arguments arguments) {
  if constexpr (widens<Engine, T>) {
    const std::vector<Tensor> states = arguments.states;
    widen(arguments);
    Results results = compute_forward<Engine, Cell, Compute<T>>(arguments);
    results.output = torch::stable::to(results.output, ScalarType::Half);
    for (int s = 0; s < Cell::states; ++s)
      results.states[s] = torch::stable::to(results.states[s], states[s].scalar_type());
    return results;
  } else {
    return compute_forward<Engine, Cell, T>(arguments);
  }
}

template <class Engine, class Cell, class T>
ArgumentGradients backward(
    OptionalTensor grad_output, std::vector<OptionalTensor> grad_states, Arguments arguments, Tensor mean,
    Tensor rstd) {
  if constexpr (widens<Engine, T>) {
    const std::vector<Tensor> states = arguments.states;
    widen(arguments);
    convert(grad_output, ScalarType::Float);
    for (OptionalTensor& grad : grad_states) convert(grad, ScalarType::Float);
    ArgumentGradients results =
        compute_backward<Engine, Cell, Compute<T>>(grad_output, grad_states, arguments, mean, rstd);
    convert(results.projections, ScalarType::Half);
    convert(results.extras, ScalarType::Half);
    for (int s = 0; s < Cell::states; ++s)
      results.states[s] = torch::stable::to(results.states[s], states[s].scalar_type());
    return results;
  } else {
    return compute_backward<Engine, Cell, T>(grad_output, grad_states, arguments, mean, rstd);
  }
}

}  // namespace fastladder
