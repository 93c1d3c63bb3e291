// The gradients of a Cell. Preactivations are computed anew. With grad_a the gradient of a preactivation, and with
// grad = gain * rstd * grad_a that of a projection if its statistics were constants,
//
//   grad_p = grad - mean_grad - xhat * mean_grad_xhat,   mean_grad = <grad>,   mean_grad_xhat = <grad * xhat>,
//
// where < > is the mean over a norm group. Gradients of parameters are sums over the batch: every block writes those of
// its part, and these are added up in a fixed order.
#pragma once

#include "cuda/preactivation.cuh"

namespace fastladder {

// Two numbers for every norm group of every projection, in the layout of the statistics.
struct NormMeans {
  float *mean_grad, *mean_grad_xhat;  // null where they are not needed
};

// Sums over the batch, in rows of C: of grad_a (parts), of grad_a * xhat (J, parts), and the gradients of the weights.
template <class Cell>
constexpr int sums_per_channel(int J) {
  return (1 + J) * Cell::parts + Cell::weights;
}

template <class Cell, class T>
struct GradientsCall {
  Problem<Cell, T> problem;
  Statistics statistics;
  Gradients<Cell, T> gradients;
  NormMeans means;
  Chunk chunk;
  bool writes;      // whether gradients of activations are written, else only sums
  float* partials;  // (slots of the chunk, sums_per_channel, C), or null where no sums are needed

  // A pass that writes is the last to read, and begins with what was read last.
  __device__ __forceinline__ int64_t block() const { return writes ? gridDim.x - 1 - blockIdx.x : blockIdx.x; }
};

// A thread's part of these sums, of S neighbouring channels.
template <class Cell, int J, int S>
struct Totals {
  static constexpr int count = sums_per_channel<Cell>(J);
  float values[count][S];

  __device__ __forceinline__ Totals() {
#pragma unroll
    for (int s = 0; s < count; ++s)
#pragma unroll
      for (int v = 0; v < S; ++v) values[s][v] = 0.0f;
  }
};

template <int L, class Cell, class T>
struct GradientCoefficients : Coefficients<L, Cell, T> {
  const NormMeans& means;

  __device__ __forceinline__ GradientCoefficients(const GradientsCall<Cell, T>& call, int64_t sample, int channel)
      : Coefficients<L, Cell, T>{call.problem, call.statistics, sample, channel}, means(call.means) {}

  using typename Coefficients<L, Cell, T>::Pair;

  // mean_grad, then mean_grad_xhat.
  __device__ __forceinline__ Pair mean_grads(int j, int q) const {
    if (!means.mean_grad) return {broadcast<L>(0.0f), broadcast<L>(0.0f)};
    return this->of_norm_group(means.mean_grad, means.mean_grad_xhat, j, q, 0.0f, 0.0f);
  }
};

// The gradients of an element's preactivations, other inputs and weights, from those of its output and new states.
template <class Cell>
struct ElementGradients {
  float a[Cell::parts], beside[Cell::extras + Cell::states + 1], weights[Cell::weights + 1];

  template <class T, int V>
  __device__ __forceinline__ ElementGradients(
      const float* preactivations, const float* inputs, const float* parameters, const OutputPacks<Cell, T, V>& grads,
      int v) {
    float grad_output[1 + Cell::states];
    grad_output[0] = static_cast<float>(grads.output.values[v]);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s) grad_output[1 + s] = static_cast<float>(grads.states[s].values[v]);
    Cell::backward(preactivations, inputs, parameters, grad_output, a, beside, weights);
  }
};

template <int V, class Cell, class T, class Load>
__device__ __forceinline__ OutputPacks<Cell, T, V> fetch_gradients(
    const Gradients<Cell, T>& gradients, const Place& place, Load load_pack) {
  OutputPacks<Cell, T, V> grads;
  grads.output = gradients.output ? load_pack(gradients.output + place.output) : broadcast<V>(T(0));
#pragma unroll
  for (int s = 0; s < Cell::states; ++s)
    grads.states[s] = gradients.new_states[s] ? load_pack(gradients.new_states[s] + place.output)
                                              : broadcast<V>(static_cast<State<Cell, T>>(0));
  return grads;
}

// Computes the gradients of `count` elements from `first` on; `place` is that of element 0. Element v adds to the sums
// of channel v % S. Gradients are stored as soon as they are known, since registers are scarce.
template <int count, class Cell, int J, class T, int V, int S, class Source>
__device__ __forceinline__ void gradients_of(
    const GradientsCall<Cell, T>& call, const Place& place, const Inputs<Cell, J, T, V>& inputs,
    const OutputPacks<Cell, T, V>& grads, int first, const Source& coefficients, Totals<Cell, J, S>& totals) {
  constexpr int L = Source::L, of_gain = Cell::parts, of_weights = (1 + J) * Cell::parts;
  float grad_a[Cell::parts][count];
  Pack<T, count> grad_extras[Cell::extras + 1];
  Pack<State<Cell, T>, count> grad_states[Cell::states + 1];
  for_elements<count>(inputs, first, coefficients, [&](int v, const auto& a, const auto& beside, const auto& weights) {
    const ElementGradients<Cell> element(a, beside, weights, grads, v);
#pragma unroll
    for (int q = 0; q < Cell::parts; ++q) {
      grad_a[q][v - first] = element.a[q];
      totals.values[q][v % S] += element.a[q];
    }
#pragma unroll
    for (int e = 0; e < Cell::extras; ++e) grad_extras[e].values[v - first] = static_cast<T>(element.beside[e]);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s)
      grad_states[s].values[v - first] = static_cast<State<Cell, T>>(element.beside[Cell::extras + s]);
#pragma unroll
    for (int w = 0; w < Cell::weights; ++w) totals.values[of_weights + w][v % S] += element.weights[w];
  });
  if (call.writes) {
#pragma unroll
    for (int e = 0; e < Cell::extras; ++e)
      store<count>(call.gradients.extras[e] + place.output + first, grad_extras[e]);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s)
      store<count>(call.gradients.states[s] + place.output + first, grad_states[s]);
  }
#pragma unroll
  for (int q = 0; q < Cell::parts; ++q)
#pragma unroll
    for (int j = 0; j < J; ++j) {
      const Affine<L> affine = coefficients.affine(j, q);
      float xhat[count];
#pragma unroll
      for (int v = 0; v < count; ++v) {
        xhat[v] = affine.xhat(inputs.projection(j, q, first + v), v);
        totals.values[of_gain + j * Cell::parts + q][(first + v) % S] += grad_a[q][v] * xhat[v];
      }
      if (!call.writes) continue;
      const auto [mean_grad, mean_grad_xhat] = coefficients.mean_grads(j, q);
      Pack<T, count> grad_projection;
#pragma unroll
      for (int v = 0; v < count; ++v)
        grad_projection.values[v] = static_cast<T>(
            affine.scale.values[v % L] * grad_a[q][v] - mean_grad.values[v % L] -
            xhat[v] * mean_grad_xhat.values[v % L]);
      store<count>(call.gradients.projections[j] + place.projection + q * place.part_stride + first, grad_projection);
    }
}

}  // namespace fastladder
