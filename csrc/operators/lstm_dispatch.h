// From the dtypes of projections and cell to the types that the gates of an LSTM are computed in.
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

}  // namespace fastladder
