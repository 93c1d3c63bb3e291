// tanh_moments, sigmoid_moments, relu_moments and moments_sequence as registered operators for the engine of any
// device; moments_problem.h says what an engine has. The schemas are in schema.cpp.
#pragma once

#include "operators/moments_sequence_backward.h"

namespace fastladder {

template <class Engine, class Formula, bool is_backward>
std::tuple<Tensor, Tensor> run_moments(Tensor mean, Tensor variance, OptionalTensor (&gradients)[2]) {
  const Shape shape = shape_of(mean, 1);
  const ScalarType dtype = mean.scalar_type();
  check_activation("var", variance, mean, shape.channels, dtype);
  for (OptionalTensor& gradient : gradients)
    if (gradient) check_activation("gradient", *gradient, mean, shape.channels, dtype);
  return dispatch<Engine>(mean, [&](auto* type) -> std::tuple<Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    using C = Computed<Engine, T>;
    const auto prepare = [&](Tensor& tensor) {
      tensor = arrange(tensor, shape.channels_last);
      widen<Engine, T>(tensor);
    };
    const auto make_output = [&] {
      return empty_activation(mean, shape.channels, shape.channels_last, mean.scalar_type());
    };
    prepare(mean), prepare(variance);
    for (OptionalTensor& gradient : gradients)
      if (gradient) prepare(*gradient);
    const auto data_of_given = [&](int o) { return gradients[o] ? data_of<const C>(*gradients[o]) : nullptr; };
    Tensor out_mean = make_output(), out_variance = make_output();
    MomentsProblem<C> problem{};
    problem.elements = mean.numel();
    problem.mean = data_of<const C>(mean), problem.variance = data_of<const C>(variance);
    problem.gradient_mean = data_of_given(0), problem.gradient_variance = data_of_given(1);
    problem.out_mean = data_of<C>(out_mean), problem.out_variance = data_of<C>(out_variance);
    if (problem.elements > 0) Engine::template run<Formula, is_backward>(mean, problem);
    narrow<Engine, T>(out_mean), narrow<Engine, T>(out_variance);
    return {out_mean, out_variance};
  });
}

template <class Engine, class Formula>
std::tuple<Tensor, Tensor> moments_forward(Tensor mean, Tensor var) {  // (N, C, *S)
  OptionalTensor none[2];
  return run_moments<Engine, Formula, false>(mean, var, none);
}

template <class Engine, class Formula>
std::tuple<Tensor, Tensor> moments_backward(
    OptionalTensor grad_mean, OptionalTensor grad_var, Tensor mean, Tensor var) {  // (N, C, *S)
  OptionalTensor gradients[] = {grad_mean, grad_var};
  return run_moments<Engine, Formula, true>(mean, var, gradients);
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> moments_sequence(
    Tensor mean, Tensor var,                // (T, N, C)
    Tensor hidden_mean, Tensor hidden_var,  // (N, C)
    Tensor weight, Tensor weight_of_var,    // (C, C)
    Tensor rate,                            // (C)
    OptionalTensor lengths,                 // (N)
    std::string nonlinearity, bool keeps) {
  using Results = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;
  return dispatch_nonlinearity<Engine>(mean, nonlinearity, [&](auto formula, auto* type) -> Results {
    MomentsSequenceResults results =
        moments_sequence_forward<Engine, decltype(formula), std::remove_pointer_t<decltype(type)>>(
            {mean, var, hidden_mean, hidden_var, weight, weight_of_var, rate, lengths, keeps});
    return {results.means,      results.variances,          results.hidden_mean,
            results.hidden_var, results.preactivation_mean, results.preactivation_var,
            results.spreads};
  });
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> moments_sequence_backward(
    OptionalTensor grad_means, OptionalTensor grad_variances,         // (T, N, C)
    OptionalTensor grad_hidden_mean, OptionalTensor grad_hidden_var,  // (N, C)
    Tensor mean, Tensor var,                                          // (T, N, C)
    Tensor hidden_mean, Tensor hidden_var,                            // (N, C)
    Tensor weight, Tensor weight_of_var,                              // (C, C)
    Tensor rate,                                                      // (C)
    OptionalTensor lengths,                                           // (N)
    std::string nonlinearity, bool keeps, Tensor means, Tensor preactivation_mean, Tensor preactivation_var,
    Tensor spreads) {  // (T, N, C)
  using Results = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;
  return dispatch_nonlinearity<Engine>(mean, nonlinearity, [&](auto formula, auto* type) -> Results {
    MomentsSequenceGradients gradients =
        moments_sequence_gradients<Engine, decltype(formula), std::remove_pointer_t<decltype(type)>>(
            {grad_means, grad_variances, grad_hidden_mean, grad_hidden_var},
            {mean, var, hidden_mean, hidden_var, weight, weight_of_var, rate, lengths, keeps},
            {means, {}, {}, {}, preactivation_mean, preactivation_var, spreads});
    const Tensor of_lengths = empty(rate, {0}, rate.scalar_type());
    return {gradients.mean,   gradients.var,           gradients.hidden_mean, gradients.hidden_var,
            gradients.weight, gradients.weight_of_var, gradients.rate,        of_lengths};
  });
}

template <class Engine, class Library>
void implement_moments(Library& library) {
  library.impl("tanh_moments", TORCH_BOX((&moments_forward<Engine, TanhMoments>)));
  library.impl("tanh_moments_backward", TORCH_BOX((&moments_backward<Engine, TanhMoments>)));
  library.impl("sigmoid_moments", TORCH_BOX((&moments_forward<Engine, SigmoidMoments>)));
  library.impl("sigmoid_moments_backward", TORCH_BOX((&moments_backward<Engine, SigmoidMoments>)));
  library.impl("relu_moments", TORCH_BOX((&moments_forward<Engine, ReluMoments>)));
  library.impl("relu_moments_backward", TORCH_BOX((&moments_backward<Engine, ReluMoments>)));
  library.impl("moments_sequence", TORCH_BOX(&moments_sequence<Engine>));
  library.impl("moments_sequence_backward", TORCH_BOX(&moments_sequence_backward<Engine>));
}

}  // namespace fastladder
