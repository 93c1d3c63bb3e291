// Count, mean and sum of squared differences from the mean, and how those of two sets of numbers become one.
#pragma once

#include "cuda/device.cuh"

namespace fastladder {

struct Moments {
  float count, mean, squares;

  // Chan, Golub and LeVeque 1983.
  __device__ __forceinline__ void merge(const Moments& other) {
    if (other.count == 0.0f) return;
    const float total = count + other.count, delta = other.mean - mean, share = __fdividef(other.count, total);
    squares += other.squares + delta * delta * count * share;
    mean += delta * share;
    count = total;
  }
};

// Of the numbers of all lanes, in the first of them.
__device__ __forceinline__ Moments merge_lanes(Moments moments) {
#pragma unroll
  for (int distance = warp / 2; distance > 0; distance /= 2) {
    const auto from_other = [&](float x) { return __shfl_xor_sync(0xffffffffu, x, distance); };
    moments.merge({from_other(moments.count), from_other(moments.mean), from_other(moments.squares)});
  }
  return moments;
}

}  // namespace fastladder
