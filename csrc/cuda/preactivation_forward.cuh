// The outputs of a Cell, from projections whose statistics are known.
#pragma once

#include "cuda/preactivation.cuh"

namespace fastladder {

template <class Cell, class T>
struct ForwardCall {
  Problem<Cell, T> problem;
  Statistics statistics;
  Outputs<Cell, T> outputs;
  Chunk chunk;
  int64_t block_outputs;  // elements of a block, a multiple of V for each of its threads
};

// Blocks start with the last one, whose inputs were read last for the statistics and are still in the cache.
__device__ __forceinline__ int64_t block_from_the_last() { return gridDim.x - 1 - blockIdx.x; }

// A thread takes V neighbouring elements at a time, of one channel or of V channels.
template <class Cell, int J, int V, bool channels_last, class T>
__global__ void __launch_bounds__(threads, resident) forward_kernel(const __grid_constant__ ForwardCall<Cell, T> call) {
  constexpr int step = elements_at_once<V, channels_last>, L = channels_at_once<V, channels_last>;
  const Problem<Cell, T>& problem = call.problem;
  const int64_t size = problem.shape.channels * problem.shape.pixels;
  const int64_t begin = block_from_the_last() * call.block_outputs, sample = call.chunk.begin + begin / size;
  const int count = smaller(call.block_outputs, call.chunk.size() * size - begin);
  const unsigned rest = begin % size;
  for (int offset = threadIdx.x * V; offset < count; offset += threads * V) {
    const Place place = place_of(problem.shape, Cell::parts, sample, rest + offset);
    Inputs<Cell, J, T, V> inputs;
    inputs.fetch(problem, place, [](const auto* p) { return load_last<V>(p); });
    OutputPacks<Cell, T, V> packs;
#pragma unroll
    for (int first = 0; first < V; first += step) {
      const Coefficients<L, Cell, T> coefficients{
          problem, call.statistics, place.sample, place.channel + (channels_last ? first : 0)};
      for_elements<step>(
          inputs, first, coefficients, [&](int v, const auto& a, const auto& beside, const auto& weights) {
            float output[1 + Cell::states];
            Cell::forward(a, beside, weights, output);
            packs.output.values[v] = static_cast<T>(output[0]);
#pragma unroll
            for (int s = 0; s < Cell::states; ++s)
              packs.states[s].values[v] = static_cast<State<Cell, T>>(output[1 + s]);
          });
    }
    store<V>(call.outputs.output + place.output, packs.output);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s) store<V>(call.outputs.states[s] + place.output, packs.states[s]);
  }
}

}  // namespace fastladder
