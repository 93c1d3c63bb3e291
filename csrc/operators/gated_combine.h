// combine_g1, combine_g2, combine_g3_hidden and combine_g3 as registered operators, for the engine of any device.
#pragma once

#include "formulas/gated_combine.h"
#include "operators/preactivation.h"

namespace fastladder {

using CombineResults = std::tuple<Tensor, Tensor, Tensor>;

template <class Engine, class Cell>
CombineResults combine_forward(const Arguments& arguments) {
  return dispatch<Engine>(arguments.projections[0], [&](auto* type) -> CombineResults {
    Results results = forward<Engine, Cell, std::remove_pointer_t<decltype(type)>>(arguments);
    return {results.output, results.mean, results.rstd};
  });
}

template <class Engine, class Cell>
ArgumentGradients combine_backward(
    const OptionalTensor& grad, const Arguments& arguments, const Tensor& mean, const Tensor& rstd) {
  return dispatch<Engine>(arguments.projections[0], [&](auto* type) {
    return backward<Engine, Cell, std::remove_pointer_t<decltype(type)>>(grad, {}, arguments, mean, rstd);
  });
}

// The parameters of G1's two functions, (5, C) each, as its weights.
inline std::vector<Tensor> functions(const Tensor& gate, const Tensor& content) {
  STD_TORCH_CHECK(
      gate.dim() == 2 && content.dim() == 2 && gate.size(0) == 5 && content.size(0) == 5, "gate, content: need (5, C)");
  STD_TORCH_CHECK(
      gate.size(1) == content.size(1) && gate.scalar_type() == content.scalar_type(),
      "gate, content: need one shape and dtype");
  return {gate, content};
}

template <class Engine>
CombineResults combine_g1(
    Tensor projection,            // (N, C, *S)
    Tensor lateral,               // (N, C, *S)
    Tensor gate, Tensor content,  // (5, C)
    OptionalTensor gain,          // (C)
    OptionalTensor bias,          // (C)
    std::string norm, bool squash_gate, double eps) {
  Arguments arguments{{projection}, {lateral}, functions(gate, content), gain, bias, parse_norm(norm), eps};
  return squash_gate ? combine_forward<Engine, CombineG1<true>>(arguments)
                     : combine_forward<Engine, CombineG1<false>>(arguments);
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> combine_g1_backward(
    OptionalTensor grad_y,                                                       // (N, C, *S)
    Tensor projection,                                                           // (N, C, *S)
    Tensor lateral,                                                              // (N, C, *S)
    Tensor gate, Tensor content,                                                 // (5, C)
    OptionalTensor gain,                                                         // (C)
    OptionalTensor bias,                                                         // (C)
    std::string norm, bool squash_gate, double eps, Tensor mean, Tensor rstd) {  // (1, N, 1), (1, C) or (0)
  Arguments arguments{{projection}, {lateral}, functions(gate, content), gain, bias, parse_norm(norm), eps};
  ArgumentGradients gradients = squash_gate ? combine_backward<Engine, CombineG1<true>>(grad_y, arguments, mean, rstd)
                                            : combine_backward<Engine, CombineG1<false>>(grad_y, arguments, mean, rstd);
  return {gradients.projections[0], gradients.extras[0], gradients.weights[0],
          gradients.weights[1],     gradients.gain,      gradients.bias};
}

template <class Engine>
CombineResults combine_g2(
    Tensor top, Tensor lateral,  // (N, 3C, *S): mu1, mu2, s
    Tensor weights,              // (3, 5, C)
    OptionalTensor gain,         // (2, 3C)
    OptionalTensor bias,         // (3C)
    std::string norm, double eps) {
  return combine_forward<Engine, CombineG2>({{top, lateral}, {}, {weights}, gain, bias, parse_norm(norm), eps});
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> combine_g2_backward(
    OptionalTensor grad_y,                                     // (N, C, *S)
    Tensor top, Tensor lateral,                                // (N, 3C, *S)
    Tensor weights,                                            // (3, 5, C)
    OptionalTensor gain,                                       // (2, 3C)
    OptionalTensor bias,                                       // (3C)
    std::string norm, double eps, Tensor mean, Tensor rstd) {  // (2, N, 3), (2, 3C) or (0)
  ArgumentGradients gradients = combine_backward<Engine, CombineG2>(
      grad_y, {{top, lateral}, {}, {weights}, gain, bias, parse_norm(norm), eps}, mean, rstd);
  return {gradients.projections[0], gradients.projections[1], gradients.weights[0], gradients.gain, gradients.bias};
}

template <class Engine>
CombineResults combine_g3_hidden(
    Tensor top, Tensor lateral,  // (N, C, *S)
    OptionalTensor gain,         // (2, C)
    OptionalTensor bias,         // (C)
    std::string norm, double eps) {
  return combine_forward<Engine, CombineG3Hidden>({{top, lateral}, {}, {}, gain, bias, parse_norm(norm), eps});
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor> combine_g3_hidden_backward(
    OptionalTensor grad_u,                                     // (N, C, *S)
    Tensor top, Tensor lateral,                                // (N, C, *S)
    OptionalTensor gain,                                       // (2, C)
    OptionalTensor bias,                                       // (C)
    std::string norm, double eps, Tensor mean, Tensor rstd) {  // (2, N, 1), (2, C) or (0)
  ArgumentGradients gradients = combine_backward<Engine, CombineG3Hidden>(
      grad_u, {{top, lateral}, {}, {}, gain, bias, parse_norm(norm), eps}, mean, rstd);
  return {gradients.projections[0], gradients.projections[1], gradients.gain, gradients.bias};
}

template <class Engine>
Tensor combine_g3(Tensor projections) {  // (N, 3C, *S): s, d, e
  return std::get<0>(combine_forward<Engine, CombineG3>({{projections}, {}, {}, {}, {}}));
}

template <class Engine>
Tensor combine_g3_backward(
    OptionalTensor grad_y,  // (N, C, *S)
    Tensor projections) {   // (N, 3C, *S)
  Tensor none =
      empty(projections, {0}, projections.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float);
  return combine_backward<Engine, CombineG3>(grad_y, {{projections}, {}, {}, {}, {}}, none, none).projections[0];
}

template <class Engine, class Library>
void implement_gated_combine(Library& library) {
  library.impl("combine_g1", TORCH_BOX(&combine_g1<Engine>));
  library.impl("combine_g1_backward", TORCH_BOX(&combine_g1_backward<Engine>));
  library.impl("combine_g2", TORCH_BOX(&combine_g2<Engine>));
  library.impl("combine_g2_backward", TORCH_BOX(&combine_g2_backward<Engine>));
  library.impl("combine_g3_hidden", TORCH_BOX(&combine_g3_hidden<Engine>));
  library.impl("combine_g3_hidden_backward", TORCH_BOX(&combine_g3_hidden_backward<Engine>));
  library.impl("combine_g3", TORCH_BOX(&combine_g3<Engine>));
  library.impl("combine_g3_backward", TORCH_BOX(&combine_g3_backward<Engine>));
}

}  // namespace fastladder
