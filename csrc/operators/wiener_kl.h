// wiener_kl as a registered operator for the engine of any device, whose `run` (operators/gaussian.h) also takes a
// SequenceProblem. A Formula (formulas/wiener_kl.h) supplies the mathematics of one element.
#pragma once

#include "formulas/wiener_kl.h"
#include "operators/dispatch.h"

namespace fastladder {

// One call as a kernel sees it. Pointers are null for tensors that it does not have.
template <class T>
struct SequenceProblem {
  int64_t steps, batch, features;        // T, N, D
  const T *mean, *variance;              // (T, N, D)
  Compute<T>* sums;                      // (T, N): of what the formula gives, over D, in a forward pass
  const Compute<T>* sum_gradients;       // (T, N), for a backward pass; null where the sums are unused
  T *mean_gradient, *variance_gradient;  // (T, N, D), in a backward pass

  FASTLADDER_FORMULA int64_t rows() const { return steps * batch; }
  FASTLADDER_FORMULA int64_t step_elements() const { return batch * features; }
  FASTLADDER_FORMULA int64_t elements() const { return rows() * features; }
  FASTLADDER_FORMULA Compute<T> sum_gradient(int64_t row) const {
    return sum_gradients ? sum_gradients[row] : Compute<T>(0);
  }
};

// Checks the arguments, and makes them contiguous.
template <class Engine, class T>
SequenceProblem<Computed<Engine, T>> make_sequence_problem(Tensor& mean, Tensor& variance) {
  STD_TORCH_CHECK(mean.dim() == 3, "mean: needs (T, N, D)");
  check_activation("var", variance, mean, mean.size(1), mean.scalar_type());
  for (Tensor* tensor : {&mean, &variance}) {
    *tensor = make_contiguous(*tensor);
    widen<Engine, T>(*tensor);
  }
  SequenceProblem<Computed<Engine, T>> problem{};
  problem.steps = mean.size(0);
  problem.batch = mean.size(1);
  problem.features = mean.size(2);
  problem.mean = data_of<const Computed<Engine, T>>(mean);
  problem.variance = data_of<const Computed<Engine, T>>(variance);
  return problem;
}

template <class Engine, class Formula>
Tensor sequence_sums(Tensor mean, Tensor variance) {
  return dispatch<Engine>(mean, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    auto problem = make_sequence_problem<Engine, T>(mean, variance);
    Tensor sums = empty(mean, {problem.steps, problem.batch}, compute_dtype<T>);
    problem.sums = data_of<Compute<T>>(sums);
    if (mean.numel() > 0)
      Engine::template run<Formula, false>(mean, problem);
    else
      torch::stable::zero_(sums);
    return sums;
  });
}

template <class Engine, class Formula>
std::tuple<Tensor, Tensor> sequence_gradients(OptionalTensor grad_sums, Tensor mean, Tensor variance) {
  return dispatch<Engine>(mean, [&](auto* type) -> std::tuple<Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    auto problem = make_sequence_problem<Engine, T>(mean, variance);
    if (grad_sums) {
      grad_sums = check_parameter("gradient", *grad_sums, problem.rows(), compute_dtype<T>);
      problem.sum_gradients = data_of<const Compute<T>>(*grad_sums);
    }
    Tensor gradients[] = {
        empty(mean, sizes_of(mean), mean.scalar_type()), empty(mean, sizes_of(mean), mean.scalar_type())};
    problem.mean_gradient = data_of<Computed<Engine, T>>(gradients[0]);
    problem.variance_gradient = data_of<Computed<Engine, T>>(gradients[1]);
    if (mean.numel() > 0) Engine::template run<Formula, true>(mean, problem);
    for (Tensor& gradient : gradients) narrow<Engine, T>(gradient);
    return {gradients[0], gradients[1]};
  });
}

template <class Engine>
Tensor wiener_kl(Tensor mean, Tensor var, bool exact) {  // (T, N, D)
  return exact ? sequence_sums<Engine, WienerKl<true>>(mean, var) : sequence_sums<Engine, WienerKl<false>>(mean, var);
}

template <class Engine>
std::tuple<Tensor, Tensor> wiener_kl_backward(
    OptionalTensor grad_kl,                 // (T, N)
    Tensor mean, Tensor var, bool exact) {  // (T, N, D)
  return exact ? sequence_gradients<Engine, WienerKl<true>>(grad_kl, mean, var)
               : sequence_gradients<Engine, WienerKl<false>>(grad_kl, mean, var);
}

}  // namespace fastladder
