// lstm_gates and lstm_sequence as registered operators, for the engine of any device. The schemas are in schema.cpp.
#pragma once

#include "operators/lstm_dispatch.h"
#include "operators/lstm_sequence_backward.h"
#include "operators/preactivation.h"

namespace fastladder {

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

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> lstm_sequence(
    Tensor projections,      // (T, N, 4C)
    Tensor hidden,           // (N, C)
    Tensor cell,             // (N, C)
    Tensor weight,           // (4C, C)
    OptionalTensor lengths,  // (N)
    OptionalTensor gain,     // (2, 4C)
    OptionalTensor bias,     // (4C)
    std::string norm, double eps, bool keeps) {
  using Results = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;
  const SequenceArguments arguments{projections, hidden,           cell, weight, lengths, gain,
                                    bias,        parse_norm(norm), eps,  keeps};
  return dispatch_gates<Engine>(projections, cell, [&](auto gates, auto* type) -> Results {
    SequenceResults results =
        sequence_forward<Engine, decltype(gates), std::remove_pointer_t<decltype(type)>>(arguments);
    return {results.outputs, results.hidden, results.cell, results.cells, results.hidden_projections,
            results.mean,    results.rstd};
  });
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> lstm_sequence_backward(
    OptionalTensor grad_outputs,  // (T, N, C)
    OptionalTensor grad_hidden,   // (N, C)
    OptionalTensor grad_cell,     // (N, C)
    Tensor projections,           // (T, N, 4C)
    Tensor hidden,                // (N, C)
    Tensor cell,                  // (N, C)
    Tensor weight,                // (4C, C)
    OptionalTensor lengths,       // (N)
    OptionalTensor gain,          // (2, 4C)
    OptionalTensor bias,          // (4C)
    std::string norm, double eps, bool keeps,
    Tensor outputs,              // (T, N, C)
    Tensor cells,                // (T, N, C)
    Tensor hidden_projections,   // (T, N, 4C)
    Tensor mean, Tensor rstd) {  // (T, 2, N, 1), (T, 2, 4C) or (0)
  using Results = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;
  const SequenceArguments arguments{projections, hidden,           cell, weight, lengths, gain,
                                    bias,        parse_norm(norm), eps,  keeps};
  return dispatch_gates<Engine>(projections, cell, [&](auto gates, auto* type) -> Results {
    SequenceGradients gradients = sequence_backward<Engine, decltype(gates), std::remove_pointer_t<decltype(type)>>(
        grad_outputs, grad_hidden, grad_cell, arguments,
        {outputs, hidden, cell, cells, hidden_projections, mean, rstd});
    const Tensor of_lengths = empty(projections, {0}, mean.scalar_type());
    return {gradients.projections, gradients.hidden, gradients.cell, gradients.weight, of_lengths,
            gradients.gain,        gradients.bias};
  });
}

template <class Engine, class Library>
void implement_lstm_gates(Library& library) {
  library.impl("lstm_gates", TORCH_BOX(&lstm_gates<Engine>));
  library.impl("lstm_gates_backward", TORCH_BOX(&lstm_gates_backward<Engine>));
  library.impl("lstm_sequence", TORCH_BOX(&lstm_sequence<Engine>));
  library.impl("lstm_sequence_backward", TORCH_BOX(&lstm_sequence_backward<Engine>));
}

}  // namespace fastladder
