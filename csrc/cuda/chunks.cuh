// Samples that are launched together. Where a norm makes a second pass over them, a chunk fits the L2 cache, so that
// the second pass reads from there.
#pragma once

#include "cuda/launch.cuh"
#include "cuda/layout.cuh"

namespace fastladder {

// Samples of a chunk: what is read twice of them fills half the cache at most, for what is written takes part of it
// too. Yet a chunk has at least one block for each that the processors can hold of the big kernels.
inline int64_t samples_per_chunk(
    const Device& device, int64_t batch, int64_t bytes_per_sample, int64_t threads_per_sample) {
  const int64_t fitting = device.cache / 2 / bytes_per_sample;
  const int64_t filling = divide_up(int64_t(device.processors) * resident * threads, threads_per_sample);
  const int64_t chunks = divide_up(batch, std::clamp<int64_t>(std::max(fitting, filling), 1, batch));
  return divide_up(batch, chunks);
}

// Calls run(chunk) for one chunk after the other.
template <class Run>
void for_chunks(int64_t batch, int64_t samples, Run run) {
  for (int64_t begin = 0; begin < batch; begin += samples) run(Chunk{begin, std::min(begin + samples, batch)});
}

}  // namespace fastladder
