// One call of an operator of the family grouping: its arguments, checked and contiguous, and its results. A Formula
// (formulas/group_*.h) supplies the mathematics of one element; an Engine (cpu/grouping_engine.h,
// cuda/grouping_engine.cuh) runs it over tensors by
//
//   static constexpr bool takes_float64, takes_float16
//   run<Formula, is_backward, T>(leader, problem)
//
// of at least one element, where `leader` says on which device.
#pragma once

#include "formulas/grouping.h"
#include "operators/dispatch.h"

namespace fastladder {

// Numbers of every sample and group, (N, K, P): those of a group lie side by side, groups `stride` numbers apart.
template <class T>
struct Grouped {
  T* data;  // null where there is no such tensor
  int64_t stride;

  FASTLADDER_FORMULA T* group(int64_t sample_group) const { return data + sample_group * stride; }
};

// One call as a kernel sees it. Pointers are null for tensors that it does not have.
template <class T>
struct GroupingProblem {
  int64_t batch, groups, pixels;  // N, K, P
  const T* data;                  // (N, P)
  Grouped<const T> mean, mask;    // (N, K, P)
  const Compute<T>* variance;     // one number
  double flip;
  Grouped<T> outputs[2];  // (N, K, P): those that have groups; in a backward pass the gradients of mean and mask
  Compute<T>* sums;       // what the formula sums: (N); in a backward pass one number
  Grouped<T> copies[2];   // (N, K, P): mean and mask once more, in the forward pass of group_features

  // For a backward pass.
  Grouped<const T> gradients[2];    // (N, K, P): of the outputs that have groups
  Grouped<const T> added[2];        // (N, K, P): of the copies, which add to the gradients of mean and mask
  const Compute<T>* sum_gradients;  // (N)
  T* grad_data;                     // (N, P)

  FASTLADDER_FORMULA Compute<T> sum_gradient(int64_t n) const {
    return sum_gradients ? sum_gradients[n] : Compute<T>(0);
  }
};

struct GroupingArguments {
  Tensor data;              // (N, *D)
  Tensor mean, mask;        // (N, K, *D)
  OptionalTensor variance;  // 0-dim
  double flip = 0;
};

struct GroupingCotangents {
  OptionalTensor outputs[2];  // (N, K, *D)
  OptionalTensor features;    // (N, K, 4, *D)
  OptionalTensor sums;        // (N)
};

struct GroupingGradients {
  Tensor data;        // (N, *D)
  Tensor mean, mask;  // (N, K, *D)
  Tensor variance;    // 0-dim; undefined without a variance
};

template <class T>
Grouped<T> whole(const Tensor& tensor, int64_t pixels) {
  return {data_of<T>(tensor), pixels};
}

// The same groups in one channel of the features (N, K, 4, P).
template <class T>
Grouped<T> channel_of(const Tensor& features, int64_t channel, int64_t pixels) {
  return {data_of<T>(features) + channel * pixels, 4 * pixels};
}

inline std::vector<int64_t> feature_sizes(const Tensor& mean) {
  std::vector<int64_t> sizes = sizes_of(mean);
  sizes.insert(sizes.begin() + 2, 4);
  return sizes;
}

template <class T>
GroupingProblem<T> make_grouping_problem(GroupingArguments& arguments) {
  const Tensor& mean = arguments.mean;
  STD_TORCH_CHECK(mean.dim() >= 2, "mean: needs (N, K, *D)");
  std::vector<int64_t> sizes = sizes_of(mean);
  const int64_t groups = sizes[1];
  STD_TORCH_CHECK(groups >= 1 && groups <= most_groups, "mean: got ", groups, " groups, needs 1 to ", most_groups);
  check_activation("mask", arguments.mask, mean, groups, mean.scalar_type());
  sizes.erase(sizes.begin() + 1);
  STD_TORCH_CHECK(sizes_of(arguments.data) == sizes, "noisy or target: needs (N, *D) where the mean is (N, K, *D)");
  STD_TORCH_CHECK(arguments.data.scalar_type() == mean.scalar_type(), "noisy or target: needs the dtype of the mean");
  for (Tensor* tensor : {&arguments.data, &arguments.mean, &arguments.mask}) *tensor = make_contiguous(*tensor);

  GroupingProblem<T> problem{};
  problem.batch = sizes[0];
  problem.groups = groups;
  problem.pixels = 1;
  for (size_t dim = 1; dim < sizes.size(); ++dim) problem.pixels *= sizes[dim];
  problem.data = data_of<const T>(arguments.data);
  problem.mean = whole<const T>(arguments.mean, problem.pixels);
  problem.mask = whole<const T>(arguments.mask, problem.pixels);
  problem.flip = arguments.flip;
  if (OptionalTensor& variance = arguments.variance) {
    STD_TORCH_CHECK(variance->device() == mean.device(), "variance: needs the device of the mean");
    variance = check_parameter("variance", *variance, 1, compute_dtype<T>);
    problem.variance = data_of<const Compute<T>>(*variance);
  }
  return problem;
}

// Checks the cotangents; `given` keeps the contiguous copies alive.
template <class T>
void set_cotangents(GroupingProblem<T>& problem, GroupingCotangents& given, const Tensor& mean) {
  for (int o : {0, 1})
    if (OptionalTensor& output = given.outputs[o]) {
      check_activation("gradient", *output, mean, problem.groups, mean.scalar_type());
      output = make_contiguous(*output);
      problem.gradients[o] = whole<const T>(*output, problem.pixels);
    }
  if (OptionalTensor& features = given.features) {
    STD_TORCH_CHECK(sizes_of(*features) == feature_sizes(mean), "gradient: needs (N, K, 4, *D)");
    STD_TORCH_CHECK(features->scalar_type() == mean.scalar_type(), "gradient: needs the dtype of the mean");
    features = make_contiguous(*features);
    for (int o : {0, 1}) {
      problem.added[o] = channel_of<const T>(*features, o, problem.pixels);
      problem.gradients[o] = channel_of<const T>(*features, 2 + o, problem.pixels);
    }
  }
  if (given.sums) {
    given.sums = check_parameter("gradient", *given.sums, problem.batch, compute_dtype<T>);
    problem.sum_gradients = data_of<const Compute<T>>(*given.sums);
  }
}

}  // namespace fastladder
