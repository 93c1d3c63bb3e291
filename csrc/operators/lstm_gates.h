// lstm_gates as a registered operator, for the engine of any device. The schema is in schema.cpp.
#pragma once

#include "formulas/lstm_gates.h"
#include "operators/preactivation.h"

namespace fastladder {

// Calls run(gates, pointer) with the Cell and a null pointer of the projections' type: a cell c of float32 beside
// narrower projections is a wide state.
template <class Engine, class Run>
auto dispatch_gates(const Tensor& leader, const Tensor& cell, Run run) {
  return dispatch<Engine>(leader, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    const ScalarType narrow = leader.scalar_type(), own = cell.scalar_type();
    STD_TORCH_CHECK(
        own == narrow || own == compute_dtype<T>, "cell: got dtype ", toString(own), ", needs ", toString(narrow),
        " like the projections, or Float beside narrower ones");
    if constexpr (!std::is_same_v<T, Compute<T>> && !widens<Engine, T>)
      if (own != narrow) return run(WideStates<LstmGates>(), type);
    return run(LstmGates(), type);
  });
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor> lstm_gates(
    std::vector<Tensor> projections,  // 1 to 3 times (N, 4C, *S)
    Tensor cell,                      // (N, C, *S)
    OptionalTensor gain,              // (J, 4C)
    OptionalTensor bias,              // (4C)
    std::string norm, double eps) {
  const Arguments arguments{projections, {}, {}, gain, bias, parse_norm(norm), eps, {cell}};
  return dispatch_gates<Engine>(
      projections.at(0), cell, [&](auto gates, auto* type) -> std::tuple<Tensor, Tensor, Tensor, Tensor> {
        Results results = forward<Engine, decltype(gates), std::remove_pointer_t<decltype(type)>>(arguments);
        return {results.output, results.states[0], results.mean, results.rstd};
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
  const Arguments arguments{projections, {}, {}, gain, bias, parse_norm(norm), eps, {cell}};
  return dispatch_gates<Engine>(
      projections.at(0), cell, [&](auto gates, auto* type) -> std::tuple<std::vector<Tensor>, Tensor, Tensor, Tensor> {
        ArgumentGradients gradients = backward<Engine, decltype(gates), std::remove_pointer_t<decltype(type)>>(
            grad_hidden, {grad_cell}, arguments, mean, rstd);
        return {gradients.projections, gradients.states[0], gradients.gain, gradients.bias};
      });
}

template <class Engine, class Library>
void implement_lstm_gates(Library& library) {
  library.impl("lstm_gates", TORCH_BOX(&lstm_gates<Engine>));
  library.impl("lstm_gates_backward", TORCH_BOX(&lstm_gates_backward<Engine>));
}

}  // namespace fastladder
