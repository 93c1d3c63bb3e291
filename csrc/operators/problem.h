// One call of an operator with a preactivation
//
//   a[k] = sum_j gain[j, k] * (p_j - mean) * rstd + bias[k],   output, new states = Cell::forward(a, beside, weights)
//
// for J projections p_j of K = parts * C channels: its arguments, checked and in one memory layout, and its results.
// Beside the preactivations a Cell reads its extras, activations of the projections' type, and its recurrent states,
// which it also writes anew. States may be wide: of the type of arithmetic while the activations are narrow.
// A Cell (formulas/) supplies the mathematics of one element; an Engine (cpu/fused.h, cuda/fused.cuh) runs it over
// tensors by
//
//   static constexpr bool takes_float64, takes_float16
//   forward<Cell, T>(leader, problem, mean, rstd, outputs)
//   backward<Cell, T>(leader, problem, mean, rstd, gradients)
//
// of at least one element, where `leader` says on which device.
#pragma once

#include "formulas/activations.h"
#include "precision.h"
#include "tensors.h"

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

// A Cell that keeps its states in the type of arithmetic, such as float32 beside bfloat16 activations.
template <class Cell>
struct WideStates : Cell {};

template <class Cell, class T>
struct StateOf {
  using Type = T;
};
template <class Cell, class T>
struct StateOf<WideStates<Cell>, T> {
  using Type = Compute<T>;
};
// The type of a Cell's states beside activations of type T.
template <class Cell, class T>
using State = typename StateOf<Cell, T>::Type;

// The arguments as a kernel sees them.
template <class Cell, class T>
struct Problem {
  using Real = Compute<T>;
  Shape shape;
  int64_t count;  // J
  int64_t width;  // K = parts * C
  Norm norm;
  double eps;
  const T* projections[3];                         // J times (N, K, S)
  const T* extras[Cell::extras + 1];               // (N, C, S) each
  const State<Cell, T>* states[Cell::states + 1];  // likewise
  const Real* weights[2];                          // together (weights, C)
  const Real* gain;                                // (J, K) or null, which is 1
  const Real* bias;                                // (K) or null, which is 0

  static constexpr int weight_rows = Cell::weight_tensors == 0 ? 1 : Cell::weights / Cell::weight_tensors;  // of one
  static constexpr int64_t groups = Cell::joint ? 1 : Cell::parts;  // of layer norm, per sample

  // Row w of the weights, (C).
  FASTLADDER_FORMULA const Real* weight(int w) const {
    return weights[w / weight_rows] + w % weight_rows * shape.channels;
  }
  int64_t rows() const { return shape.channels_last ? shape.pixels : shape.channels; }
  int64_t sample(int64_t channels) const { return channels * shape.pixels; }
  int64_t group_size() const {
    return norm == Norm::layer ? width / groups * shape.pixels : shape.batch * shape.pixels;
  }
  // Statistics stand (J, N, groups) for layer, (J, K) for batch. This is where those of a part's group stand for layer.
  int64_t group(int64_t j, int64_t n, int64_t part) const {
    return (j * shape.batch + n) * groups + (groups == 1 ? 0 : part);
  }
  int64_t statistics() const {
    return norm == Norm::none ? 0 : count * (norm == Norm::layer ? shape.batch * groups : width);
  }
};

// What the forward pass writes.
template <class Cell, class T>
struct Outputs {
  T* output;                                 // (N, C, S)
  State<Cell, T>* states[Cell::states + 1];  // (N, C, S) each
};

// What the backward pass reads and writes.
template <class Cell, class T>
struct Gradients {
  const T* output;                                     // (N, C, S), or null where it is unused
  const State<Cell, T>* new_states[Cell::states + 1];  // likewise
  T* projections[3];                                   // J times (N, K, S)
  T* extras[Cell::extras + 1];                         // (N, C, S) each
  State<Cell, T>* states[Cell::states + 1];            // likewise
  Compute<T>* weights[2];                              // together (weights, C)
  Compute<T>* gain;                                    // (J, K), or null where the argument is missing
  Compute<T>* bias;                                    // (K), likewise
};

// Calls run with a null pointer of the activations' type.
template <class Engine, class Run>
auto dispatch(const Tensor& leader, Run run) {
  const ScalarType dtype = leader.scalar_type();
  if constexpr (Engine::takes_float64)
    if (dtype == ScalarType::Double) return run(static_cast<double*>(nullptr));
  if (dtype == ScalarType::BFloat16) return run(static_cast<BFloat16*>(nullptr));
  if (dtype == ScalarType::Half) return run(static_cast<Half*>(nullptr));
  STD_TORCH_CHECK(
      dtype == ScalarType::Float, "needs activations of float32, bfloat16 or float16",
      Engine::takes_float64 ? ", or float64" : "; float64 runs on the reference backend");
  return run(static_cast<float*>(nullptr));
}

// Calls run(constant) with the number of projections as a compile-time constant, one of those the family can have.
template <class Cell, int J = Cell::least_projections, class Run>
void with_count(int64_t count, Run run) {
  if constexpr (J < Cell::most_projections)
    if (count > J) return with_count<Cell, J + 1>(count, run);
  run(std::integral_constant<int, J>());
}

template <class T>
T* data_of(const Tensor& tensor) {
  if constexpr (std::is_const_v<T>)
    return static_cast<T*>(tensor.const_data_ptr());
  else
    return static_cast<T*>(tensor.mutable_data_ptr());
}

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
  if (problem.norm == Norm::layer) sizes = {problem.count, problem.shape.batch, problem.groups};
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
  ArgumentGradients answer{
      {}, {}, {}, {}, parameter(arguments.gain, gradients.gain), parameter(arguments.bias, gradients.bias)};
  for (int w = 0; w < Cell::weight_tensors; ++w)
    answer.weights.push_back(parameter(arguments.weights[w], gradients.weights[w]));
  if (grad_output)
    gradients.output = activation_data<T>("gradient", *grad_output, leader, channels, channels_last, dtype);
  for (int s = 0; s < Cell::states; ++s)
    if (grad_states[s])
      gradients.new_states[s] =
          activation_data<State<Cell, T>>("gradient", *grad_states[s], leader, channels, channels_last, of_states);
  for (int64_t j = 0; j < problem.count; ++j) {
    answer.projections.push_back(empty_activation(leader, width, channels_last, dtype));
    gradients.projections[j] = data_of<T>(answer.projections[j]);
  }
  for (int e = 0; e < Cell::extras; ++e) {
    answer.extras.push_back(empty_activation(leader, channels, channels_last, dtype));
    gradients.extras[e] = data_of<T>(answer.extras[e]);
  }
  for (int s = 0; s < Cell::states; ++s) {
    answer.states.push_back(empty_activation(leader, channels, channels_last, of_states));
    gradients.states[s] = data_of<State<Cell, T>>(answer.states[s]);
  }
  if (leader.numel() == 0) {
    for (Tensor* gradient : {&answer.gain, &answer.bias}) torch::stable::zero_(*gradient);
    for (Tensor& gradient : answer.weights) torch::stable::zero_(gradient);
    return answer;
  }
  Engine::template backward<Cell, T>(leader, problem, data_of<const Real>(mean), data_of<const Real>(rstd), gradients);
  return answer;
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

// An engine without kernels for float16 computes in float32 all the same: widened before and narrowed after. States
// come back in the dtype that they came in.
template <class Engine, class T>
constexpr bool widens = std::is_same_v<T, Half> && !Engine::takes_float16;

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
    ArgumentGradients answer =
        compute_backward<Engine, Cell, Compute<T>>(grad_output, grad_states, arguments, mean, rstd);
    convert(answer.projections, ScalarType::Half);
    convert(answer.extras, ScalarType::Half);
    for (int s = 0; s < Cell::states; ++s)
      answer.states[s] = torch::stable::to(answer.states[s], states[s].scalar_type());
    return answer;
  } else {
    return compute_backward<Engine, Cell, T>(grad_output, grad_states, arguments, mean, rstd);
  }
}

}  // namespace fastladder
