// The gradients of a Cell where pixels lie side by side: a team of lanes takes a piece of one channel of one sample.
#pragma once

#include "cuda/preactivation_gradients.cuh"

namespace fastladder {

template <class Cell, class T>
struct PixelGradientsCall : GradientsCall<Cell, T> {
  int team;        // lanes, a power of two
  int64_t pieces;  // of one channel of a sample
  int64_t piece_pixels;
};

// GradientCoefficients of one channel of a sample, in registers for all its pixels.
template <class Cell, int J, class T>
class HeldCoefficients {
 public:
  using Source = GradientCoefficients<1, Cell, T>;
  using Pair = typename Source::Pair;
  static constexpr int L = 1;

  __device__ __forceinline__ explicit HeldCoefficients(const Source& source) {
#pragma unroll
    for (int q = 0; q < Cell::parts; ++q) {
      bias_[q] = source.bias(q);
#pragma unroll
      for (int j = 0; j < J; ++j) {
        affine_[j][q] = source.affine(j, q);
        mean_grads_[j][q] = source.mean_grads(j, q);
      }
    }
#pragma unroll
    for (int w = 0; w < Cell::weights; ++w) weight_[w] = source.weight(w);
  }

  __device__ __forceinline__ Affine<1> affine(int j, int q) const { return affine_[j][q]; }
  __device__ __forceinline__ Pack<float, 1> bias(int q) const { return bias_[q]; }
  __device__ __forceinline__ Pack<float, 1> weight(int w) const { return weight_[w]; }
  __device__ __forceinline__ Pair mean_grads(int j, int q) const { return mean_grads_[j][q]; }

 private:
  Affine<1> affine_[J][Cell::parts];
  Pack<float, 1> bias_[Cell::parts], weight_[Cell::weights + 1];
  Pair mean_grads_[J][Cell::parts];
};

// Adds to `totals` the sums over the lane's share of the piece.
template <int V, class Cell, int J, class T>
__device__ __forceinline__ void piece_gradients(
    const PixelGradientsCall<Cell, T>& call, int64_t sample, int channel, int64_t piece, Totals<Cell, J, 1>& totals) {
  const Problem<Cell, T>& problem = call.problem;
  const int64_t channels = problem.shape.channels, pixels = problem.shape.pixels;
  const HeldCoefficients<Cell, J, T> coefficients({call, sample, channel});
  const int64_t end = smaller((piece + 1) * call.piece_pixels, pixels);
  const int lane = threadIdx.x % call.team;
  for (int64_t pixel = piece * call.piece_pixels + lane * V; pixel < end; pixel += call.team * V) {
    const Place place{
        sample, (sample * channels + channel) * pixels + pixel, (sample * problem.width + channel) * pixels + pixel,
        channels * pixels, channel};
    const auto load_pack = [](const auto* p) { return load_last<V>(p); };
    Inputs<Cell, J, T, V> inputs;
    inputs.fetch(problem, place, load_pack);
    const OutputPacks<Cell, T, V> grads = fetch_gradients<V>(call.gradients, place, load_pack);
    gradients_of<V>(call, place, inputs, grads, 0, coefficients, totals);
  }
}

template <class Cell, int J, int V, class T>
__global__ void __launch_bounds__(threads, resident)
    pixel_gradients_kernel(const __grid_constant__ PixelGradientsCall<Cell, T> call) {
  const int64_t channels = call.problem.shape.channels;
  const int64_t task = call.block() * (threads / call.team) + threadIdx.x / call.team;
  const bool active = task < call.chunk.size() * channels * call.pieces;
  const int64_t piece = task % call.pieces, row = task / call.pieces;
  const int64_t sample = call.chunk.begin + row / channels, channel = row % channels;
  Totals<Cell, J, 1> totals;
  if (active) piece_gradients<V>(call, sample, channel, piece, totals);
  if (!call.partials) return;
  float* target = call.partials + (row / channels * call.pieces + piece) * totals.count * channels + channel;
#pragma unroll
  for (int s = 0; s < totals.count; ++s) {
    const float sum = team_sum(totals.values[s][0], call.team);  // idle teams take part with zeros
    if (active && threadIdx.x % call.team == 0) target[s * channels] = sum;
  }
}

}  // namespace fastladder
