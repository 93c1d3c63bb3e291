// gaussian_merge, gaussian_kl and merge_sample_kl as registered operators for the engine of any device. A Formula
// (formulas/gaussian.h) supplies the mathematics of one element; an Engine (cpu/gaussian_engine.h,
// cuda/gaussian_engine.cuh) runs it over tensors by
//
//   static constexpr bool takes_float64, takes_float16
//   run<Formula, is_backward, T>(leader, problem)
//
// of at least one element, where `leader` says on which device. The schemas are in schema.cpp.
#pragma once

#include "formulas/gaussian.h"
#include "operators/dispatch.h"
#include "operators/wiener_kl.h"

namespace fastladder {

constexpr int most_inputs = 7, most_outputs = 3;  // of all formulas

// One call as a kernel sees it: elements that lie alike in all tensors. Pointers are null for tensors that it does not
// have.
template <class T>
struct GaussianProblem {
  int64_t rows, size;                // elements of one sample are a row; all are one where no terms are added up
  const T* inputs[most_inputs];      // (rows, size)
  T* results[most_inputs];           // (rows, size): outputs; in a backward pass gradients of the inputs
  const T* gradients[most_outputs];  // (rows, size): of the outputs, in a backward pass; null where one is unused
  Compute<T>* sums;                  // (rows): of terms, in a forward pass
  const Compute<T>* sum_gradients;   // (rows), in a backward pass; null where the sums are unused

  FASTLADDER_FORMULA int64_t elements() const { return rows * size; }
  FASTLADDER_FORMULA Compute<T> sum_gradient(int64_t row) const {
    return sum_gradients ? sum_gradients[row] : Compute<T>(0);
  }
};

// Outputs, then sums where there are terms; or the gradients of all inputs.
template <class Engine, class Formula, bool is_backward>
std::vector<Tensor> run_gaussian(
    std::vector<Tensor> inputs,                                         // (N, C, *S)
    std::vector<OptionalTensor> gradients, OptionalTensor grad_sums) {  // of the outputs (N, C, *S); of the sums (N)
  const Tensor leader = inputs[0];
  const Shape shape = shape_of(leader, 1);
  for (const Tensor& input : inputs) check_activation("input", input, leader, shape.channels, leader.scalar_type());
  for (const OptionalTensor& gradient : gradients)
    if (gradient) check_activation("gradient", *gradient, leader, shape.channels, leader.scalar_type());
  return dispatch<Engine>(leader, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    using C = Computed<Engine, T>;
    const auto prepare = [&](Tensor& tensor) {
      tensor = arrange(tensor, shape.channels_last);
      widen<Engine, T>(tensor);
      return data_of<const C>(tensor);
    };
    GaussianProblem<C> problem{};
    problem.rows = Formula::has_term ? shape.batch : 1;
    problem.size = leader.numel() / std::max<int64_t>(problem.rows, 1);
    for (size_t i = 0; i < inputs.size(); ++i) problem.inputs[i] = prepare(inputs[i]);
    for (size_t o = 0; o < gradients.size(); ++o)
      if (gradients[o]) problem.gradients[o] = prepare(*gradients[o]);
    if (grad_sums) {
      grad_sums = check_parameter("gradient", *grad_sums, shape.batch, compute_dtype<T>);
      problem.sum_gradients = data_of<const Compute<T>>(*grad_sums);
    }
    std::vector<Tensor> results;
    constexpr int written = is_backward ? Formula::inputs : Formula::outputs;
    for (int r = 0; r < written; ++r) {
      results.push_back(empty_activation(leader, shape.channels, shape.channels_last, inputs[0].scalar_type()));
      problem.results[r] = data_of<C>(results[r]);
    }
    constexpr bool has_sums = Formula::has_term && !is_backward;
    if constexpr (has_sums) {
      results.push_back(empty(leader, {shape.batch}, compute_dtype<T>));
      problem.sums = data_of<Compute<T>>(results.back());
    }
    if (leader.numel() > 0)
      Engine::template run<Formula, is_backward>(leader, problem);
    else if (has_sums)
      torch::stable::zero_(results.back());
    for (int r = 0; r < written; ++r) narrow<Engine, T>(results[r]);
    return results;
  });
}

template <class Engine>
std::tuple<Tensor, Tensor> gaussian_merge(Tensor mean_a, Tensor var_a, Tensor mean_b, Tensor var_b) {  // (N, C, *S)
  const auto results = run_gaussian<Engine, GaussianMerge, false>({mean_a, var_a, mean_b, var_b}, {}, {});
  return {results[0], results[1]};
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor> gaussian_merge_backward(
    OptionalTensor grad_mean, OptionalTensor grad_var, Tensor mean_a, Tensor var_a, Tensor mean_b,
    Tensor var_b) {  // (N, C, *S)
  const auto results =
      run_gaussian<Engine, GaussianMerge, true>({mean_a, var_a, mean_b, var_b}, {grad_mean, grad_var}, {});
  return {results[0], results[1], results[2], results[3]};
}

template <class Engine>
Tensor gaussian_kl(Tensor mean_q, Tensor var_q, Tensor mean_p, Tensor var_p) {  // (N, C, *S)
  return run_gaussian<Engine, GaussianKl, false>({mean_q, var_q, mean_p, var_p}, {}, {})[0];
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor> gaussian_kl_backward(
    OptionalTensor grad_kl,                                      // (N)
    Tensor mean_q, Tensor var_q, Tensor mean_p, Tensor var_p) {  // (N, C, *S)
  const auto results = run_gaussian<Engine, GaussianKl, true>({mean_q, var_q, mean_p, var_p}, {}, grad_kl);
  return {results[0], results[1], results[2], results[3]};
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor> merge_sample_kl(
    Tensor mean_d, Tensor var_d, Tensor mean_t, Tensor var_t, Tensor mean_p, Tensor var_p,
    Tensor noise) {  // (N, C, *S)
  const auto results =
      run_gaussian<Engine, MergeSampleKl, false>({mean_d, var_d, mean_t, var_t, mean_p, var_p, noise}, {}, {});
  return {results[0], results[1], results[2], results[3]};
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> merge_sample_kl_backward(
    OptionalTensor grad_z, OptionalTensor grad_mean, OptionalTensor grad_var,  // (N, C, *S)
    OptionalTensor grad_kl,                                                    // (N)
    Tensor mean_d, Tensor var_d, Tensor mean_t, Tensor var_t, Tensor mean_p, Tensor var_p,
    Tensor noise) {  // (N, C, *S)
  const auto results = run_gaussian<Engine, MergeSampleKl, true>(
      {mean_d, var_d, mean_t, var_t, mean_p, var_p, noise}, {grad_z, grad_mean, grad_var}, grad_kl);
  return {results[0], results[1], results[2], results[3], results[4], results[5], results[6]};
}

template <class Engine, class Library>
void implement_gaussian(Library& library) {
  library.impl("gaussian_merge", TORCH_BOX(&gaussian_merge<Engine>));
  library.impl("gaussian_merge_backward", TORCH_BOX(&gaussian_merge_backward<Engine>));
  library.impl("gaussian_kl", TORCH_BOX(&gaussian_kl<Engine>));
  library.impl("gaussian_kl_backward", TORCH_BOX(&gaussian_kl_backward<Engine>));
  library.impl("merge_sample_kl", TORCH_BOX(&merge_sample_kl<Engine>));
  library.impl("merge_sample_kl_backward", TORCH_BOX(&merge_sample_kl_backward<Engine>));
  library.impl("wiener_kl", TORCH_BOX(&wiener_kl<Engine>));
  library.impl("wiener_kl_backward", TORCH_BOX(&wiener_kl_backward<Engine>));
}

}  // namespace fastladder
