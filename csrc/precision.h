// The types of activations, and the type that each is computed in.
#pragma once

#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <type_traits>

namespace fastladder {

using BFloat16 = torch::headeronly::BFloat16;
using Half = torch::headeronly::Half;

// The type of arithmetic, statistics and parameters for activations of type T.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <class T>
constexpr torch::headeronly::ScalarType compute_dtype =
    std::is_same_v<T, double> ? torch::headeronly::ScalarType::Double : torch::headeronly::ScalarType::Float;

}  // namespace fastladder
