// The gradients of a Cell where channels lie side by side: a thread keeps its V channels, and goes down the rows.
#pragma once

#include "cuda/preactivation_gradients.cuh"

namespace fastladder {

// Rows are the pixels of all samples of the chunk. A block has some of them, and `columns` vectors of channels.
template <class Cell, class T>
struct ChannelGradientsCall : GradientsCall<Cell, T> {
  int columns;  // a power of two
  int64_t column_blocks;
  int64_t block_rows;
};

template <int V, class Cell, int J, class T>
__device__ __forceinline__ void row_gradients(
    const ChannelGradientsCall<Cell, T>& call, int64_t row, int channel, Totals<Cell, J, V>& totals) {
  constexpr int step = elements_at_once<V, true>;
  const Problem<Cell, T>& problem = call.problem;
  const Place place{
      row / problem.shape.pixels, row * problem.shape.channels + channel, row * problem.width + channel,
      problem.shape.channels, channel};
  const auto load_pack = [](const auto* p) { return load_last<V>(p); };
  Inputs<Cell, J, T, V> inputs;
  inputs.fetch(problem, place, load_pack);
  const OutputPacks<Cell, T, V> grads = fetch_gradients<V>(call.gradients, place, load_pack);
#pragma unroll
  for (int first = 0; first < V; first += step)
    gradients_of<step>(
        call, place, inputs, grads, first, GradientCoefficients<step, Cell, T>(call, place.sample, channel + first),
        totals);
}

template <class Cell, int J, int V, class T>
__global__ void __launch_bounds__(threads, resident)
    channel_gradients_kernel(const __grid_constant__ ChannelGradientsCall<Cell, T> call) {
  const int64_t channels = call.problem.shape.channels, pixels = call.problem.shape.pixels;
  const int64_t column_block = call.block() % call.column_blocks, range = call.block() / call.column_blocks;
  const int channel = (column_block * call.columns + threadIdx.x % call.columns) * V;
  const bool active = channel < channels;
  const int64_t begin = call.chunk.begin * pixels + range * call.block_rows;
  const int64_t end = smaller(begin + call.block_rows, call.chunk.end * pixels);
  Totals<Cell, J, V> totals;
  for (int64_t row = begin + threadIdx.x / call.columns; active && row < end; row += threads / call.columns)
    row_gradients<V>(call, row, opaque(channel), totals);
  if (!call.partials) return;
  float* target = call.partials + range * totals.count * channels + channel;
#pragma unroll
  for (int s = 0; s < totals.count; ++s) {
    column_sums(totals.values[s], call.columns);
    if (active && static_cast<int>(threadIdx.x) < call.columns)
#pragma unroll
      for (int v = 0; v < V; ++v) target[s * channels + v] = totals.values[s][v];
  }
}

}  // namespace fastladder
