// The statistics of a call's projections: their norm groups, and the launches.
#pragma once

#include "cuda/chunks.cuh"
#include "cuda/column_statistics.cuh"

namespace fastladder {

// The norm groups of a chunk of samples; with batch norm the chunk is the whole batch.
template <int V, class Cell, class T>
NormGroups norm_groups_of(const Problem<Cell, T>& problem, const Chunk& chunk) {
  const int64_t pixels = problem.shape.pixels, all = problem.norm_groups, sample = problem.sample(problem.width);
  const int64_t channels = problem.width / all;
  NormGroups norm_groups{};
  if (problem.norm == Norm::batch)
    norm_groups = {problem.width, chunk.size() * pixels, pixels, sample, problem.width, 0, pixels};
  else if (problem.shape.channels_last && all > 1)
    norm_groups = {chunk.size() * all, channels * pixels, channels, problem.width, all, sample, channels};
  else
    norm_groups = {chunk.size() * all, channels * pixels, channels * pixels, 0, all, sample, channels * pixels};
  norm_groups.segment = segment_loads * warp * V;
  norm_groups.segments = divide_up(norm_groups.size, norm_groups.segment);
  return norm_groups;
}

template <int V, class Cell, class T>
StatisticsCall<T> statistics_call(const Problem<Cell, T>& problem, const Statistics& statistics, const Chunk& chunk) {
  StatisticsCall<T> call{};
  for (int64_t j = 0; j < problem.count; ++j)
    call.projections[j] = problem.projections[j] + chunk.begin * problem.sample(problem.width);
  call.count = problem.count;
  call.norm_groups = norm_groups_of<V>(problem, chunk);
  const int64_t first = problem.norm == Norm::layer ? problem.norm_group(0, chunk.begin, 0) : 0;
  call.statistics = {statistics.mean + first, statistics.rstd + first};
  call.next_statistic = problem.statistics() / problem.count;
  call.eps = problem.eps;
  return call;
}

template <class T>
void merge_moments(const Device& device, const StatisticsCall<T>& call) {
  device.launch(merge_moments_kernel<T>, {divide_up(call.count * call.norm_groups.count, warps)}, call);
}

template <int V, class T>
void run_statistics(Device& device, StatisticsCall<T>& call) {
  const int64_t segments = call.count * call.norm_groups.count * call.norm_groups.segments;
  if (call.norm_groups.segments > 1) call.partials = device.scratch<float>(2 * segments);
  device.launch(segment_moments_kernel<V, T>, {divide_up(segments, warps)}, call);
  if (call.norm_groups.segments > 1) merge_moments(device, call);
}

// Columns are cut into as many segments as fill the processors.
template <int V, class T>
void run_column_statistics(Device& device, StatisticsCall<T>& call) {
  NormGroups& norm_groups = call.norm_groups;
  const int64_t column_blocks = divide_up(norm_groups.count, warp * V);
  const int64_t wanted = divide_up(device.processors * 8, column_blocks * call.count);
  norm_groups.stride = norm_groups.count;
  norm_groups.segment = std::max<int64_t>(divide_up(norm_groups.size, std::min<int64_t>(wanted, 65535)), 8 * warps);
  norm_groups.segments = divide_up(norm_groups.size, norm_groups.segment);
  call.partials = device.scratch<float>(2 * call.count * norm_groups.count * norm_groups.segments);
  device.launch(column_moments_kernel<V, T>, {column_blocks, norm_groups.segments, call.count}, call);
  merge_moments(device, call);
}

template <int V, class Cell, class T>
void compute_statistics(
    Device& device, const Problem<Cell, T>& problem, const Statistics& statistics, const Chunk& chunk) {
  StatisticsCall<T> call = statistics_call<V>(problem, statistics, chunk);
  if (problem.norm == Norm::batch && problem.shape.channels_last)
    run_column_statistics<V>(device, call);
  else
    run_statistics<V>(device, call);
}

}  // namespace fastladder
