// A thread's work in the family grouping: pixels of one sample that lie side by side, with all their groups.
#pragma once

#include "cuda/device.cuh"
#include "operators/grouping_problem.h"

namespace fastladder {

// The loops over groups are unrolled, and what they keep stays in registers.
template <int most>
struct GroupsUpTo {
  int count;
  FASTLADDER_FORMULA static constexpr int bound() { return most; }
  FASTLADDER_FORMULA bool has(int k) const { return k < count; }
};

// The numbers of V neighbouring pixels that are read and written.
template <int most, int V, class T>
struct GroupPacks {
  Pack<T, V> data, mean[most], mask[most], gradients[2][most], outputs[2][most], grad_data;

  __device__ __forceinline__ static void fetch(
      const Grouped<const T>& tensor, int64_t first_group, int count, int64_t pixel, Pack<T, V> (&packs)[most]) {
#pragma unroll
    for (int k = 0; k < most; ++k) {
      packs[k] = {};
      if (tensor.data && k < count) packs[k] = load_last<V>(tensor.group(first_group + k) + pixel);
    }
  }
  __device__ __forceinline__ static void write(
      const Grouped<T>& tensor, int64_t first_group, int count, int64_t pixel, const Pack<T, V> (&packs)[most]) {
#pragma unroll
    for (int k = 0; k < most; ++k)
      if (tensor.data && k < count) store(tensor.group(first_group + k) + pixel, packs[k]);
  }
};

// Pixel v of these. Outputs begin as the numbers that are to be added to them.
template <int most, int V, class T>
struct PackedPixel {
  GroupPacks<most, V, T>& packs;
  int v;
  float gradient_of_sum;

  FASTLADDER_FORMULA float data() const { return static_cast<float>(packs.data.values[v]); }
  FASTLADDER_FORMULA float mean(int k) const { return static_cast<float>(packs.mean[k].values[v]); }
  FASTLADDER_FORMULA float mask(int k) const { return static_cast<float>(packs.mask[k].values[v]); }
  FASTLADDER_FORMULA float gradient(int output, int k) const {
    return static_cast<float>(packs.gradients[output][k].values[v]);
  }
  FASTLADDER_FORMULA float sum_gradient() const { return gradient_of_sum; }
  FASTLADDER_FORMULA void put(int which, int k, float x) {
    T& target = packs.outputs[which][k].values[v];
    target = static_cast<T>(static_cast<float>(target) + x);
  }
  FASTLADDER_FORMULA void put_data(float x) { packs.grad_data.values[v] = static_cast<T>(x); }
};

// Returns the formula's sum over V pixels of sample n, which begin at `pixel`.
template <class Formula, bool is_backward, int most, int V, class T>
__device__ __forceinline__ float run_packs(
    const GroupingProblem<T>& problem, const Noise<float>& noise, int64_t n, int64_t pixel) {
  using Packs = GroupPacks<most, V, T>;
  const int count = problem.groups;
  const int64_t first_group = n * count;
  Packs packs;
  packs.data = load_last<V>(problem.data + n * problem.pixels + pixel);
  Packs::fetch(problem.mean, first_group, count, pixel, packs.mean);
  Packs::fetch(problem.mask, first_group, count, pixel, packs.mask);
  if constexpr (is_backward) {
#pragma unroll
    for (int o = 0; o < 2; ++o) {
      Packs::fetch(problem.gradients[o], first_group, count, pixel, packs.gradients[o]);
      Packs::fetch(problem.added[o], first_group, count, pixel, packs.outputs[o]);
    }
  } else {
#pragma unroll
    for (int k = 0; k < most; ++k) packs.outputs[0][k] = packs.outputs[1][k] = {};
    Packs::write(problem.copies[0], first_group, count, pixel, packs.mean);
    Packs::write(problem.copies[1], first_group, count, pixel, packs.mask);
  }
  const float gradient_of_sum = problem.sum_gradient(n);
  float sum = 0.0f;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    PackedPixel<most, V, T> at{packs, v, gradient_of_sum};
    float kept[2][most];
    if constexpr (is_backward)
      sum += Formula::backward(noise, GroupsUpTo<most>{count}, at, kept);
    else
      sum += Formula::forward(noise, GroupsUpTo<most>{count}, at, kept);
  }
#pragma unroll
  for (int o = 0; o < 2; ++o) Packs::write(problem.outputs[o], first_group, count, pixel, packs.outputs[o]);
  if constexpr (is_backward) store(problem.grad_data + n * problem.pixels + pixel, packs.grad_data);
  return sum;
}

// One pixel, which is read again, from the cache, for every loop over its groups.
template <class T>
struct CachedPixel {
  const GroupingProblem<T>& problem;
  int64_t n, pixel;

  FASTLADDER_FORMULA float fetch(const Grouped<const T>& tensor, int k) const {
    return tensor.data ? static_cast<float>(tensor.group(n * problem.groups + k)[pixel]) : 0.0f;
  }
  FASTLADDER_FORMULA float data() const { return static_cast<float>(problem.data[n * problem.pixels + pixel]); }
  FASTLADDER_FORMULA float mean(int k) const { return fetch(problem.mean, k); }
  FASTLADDER_FORMULA float mask(int k) const { return fetch(problem.mask, k); }
  FASTLADDER_FORMULA float gradient(int output, int k) const { return fetch(problem.gradients[output], k); }
  FASTLADDER_FORMULA float sum_gradient() const { return problem.sum_gradient(n); }
  FASTLADDER_FORMULA void put(int which, int k, float x) const {
    problem.outputs[which].group(n * problem.groups + k)[pixel] = static_cast<T>(x + fetch(problem.added[which], k));
  }
  FASTLADDER_FORMULA void put_data(float x) const { problem.grad_data[n * problem.pixels + pixel] = static_cast<T>(x); }
  FASTLADDER_FORMULA void copy(int k) const {
    const int64_t group = n * problem.groups + k;
    problem.copies[0].group(group)[pixel] = problem.mean.group(group)[pixel];
    problem.copies[1].group(group)[pixel] = problem.mask.group(group)[pixel];
  }
};

// An array of a thread's own in shared memory, since registers have no index.
struct SharedArray {
  float* first;
  FASTLADDER_FORMULA float& operator[](int k) const { return first[k * threads]; }
};

template <class Formula, bool is_backward, class T>
__device__ __forceinline__ float run_cached(
    const GroupingProblem<T>& problem, const Noise<float>& noise, int64_t n, int64_t pixel) {
  __shared__ float shared[2][most_groups * threads];
  SharedArray kept[2] = {{shared[0] + threadIdx.x}, {shared[1] + threadIdx.x}};
  const AnyGroups groups{static_cast<int>(problem.groups)};
  CachedPixel<T> at{problem, n, pixel};
  if constexpr (is_backward) {
    return Formula::backward(noise, groups, at, kept);
  } else {
    if (problem.copies[0].data)
      for (int k = 0; k < groups.count; ++k) at.copy(k);
    return Formula::forward(noise, groups, at, kept);
  }
}

}  // namespace fastladder
