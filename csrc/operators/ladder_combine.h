// ladder_combine as a registered operator, for the engine of any device. The schema stands in schema.cpp.
#pragma once

#include "formulas/ladder_combine.h"
#include "operators/problem.h"

namespace fastladder {

// Results lie in memory as the lateral does, while an engine goes by the first projection.
inline Arguments ladder_arguments(const Tensor& lateral, const Tensor& top, const Tensor& weights) {
  STD_TORCH_CHECK(weights.dim() == 2 && weights.size(0) == 10, "weights: needs (10, C)");
  return {{arrange(top, is_channels_last(lateral))}, {lateral}, {weights}, {}, {}};
}

template <class Engine>
Tensor ladder_combine(
    Tensor lateral, Tensor top,  // (N, C, *S)
    Tensor weights,              // (10, C)
    bool squash_gate) {
  const Arguments arguments = ladder_arguments(lateral, top, weights);
  return dispatch<Engine>(lateral, [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    Results results = squash_gate ? forward<Engine, LadderCombine<true>, T>(arguments)
                                  : forward<Engine, LadderCombine<false>, T>(arguments);
    return results.output;
  });
}

template <class Engine>
std::tuple<Tensor, Tensor, Tensor> ladder_combine_backward(
    OptionalTensor grad_z,       // (N, C, *S)
    Tensor lateral, Tensor top,  // (N, C, *S)
    Tensor weights,              // (10, C)
    bool squash_gate) {
  const Arguments arguments = ladder_arguments(lateral, top, weights);
  return dispatch<Engine>(lateral, [&](auto* type) -> std::tuple<Tensor, Tensor, Tensor> {
    using T = std::remove_pointer_t<decltype(type)>;
    const Tensor none = empty(lateral, {0}, compute_dtype<T>);  // there are no statistics
    ArgumentGradients answer = squash_gate
                                   ? backward<Engine, LadderCombine<true>, T>(grad_z, {}, arguments, none, none)
                                   : backward<Engine, LadderCombine<false>, T>(grad_z, {}, arguments, none, none);
    return {answer.extras[0], answer.projections[0], answer.weights[0]};
  });
}

template <class Engine, class Library>
void implement_ladder_combine(Library& library) {
  library.impl("ladder_combine", TORCH_BOX(&ladder_combine<Engine>));
  library.impl("ladder_combine_backward", TORCH_BOX(&ladder_combine_backward<Engine>));
}

}  // namespace fastladder
