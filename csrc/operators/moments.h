// tanh_moments, sigmoid_moments and relu_moments as registered operators for the engine of any device. A Formula
// (formulas/moments.h) supplies the mathematics of one element; an Engine (cpu/moments_engine.h,
// cuda/moments_engine.cuh) runs it over tensors by
//
//   static constexpr bool takes_float64, takes_float16
//   run<Formula, is_backward, T>(leader, problem)
//
// of at least one element, where `leader` says on which device. The schemas are in schema.cpp.
#pragma once

#include "formulas/moments.h"
#include "operators/dispatch.h"

namespace fastladder {

// One call as a kernel sees it: elements that lie alike in all tensors. Pointers are null for tensors that it does not
// have.
template <class T>
struct MomentsProblem {
  int64_t elements;
  const T *mean, *variance;                    // of the input
  const T *gradient_mean, *gradient_variance;  // of the output, in a backward pass; null where it is unused
  T *out_mean, *out_variance;                  // of the output; in a backward pass the gradients of the input's
};

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
    const MomentsProblem<C> problem{
        mean.numel(),     data_of<const C>(mean), data_of<const C>(variance), data_of_given(0),
        data_of_given(1), data_of<C>(out_mean),   data_of<C>(out_variance)};
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

template <class Engine, class Library>
void implement_moments(Library& library) {
  library.impl("tanh_moments", TORCH_BOX((&moments_forward<Engine, TanhMoments>)));
  library.impl("tanh_moments_backward", TORCH_BOX((&moments_backward<Engine, TanhMoments>)));
  library.impl("sigmoid_moments", TORCH_BOX((&moments_forward<Engine, SigmoidMoments>)));
  library.impl("sigmoid_moments_backward", TORCH_BOX((&moments_backward<Engine, SigmoidMoments>)));
  library.impl("relu_moments", TORCH_BOX((&moments_forward<Engine, ReluMoments>)));
  library.impl("relu_moments_backward", TORCH_BOX((&moments_backward<Engine, ReluMoments>)));
}

}  // namespace fastladder
