// lstm_gates as a registered operator, for the engine of any device. The schema stands in schema.cpp.
#pragma once

#include "formulas/lstm_gates.h"
#include "operators/problem.h"

namespace fastladder {

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor> lstm_gates(
    std::vector<Tensor> projections,  // 1 to 3 times (N, 4C, *S)
    Tensor cell,                      // (N, C, *S)
    OptionalTensor gain,              // (J, 4C)
    OptionalTensor bias,              // (4C)
    std::string norm, double eps) {
  return dispatch<Engine>(cell, [&](auto* type) -> std::tuple<Tensor, Tensor, Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    Results results = forward<Engine, LstmGates, T>({projections, {cell}, {}, gain, bias, parse_norm(norm), eps});
    return {results.outputs[0], results.outputs[1], results.mean, results.rstd};
  });
}

template <class Engine>
std::tuple<std::vector<Tensor>, Tensor, Tensor, Tensor> lstm_gates_backward(
    OptionalTensor grad_hidden,                                // (N, C, *S)
    OptionalTensor grad_cell,                                  // (N, C, *S)
    std::vector<Tensor> projections,                           // 1 to 3 times (N, 4C, *S)
    Tensor cell,                                               // (N, C, *S)
    OptionalTensor gain,                                       // (J, 4C)
    OptionalTensor bias,                                       // (4C)
    std::string norm, double eps, Tensor mean, Tensor rstd) {  // (J, N, 1), (J, 4C) or (0)
  return dispatch<Engine>(cell, [&](auto* type) -> std::tuple<std::vector<Tensor>, Tensor, Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    ArgumentGradients answer = backward<Engine, LstmGates, T>(
        {grad_hidden, grad_cell}, {projections, {cell}, {}, gain, bias, parse_norm(norm), eps}, mean, rstd);
    return {answer.projections, answer.extras[0], answer.gain, answer.bias};
  });
}

template <class Engine, class Library>
void implement_lstm_gates(Library& library) {
  library.impl("lstm_gates", TORCH_BOX(&lstm_gates<Engine>));
  library.impl("lstm_gates_backward", TORCH_BOX(&lstm_gates_backward<Engine>));
}

}  // namespace fastladder
