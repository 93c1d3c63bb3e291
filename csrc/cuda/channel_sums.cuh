// Stores the sums over the batch: as gradients of parameters, and for batch norm as means over norm groups.
#pragma once

#include "cuda/preactivation_gradients.cuh"

namespace fastladder {

// Takes the sums in rows of C, see sums_per_channel.
struct ChannelSums {
  float *bias, *gain, *weights[2];             // gradients, null where they are not needed
  int64_t bias_size, gain_size, weights_size;  // of one tensor of weights
  NormMeans means;                             // null but for batch norm
  const float* gains;                          // (J, K), or null, which is 1
  const float* rstds;                          // (J, K)
  float inverse_size;                          // one over the size of a norm group

  __device__ __forceinline__ float mean(int64_t i, float sum) const {
    return (gains ? __ldg(gains + i) : 1.0f) * __ldg(rstds + i) * sum * inverse_size;
  }

  __device__ __forceinline__ void operator()(int64_t, int64_t i, float sum) const {
    const int64_t after_bias = i - bias_size, after_gain = after_bias - gain_size;
    if (after_bias < 0) {
      if (bias) bias[i] = sum;
      if (means.mean_grad)
        for (int64_t k = i; k < gain_size; k += bias_size) means.mean_grad[k] = mean(k, sum);
    } else if (after_gain < 0) {
      if (gain) gain[after_bias] = sum;
      if (means.mean_grad_xhat) means.mean_grad_xhat[after_bias] = mean(after_bias, sum);
    } else {
      const bool second = after_gain >= weights_size;
      if (float* target = weights[second]) target[after_gain - second * weights_size] = sum;
    }
  }
};

}  // namespace fastladder
