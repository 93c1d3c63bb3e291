// From the dtype of a call's tensors to the C++ type that an engine computes it in.
#pragma once

#include "precision.h"
#include "tensors.h"

namespace fastladder {

// Calls run with a null pointer of the activations' type.
template <class Engine, class Run>
auto dispatch(const Tensor& leader, Run run) {
  const ScalarType dtype = leader.scalar_type();
  if constexpr (Engine::takes_float64)
    if (dtype == ScalarType::Double) return run(static_cast<double*>(nullptr));
  if (dtype == ScalarType::BFloat16) return run(static_cast<BFloat16*>(nullptr));
  if (dtype == ScalarType::Half) return run(static_cast<Half*>(nullptr));
  STD_TORCH_CHECK(
      dtype == ScalarType::Float, "needs activations of float32, bfloat16 or float16",
      Engine::takes_float64 ? ", or float64" : "; float64 runs on the reference backend");
  return run(static_cast<float*>(nullptr));
}

// An engine without kernels for float16 computes in float32 all the same: its tensors are widened before, and its
// results narrowed after.
template <class Engine, class T>
constexpr bool widens = std::is_same_v<T, Half> && !Engine::takes_float16;

// The type of arithmetic and of the tensors that a kernel sees: an engine without kernels for float16 computes in
// float32.
template <class Engine, class T>
using Computed = std::conditional_t<widens<Engine, T>, float, T>;

template <class Engine, class T>
void widen(Tensor& tensor) {
  if constexpr (widens<Engine, T>) tensor = torch::stable::to(tensor, ScalarType::Float);
}

template <class Engine, class T>
void narrow(Tensor& tensor) {
  if constexpr (widens<Engine, T>) tensor = torch::stable::to(tensor, ScalarType::Half);
}

}  // namespace fastladder
