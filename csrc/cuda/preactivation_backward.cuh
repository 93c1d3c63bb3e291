// The launches of a Cell's backward pass: sums, then gradients.
#pragma once

#include "cuda/channel_gradients.cuh"
#include "cuda/channel_sums.cuh"
#include "cuda/chunks.cuh"
#include "cuda/norm_sums.cuh"
#include "cuda/pixel_gradients.cuh"
#include "cuda/sums.cuh"

namespace fastladder {

// How the blocks of a chunk share its elements, and the slots of partial sums that they fill.
struct Plan {
  Grid grid;
  int64_t chunk_slots, slots;
};

template <int V, class Cell, class T>
Plan plan_gradients(const Device& device, PixelGradientsCall<Cell, T>& call, int64_t samples) {
  const auto [batch, channels, pixels, channels_last] = call.problem.shape;
  call.team = std::min<int64_t>(power_of_two_from(pixels / V), warp);
  call.piece_pixels = call.team * V * device.repeats(samples * channels * pixels / V, 4, 32 / V);
  call.pieces = divide_up(pixels, call.piece_pixels);
  return {
      {divide_up(samples * channels * call.pieces, threads / call.team)}, samples * call.pieces, batch * call.pieces};
}

template <int V, class Cell, class T>
Plan plan_gradients(const Device& device, ChannelGradientsCall<Cell, T>& call, int64_t samples) {
  const auto [batch, channels, pixels, channels_last] = call.problem.shape;
  call.columns = std::min<int64_t>(power_of_two_from(channels / V), threads);
  call.column_blocks = divide_up(channels / V, call.columns);
  const int64_t rows = samples * pixels;
  call.block_rows = threads / call.columns * device.repeats(rows * call.column_blocks * call.columns, 4, 32);
  const int64_t ranges = divide_up(rows, call.block_rows);
  return {{ranges * call.column_blocks}, ranges, divide_up(batch, samples) * ranges};
}

template <class Cell, class T>
int64_t bytes_read_per_sample(const Problem<Cell, T>& problem) {
  const int64_t of_element = (problem.count * Cell::parts + Cell::extras + 1) * sizeof(T) +
                             2 * Cell::states * sizeof(State<Cell, T>);  // extras, output, states and new states
  return problem.sample(problem.shape.channels) * of_element;
}

// Layer norm: the means over the norm groups of a chunk.
template <int J, int V, bool channels_last, class Cell, class T>
void compute_layer_means(Device& device, const GradientsCall<Cell, T>& gradients, const NormMeans& means) {
  const Problem<Cell, T>& problem = gradients.problem;
  const Chunk& chunk = gradients.chunk;
  const int64_t elements = problem.sample(problem.shape.channels);
  NormSumsCall<Cell, T> call{problem, gradients.statistics, gradients.gradients, chunk};
  call.segment_outputs = warp * V * device.repeats(chunk.size() * elements / V, 4, 4);
  call.segments = divide_up(elements, call.segment_outputs);
  const int64_t tasks = chunk.size() * call.segments, sums = norm_sums<Cell, T>(J);
  call.partials = device.scratch<float>(tasks * sums);
  device.launch(norm_sums_kernel<Cell, J, V, channels_last, T>, {divide_up(tasks, warps)}, call);
  const float inverse_size = 1.0 / problem.norm_size();
  const LayerMeans target{means, chunk.begin, problem.shape.batch, J, problem.norm_groups, inverse_size};
  add_up(device, call.partials, chunk.size(), call.segments, sums, target);
}

template <class Cell, class T>
ChannelSums channel_sums_of(
    const Problem<Cell, T>& problem, const Statistics& statistics, const Gradients<Cell, T>& gradients,
    const NormMeans& means) {
  ChannelSums sums{gradients.bias, gradients.gain, {gradients.weights[0], gradients.weights[1]}};
  sums.bias_size = problem.width;
  sums.gain_size = problem.count * problem.width;
  sums.weights_size = problem.weight_rows * problem.shape.channels;
  if (problem.norm == Norm::batch) sums.means = means;
  sums.gains = problem.gain;
  sums.rstds = statistics.rstd;
  sums.inverse_size = 1.0 / problem.norm_size();
  return sums;
}

template <int J, int V, bool channels_last, class Cell, class T>
void run_backward(
    Device& device, const Problem<Cell, T>& problem, const Statistics& statistics,
    const Gradients<Cell, T>& gradients) {
  const int64_t batch = problem.shape.batch, channels = problem.shape.channels;
  const int64_t samples =
      problem.norm != Norm::layer
          ? batch
          : samples_per_chunk(device, batch, bytes_read_per_sample(problem), problem.sample(channels) / V);
  std::conditional_t<channels_last, ChannelGradientsCall<Cell, T>, PixelGradientsCall<Cell, T>> call{};
  call.problem = problem;
  call.statistics = statistics;
  call.gradients = gradients;
  const Plan plan = plan_gradients<V>(device, call, samples);
  NormMeans means{};
  if (problem.norm != Norm::none)
    means = {device.scratch<float>(problem.statistics()), device.scratch<float>(problem.statistics())};
  const ChannelSums sums = channel_sums_of(problem, statistics, gradients, means);
  const int64_t columns = sums_per_channel<Cell>(J) * channels;
  const bool summed = sums.bias || sums.gain || sums.weights[0] || sums.means.mean_grad;
  float* partials = summed ? device.scratch<float>(plan.slots * columns) : nullptr;
  const auto launch = [&] {
    if constexpr (channels_last)
      device.launch(channel_gradients_kernel<Cell, J, V, T>, plan.grid, call);
    else
      device.launch(pixel_gradients_kernel<Cell, J, V, T>, plan.grid, call);
  };
  if (problem.norm == Norm::batch) {
    call.chunk = {0, batch};
    call.partials = partials;
    launch();
    add_up(device, partials, 1, plan.slots, columns, sums);
    call.partials = nullptr;
    call.means = means;
    call.writes = true;
    return launch();
  }
  call.means = means;
  call.writes = true;
  for_chunks(batch, samples, [&](const Chunk& chunk) {
    call.chunk = chunk;
    if (problem.norm == Norm::layer) compute_layer_means<J, V, channels_last, Cell, T>(device, call, means);
    if (summed) call.partials = partials + chunk.begin / samples * plan.chunk_slots * columns;
    launch();
  });
  if (summed) add_up(device, partials, 1, plan.slots, columns, sums);
}

}  // namespace fastladder
