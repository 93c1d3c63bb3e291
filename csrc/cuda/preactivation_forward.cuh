// The forward pass of a Cell: for a layer norm the statistics of each sample, then the outputs.
#pragma once

#include "cuda/schedule.cuh"
#include "cuda/statistics.cuh"

namespace fastladder {

template <class Cell, class T>
struct ForwardCall {
  Problem<Cell, T> problem;
  Outputs<Cell, T> outputs;
  Statistics statistics;
  Schedule schedule;
  int64_t samples;         // of a unit
  int64_t item_outputs;    // output elements of an item of the second phase, a multiple of V
  NormGroups norm_groups;  // layer norm, as are the following
  int64_t item_segments;   // segments of an item of the first phase
  float* partials;         // (J, N, norm_groups, segments, 2)
};

// Samples [begin, end) of a unit.
struct SampleRange {
  int64_t begin, end;
};

template <class Call>
FASTLADDER_FORMULA SampleRange samples_of(const Call& call, int64_t unit) {
  return {unit * call.samples, smaller((unit + 1) * call.samples, call.problem.shape.batch)};
}

// First phase: segments of all projections and norm groups of the unit's samples, a warp each.
template <int V, class Cell, class T>
__device__ __forceinline__ void statistics_item(const ForwardCall<Cell, T>& call, int64_t unit, int64_t index) {
  const SampleRange range = samples_of(call, unit);
  const int64_t segments = call.norm_groups.segments, norm_groups = call.problem.norm_groups;
  const int64_t in_projection = (range.end - range.begin) * norm_groups * segments;
  const int64_t end = smaller((index + 1) * call.item_segments, call.problem.count * in_projection);
  for (int64_t task = index * call.item_segments + threadIdx.x / warp; task < end; task += warps) {
    const int64_t j = task / in_projection, rest = task - j * in_projection;
    const int64_t norm_group = j * call.norm_groups.count + range.begin * norm_groups + rest / segments;
    segment_task<V>(
        call.problem.projections, call.norm_groups, norm_group, rest % segments, call.partials, call.statistics,
        call.problem.eps);
  }
}

template <class Cell, class T>
__device__ __forceinline__ void merge_item(const ForwardCall<Cell, T>& call, int64_t unit) {
  if (call.norm_groups.segments == 1) return;
  const SampleRange range = samples_of(call, unit);
  const int64_t in_projection = (range.end - range.begin) * call.problem.norm_groups;
  for (int64_t task = threadIdx.x / warp; task < call.problem.count * in_projection; task += warps) {
    const int64_t norm_group =
        task / in_projection * call.norm_groups.count + range.begin * call.problem.norm_groups + task % in_projection;
    merge_task(norm_group, call.norm_groups, call.partials, call.statistics, call.problem.eps);
  }
}

// Second phase: a thread takes V neighbouring elements at a time, of one channel or of V channels.
template <int J, int V, bool channels_last, class Cell, class T>
__device__ __forceinline__ void output_item(const ForwardCall<Cell, T>& call, int64_t unit, int64_t index) {
  constexpr int chunk = V < 4 ? V : 4;          // elements whose coefficients are held at a time
  constexpr int L = channels_last ? chunk : 1;  // channels of these
  const Problem<Cell, T>& problem = call.problem;
  const SampleRange range = samples_of(call, unit);
  const int64_t size = problem.shape.channels * problem.shape.pixels;
  const int64_t begin = index * call.item_outputs;
  const int count = smaller(call.item_outputs, (range.end - range.begin) * size - begin);
  const int64_t sample = range.begin + begin / size;
  const unsigned rest = begin % size;
  for (int offset = threadIdx.x * V; offset < count; offset += threads * V) {
    const Place place = place_of(problem.shape, Cell::parts, sample, rest + offset);
    Inputs<Cell, J, T, V> inputs;
    inputs.fetch(
        problem, place.projection, place.part_stride, place.output, [](const auto* p) { return load_last<V>(p); });
    OutputPacks<Cell, T, V> packs;
#pragma unroll
    for (int first = 0; first < V; first += chunk) {
      const int channel = place.channel + (channels_last ? first : 0);
      float a[Cell::parts][chunk], weights[Cell::weights + 1][L];
#pragma unroll
      for (int q = 0; q < Cell::parts; ++q) {
        float bias[L];
        load_bias(problem, q, channel, bias);
#pragma unroll
        for (int v = 0; v < chunk; ++v) a[q][v] = bias[v % L];
#pragma unroll
        for (int j = 0; j < J; ++j) {
          const Affine<L> affine = affine_of<L>(problem, call.statistics, j, q, place.sample, channel);
#pragma unroll
          for (int v = 0; v < chunk; ++v)
            a[q][v] += (inputs.projection(j, q, first + v) - affine.center[v % L]) * affine.scale[v % L];
        }
      }
#pragma unroll
      for (int w = 0; w < Cell::weights; ++w) load_channels(problem.weight(w) + channel, weights[w]);
#pragma unroll
      for (int v = 0; v < chunk; ++v) {
        float own[Cell::parts], beside[Cell::extras + Cell::states + 1], own_weights[Cell::weights + 1];
        float output[1 + Cell::states];
#pragma unroll
        for (int q = 0; q < Cell::parts; ++q) own[q] = a[q][v];
        inputs.beside(first + v, beside);
#pragma unroll
        for (int w = 0; w < Cell::weights; ++w) own_weights[w] = weights[w][v % L];
        Cell::forward(own, beside, own_weights, output);
        packs.output.values[first + v] = static_cast<T>(output[0]);
#pragma unroll
        for (int s = 0; s < Cell::states; ++s)
          packs.states[s].values[first + v] = static_cast<State<Cell, T>>(output[1 + s]);
      }
    }
    store<V>(call.outputs.output + place.output, packs.output);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s) store<V>(call.outputs.states[s] + place.output, packs.states[s]);
  }
}

template <class Cell, int J, int V, bool channels_last, class T>
__global__ void __launch_bounds__(threads, resident) forward_kernel(const __grid_constant__ ForwardCall<Cell, T> call) {
  run(
      call.schedule, [&](int64_t unit, int64_t index) { statistics_item<V>(call, unit, index); },
      [&](int64_t unit) { merge_item(call, unit); },
      [&](int64_t unit, int64_t index) { output_item<J, V, channels_last>(call, unit, index); });
}

}  // namespace fastladder
