// One call of an operator with a preactivation
//
//   a[k] = sum_j gain[j, k] * (p_j - mean) * rstd + bias[k],   output = Cell::forward(a, extra, weights)
//
// for J projections p_j of K = parts * C channels: its arguments, checked and in one memory layout, and its results.
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
};

struct Results {
  std::vector<Tensor> outputs;  // (N, C, *S) each
  Tensor mean, rstd;            // see Problem::statistic
};

struct ArgumentGradients {
  std::vector<Tensor> projections, extras, weights;
  Tensor gain, bias;  // empty where the argument is missing
};

// The arguments as a kernel sees them.
template <class Cell, class T>
struct Problem {
  using Real = Compute<T>;
  Shape shape;
  int64_t count;  // J
  int64_t width;  // K = parts * C
  Norm norm;
  double eps;
  const T* projections[3];            // J times (N, K, S)
  const T* extras[Cell::extras + 1];  // (N, C, S) each
  const Real* weights[2];             // together (weights, C)
  const Real* gain;                   // (J, K) or null, which is 1
  const Real* bias;                   // (K) or null, which is 0

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

// What the backward pass reads and writes.
template <class Cell, class T>
struct Gradients {
  const T* outputs[Cell::outputs];  // (N, C, S) each, or null where an output is unused
  T* projections[3];                // J times (N, K, S)
  T* extras[Cell::extras + 1];      // (N, C, S) each
  Compute<T>* weights[2];           // together (weights, C)
  Compute<T>* gain;                 // (J, K), or null where the argument is missing
  Compute<T>* bias;                 // (K), likewise
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
const T* activation_data(const char* name, Tensor& tensor, const Tensor& leader, int64_t channels, bool channels_last) {
  check_activation(name, tensor, leader, channels);
  tensor = arrange(tensor, channels_last);
  return data_of<const T>(tensor);
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
  const bool channels_last = problem.shape.channels_last;
  for (int64_t j = 0; j < count; ++j)
    problem.projections[j] =
        activation_data<T>("projections", arguments.projections[j], leader, problem.width, channels_last);
  for (int e = 0; e < Cell::extras; ++e)
    problem.extras[e] =
        activation_data<T>("cell or lateral", arguments.extras[e], leader, problem.shape.channels, channels_last);
  const auto parameter = [&](const char* name, Tensor& tensor, int64_t numel) -> const Real* {
    STD_TORCH_CHECK(tensor.device() == leader.device(), name, ": needs the device of the first activation");
    tensor = check_parameter(name, tensor, numel, compute_dtype<T>);
    return data_of<const Real>(tensor);
  };
  for (int w = 0; w < Cell::weight_tensors; ++w)
    problem.weights[w] = parameter("weights", arguments.weights[w], problem.weight_rows * problem.shape.channels);
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
  Results results{{}, empty(leader, sizes, compute_dtype<T>), empty(leader, sizes, compute_dtype<T>)};
  T* outputs[Cell::outputs];
  for (int o = 0; o < Cell::outputs; ++o) {
    results.outputs.push_back(empty_activation(leader, problem.shape.channels, is_channels_last(leader)));
    outputs[o] = data_of<T>(results.outputs[o]);
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
    std::vector<OptionalTensor> grad_outputs, Arguments arguments, Tensor mean, Tensor rstd) {
  using Real = Compute<T>;
  const Tensor leader = arguments.projections.at(0);
  const Problem<Cell, T> problem = make_problem<Cell, T>(arguments);
  const bool channels_last = is_channels_last(leader);
  const int64_t width = problem.width, channels = problem.shape.channels;
  mean = check_parameter("mean", mean, problem.statistics(), compute_dtype<T>);
  rstd = check_parameter("rstd", rstd, problem.statistics(), compute_dtype<T>);

  Gradients<Cell, T> gradients{};
  const auto parameter = [&](const OptionalTensor& given, Real*& target) {
    Tensor gradient = empty(leader, given ? sizes_of(*given) : std::vector<int64_t>{0}, compute_dtype<T>);
    if (given) target = data_of<Real>(gradient);
    return gradient;
  };
  ArgumentGradients answer{
      {}, {}, {}, parameter(arguments.gain, gradients.gain), parameter(arguments.bias, gradients.bias)};
  for (int w = 0; w < Cell::weight_tensors; ++w)
    answer.weights.push_back(parameter(arguments.weights[w], gradients.weights[w]));
  for (int o = 0; o < Cell::outputs; ++o)
    if (grad_outputs[o])
      gradients.outputs[o] = activation_data<T>("gradient", *grad_outputs[o], leader, channels, channels_last);
  for (int64_t j = 0; j < problem.count; ++j) {
    answer.projections.push_back(empty_activation(leader, width, channels_last));
    gradients.projections[j] = data_of<T>(answer.projections[j]);
  }
  for (int e = 0; e < Cell::extras; ++e) {
    answer.extras.push_back(empty_activation(leader, channels, channels_last));
    gradients.extras[e] = data_of<T>(answer.extras[e]);
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

// An engine without kernels for float16 computes in float32 all the same: widened before and narrowed after.
template <class Engine, class T>
constexpr bool widens = std::is_same_v<T, Half> && !Engine::takes_float16;

template <class Engine, class Cell, class T>
Results forward(Arguments arguments) {
  if constexpr (!widens<Engine, T>) return compute_forward<Engine, Cell, T>(arguments);
  convert(arguments.projections, ScalarType::Float);
  convert(arguments.extras, ScalarType::Float);
  Results results = compute_forward<Engine, Cell, Compute<T>>(arguments);
  convert(results.outputs, ScalarType::Half);
  return results;
}

template <class Engine, class Cell, class T>
ArgumentGradients backward(std::vector<OptionalTensor> grad_outputs, Arguments arguments, Tensor mean, Tensor rstd) {
  if constexpr (!widens<Engine, T>) return compute_backward<Engine, Cell, T>(grad_outputs, arguments, mean, rstd);
  convert(arguments.projections, ScalarType::Float);
  convert(arguments.extras, ScalarType::Float);
  for (OptionalTensor& grad : grad_outputs)
    if (grad) grad = torch::stable::to(*grad, ScalarType::Float);
  ArgumentGradients answer = compute_backward<Engine, Cell, Compute<T>>(grad_outputs, arguments, mean, rstd);
  convert(answer.projections, ScalarType::Half);
  convert(answer.extras, ScalarType::Half);
  return answer;
}

}  // namespace fastladder
