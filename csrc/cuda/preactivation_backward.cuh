// The backward pass of a Cell. Preactivations are computed anew; with grad_a the gradient of a preactivation,
//
//   grad_p = scale * grad_a - offset - slope * (p - center),   scale = gain * rstd,
//   offset = <scale * grad_a>,   slope = rstd^2 <scale * grad_a * (p - center)>,
//
// where < > is the mean over what shares a mean of p. Gradients of parameters are sums over the batch: every block
// writes those of its part, and these are added up in a fixed order.
#pragma once

#include "cuda/preactivation_forward.cuh"

namespace fastladder {

template <class Cell>
constexpr int sums_per_channel(int J) {  // of grad_a, of grad_a * (p - center) * rstd, and the gradients of the weights
  return (1 + J) * Cell::parts + Cell::weights;
}

// Sums over the batch, for all channels: of grad_a (K), of grad_a times the normalised projection (J, K), and the
// gradients of the weights (weights, C).
struct ChannelSums {
  float *bias, *gain, *weights[2];             // null where they are not wanted
  int64_t bias_size, gain_size, weights_size;  // of one tensor of weights
};

template <class Cell, class T>
struct BackwardCall {
  Problem<Cell, T> problem;
  Gradients<Cell, T> gradients;
  bool writes;      // whether this pass writes the gradients of activations
  float* partials;  // (slots, sums_per_channel, C), or null where this pass sums nothing
  Statistics statistics;
  Schedule schedule;
  int64_t samples;     // of a unit
  float inverse_size;  // one over the numbers that share a mean
  ChannelSums sums;    // batch norm: those that offset and slope are made of

  // Layer norm: the first phase, a warp for every segment of a sample's outputs.
  int64_t segments;  // of one sample
  int64_t segment_outputs;
  int64_t item_segments;
  float* segment_sums;  // (N, segments, 2, J, norm_groups)
  float* offset_slope;  // (N, 2, J, norm_groups)

  // The second phase. Pixels side by side: a team of lanes for every piece of a channel of a sample.
  int team;        // a power of two
  int64_t pieces;  // of one channel of a sample
  int64_t piece_pixels;
  // Channels side by side: a block for some rows (N * S) and `columns` vectors of channels.
  int columns;  // a power of two
  int64_t column_blocks;
  int64_t item_rows;   // of one item
  int64_t item_count;  // of one unit: ranges of rows
};

template <int L>
struct NormGradient {
  float offset[L], slope[L];
};

template <int J, int L, class Cell, class T>
__device__ __forceinline__ NormGradient<L> norm_gradient_of(
    const BackwardCall<Cell, T>& call, const Affine<L>& affine, int j, int part, int64_t sample, int channel) {
  const Problem<Cell, T>& problem = call.problem;
  NormGradient<L> result;
  if (problem.norm == Norm::batch) {
    float plain[L], normalized[L];
    const int64_t k = part * problem.shape.channels + channel;
    load_channels(call.sums.bias + k, plain);
    load_channels(call.sums.gain + j * problem.width + k, normalized);
#pragma unroll
    for (int l = 0; l < L; ++l) {
      result.offset[l] = affine.scale[l] * plain[l] * call.inverse_size;
      result.slope[l] = affine.scale[l] * affine.rstd[l] * normalized[l] * call.inverse_size;
    }
  } else {
    float offset = 0.0f, slope = 0.0f;
    if (problem.norm == Norm::layer) {
      constexpr int norm_groups = Problem<Cell, T>::norm_groups;
      const float* of_sample = call.offset_slope + sample * (2 * J * norm_groups);
      const int norm_group = j * norm_groups + (Cell::joint ? 0 : part);
      offset = of_sample[norm_group];
      slope = of_sample[J * norm_groups + norm_group];
    }
#pragma unroll
    for (int l = 0; l < L; ++l) {
      result.offset[l] = offset;
      result.slope[l] = slope;
    }
  }
  return result;
}

// One element, from raw numbers to the gradient of its preactivations.
template <class Cell, int J, class T, int V>
struct Element {
  float grad_a[Cell::parts], grad_beside[Cell::extras + Cell::states + 1], grad_weights[Cell::weights + 1];

  __device__ __forceinline__ void compute(
      const float (&a)[Cell::parts], const Inputs<Cell, J, T, V>& inputs, const OutputPacks<Cell, T, V>& grads,
      const float (&weights)[Cell::weights + 1], int v) {
    float beside[Cell::extras + Cell::states + 1], grad_output[1 + Cell::states];
    inputs.beside(v, beside);
    grad_output[0] = static_cast<float>(grads.output.values[v]);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s) grad_output[1 + s] = static_cast<float>(grads.states[s].values[v]);
    Cell::backward(a, beside, weights, grad_output, grad_a, grad_beside, grad_weights);
  }
};

template <int V, class Cell, class T, class Load>
__device__ __forceinline__ void fetch_gradients(
    const Gradients<Cell, T>& gradients, int64_t output, OutputPacks<Cell, T, V>& grads, Load load_pack) {
  if (gradients.output) {
    grads.output = load_pack(gradients.output + output);
  } else {
    grads.output = zeros<V, T>();
  }
#pragma unroll
  for (int s = 0; s < Cell::states; ++s) {
    if (gradients.new_states[s]) {
      grads.states[s] = load_pack(gradients.new_states[s] + output);
    } else {
      grads.states[s] = zeros<V, State<Cell, T>>();
    }
  }
}

// V elements of one output: `affine(j, q)` and `norm_gradient(j, q, affine)` supply L channels' coefficients of the
// chunk of elements from `first` on; adds to total[s][v % V] the sums of each.
template <int J, int V, int L, int chunk, int S, class Cell, class T, class Affines, class NormGradients>
__device__ __forceinline__ void backward_chunk(
    const BackwardCall<Cell, T>& call, const Inputs<Cell, J, T, V>& inputs, const OutputPacks<Cell, T, V>& grads,
    const float (&bias)[Cell::parts][L], const float (&weights)[Cell::weights + 1][L], int first, Affines affine_at,
    NormGradients norm_gradient_at, Inputs<Cell, J, T, V>& grad_inputs, float (&total)[sums_per_channel<Cell>(J)][S]) {
  constexpr int projected = Cell::parts, weighted = (1 + J) * Cell::parts;
  float a[Cell::parts][chunk], grad_a[Cell::parts][chunk];
#pragma unroll
  for (int q = 0; q < Cell::parts; ++q) {
#pragma unroll
    for (int v = 0; v < chunk; ++v) a[q][v] = bias[q][v % L];
#pragma unroll
    for (int j = 0; j < J; ++j) {
      const Affine<L> affine = affine_at(j, q);
#pragma unroll
      for (int v = 0; v < chunk; ++v)
        a[q][v] += (inputs.projection(j, q, first + v) - affine.center[v % L]) * affine.scale[v % L];
    }
  }
#pragma unroll
  for (int v = 0; v < chunk; ++v) {
    float own[Cell::parts], own_weights[Cell::weights + 1];
#pragma unroll
    for (int q = 0; q < Cell::parts; ++q) own[q] = a[q][v];
#pragma unroll
    for (int w = 0; w < Cell::weights; ++w) own_weights[w] = weights[w][v % L];
    Element<Cell, J, T, V> element;
    element.compute(own, inputs, grads, own_weights, first + v);
#pragma unroll
    for (int q = 0; q < Cell::parts; ++q) {
      grad_a[q][v] = element.grad_a[q];
      total[q][(first + v) % S] += element.grad_a[q];
    }
#pragma unroll
    for (int e = 0; e < Cell::extras; ++e)
      grad_inputs.extras[e].values[first + v] = static_cast<T>(element.grad_beside[e]);
#pragma unroll
    for (int s = 0; s < Cell::states; ++s)
      grad_inputs.states[s].values[first + v] = static_cast<State<Cell, T>>(element.grad_beside[Cell::extras + s]);
#pragma unroll
    for (int w = 0; w < Cell::weights; ++w) total[weighted + w][(first + v) % S] += element.grad_weights[w];
  }
#pragma unroll
  for (int q = 0; q < Cell::parts; ++q)
#pragma unroll
    for (int j = 0; j < J; ++j) {
      const Affine<L> affine = affine_at(j, q);
      const NormGradient<L> norm_gradient = norm_gradient_at(j, q, affine);
#pragma unroll
      for (int v = 0; v < chunk; ++v) {
        const float centred = inputs.projection(j, q, first + v) - affine.center[v % L];
        total[projected + j * Cell::parts + q][(first + v) % S] += grad_a[q][v] * (centred * affine.rstd[v % L]);
        grad_inputs.projections[j][q].values[first + v] = static_cast<T>(
            affine.scale[v % L] * grad_a[q][v] - norm_gradient.offset[v % L] - norm_gradient.slope[v % L] * centred);
      }
    }
}

template <int J, int V, class Cell, class T>
__device__ __forceinline__ void store_gradients(
    const Gradients<Cell, T>& gradients, int64_t projection, int64_t part_stride, int64_t output,
    const Inputs<Cell, J, T, V>& grad_inputs) {
#pragma unroll
  for (int j = 0; j < J; ++j)
#pragma unroll
    for (int q = 0; q < Cell::parts; ++q)
      store<V>(gradients.projections[j] + projection + q * part_stride, grad_inputs.projections[j][q]);
#pragma unroll
  for (int e = 0; e < Cell::extras; ++e) store<V>(gradients.extras[e] + output, grad_inputs.extras[e]);
#pragma unroll
  for (int s = 0; s < Cell::states; ++s) store<V>(gradients.states[s] + output, grad_inputs.states[s]);
}

// First phase of layer norm: sums of scale * grad_a and of scale * grad_a * (p - center) over segments of samples.
template <int J, int V, bool channels_last, class Cell, class T>
__device__ __forceinline__ void sums_item(const BackwardCall<Cell, T>& call, int64_t unit, int64_t index) {
  constexpr int chunk = V < 4 ? V : 4, L = channels_last ? chunk : 1, norm_groups = Problem<Cell, T>::norm_groups;
  const Problem<Cell, T>& problem = call.problem;
  const SampleRange range = samples_of(call, unit);
  const int lane = threadIdx.x % warp;
  const int64_t size = problem.shape.channels * problem.shape.pixels;
  const int64_t end = smaller((index + 1) * call.item_segments, (range.end - range.begin) * call.segments);
  for (int64_t task = index * call.item_segments + threadIdx.x / warp; task < end; task += warps) {
    const int64_t sample = range.begin + task / call.segments, segment = task % call.segments;
    const int64_t begin = segment * call.segment_outputs;
    const int count = smaller(call.segment_outputs, size - begin);
    float plain[J][norm_groups], projected[J][norm_groups];
#pragma unroll
    for (int j = 0; j < J; ++j)
#pragma unroll
      for (int g = 0; g < norm_groups; ++g) plain[j][g] = projected[j][g] = 0.0f;
    for (int offset = lane * V; offset < count; offset += warp * V) {
      const Place place = place_of(problem.shape, Cell::parts, sample, begin + offset);
      const auto load_pack = [](const auto* p) { return load<V>(p); };
      Inputs<Cell, J, T, V> inputs;
      inputs.fetch(problem, place.projection, place.part_stride, place.output, load_pack);
      OutputPacks<Cell, T, V> grads;
      fetch_gradients<V>(call.gradients, place.output, grads, load_pack);
#pragma unroll
      for (int first = 0; first < V; first += chunk) {
        const int channel = place.channel + (channels_last ? first : 0);
        float a[Cell::parts][chunk], grad_a[Cell::parts][chunk], weights[Cell::weights + 1][L];
#pragma unroll
        for (int q = 0; q < Cell::parts; ++q) {
          float bias[L];
          load_bias(problem, q, channel, bias);
#pragma unroll
          for (int v = 0; v < chunk; ++v) a[q][v] = bias[v % L];
#pragma unroll
          for (int j = 0; j < J; ++j) {
            const Affine<L> affine = affine_of<L>(problem, call.statistics, j, q, sample, channel);
#pragma unroll
            for (int v = 0; v < chunk; ++v)
              a[q][v] += (inputs.projection(j, q, first + v) - affine.center[v % L]) * affine.scale[v % L];
          }
        }
#pragma unroll
        for (int w = 0; w < Cell::weights; ++w) load_channels(problem.weight(w) + channel, weights[w]);
#pragma unroll
        for (int v = 0; v < chunk; ++v) {
          float own[Cell::parts], own_weights[Cell::weights + 1];
#pragma unroll
          for (int q = 0; q < Cell::parts; ++q) own[q] = a[q][v];
#pragma unroll
          for (int w = 0; w < Cell::weights; ++w) own_weights[w] = weights[w][v % L];
          Element<Cell, J, T, V> element;
          element.compute(own, inputs, grads, own_weights, first + v);
#pragma unroll
          for (int q = 0; q < Cell::parts; ++q) grad_a[q][v] = element.grad_a[q];
        }
#pragma unroll
        for (int q = 0; q < Cell::parts; ++q)
#pragma unroll
          for (int j = 0; j < J; ++j) {
            const Affine<L> affine = affine_of<L>(problem, call.statistics, j, q, sample, channel);
#pragma unroll
            for (int v = 0; v < chunk; ++v) {
              const float scaled = affine.scale[v % L] * grad_a[q][v];
              plain[j][Cell::joint ? 0 : q] += scaled;
              projected[j][Cell::joint ? 0 : q] += scaled * (inputs.projection(j, q, first + v) - affine.center[v % L]);
            }
          }
      }
    }
    float* target = call.segment_sums + (sample * call.segments + segment) * (2 * J * norm_groups);
#pragma unroll
    for (int j = 0; j < J; ++j)
#pragma unroll
      for (int g = 0; g < norm_groups; ++g) {
        plain[j][g] = warp_sum(plain[j][g]);
        projected[j][g] = warp_sum(projected[j][g]);
        if (lane == 0) {
          target[j * norm_groups + g] = plain[j][g];
          target[(J + j) * norm_groups + g] = projected[j][g];
        }
      }
  }
}

// From the sums of a sample's segments to its offset and slope, a warp for each.
template <int J, class Cell, class T>
__device__ __forceinline__ void offset_slope_item(const BackwardCall<Cell, T>& call, int64_t unit) {
  constexpr int norm_groups = Problem<Cell, T>::norm_groups, count = 2 * J * norm_groups;
  const SampleRange range = samples_of(call, unit);
  for (int64_t task = threadIdx.x / warp; task < (range.end - range.begin) * count; task += warps) {
    const int64_t sample = range.begin + task / count;
    const int which = task % count;
    float sum = 0.0f;
    for (int64_t segment = threadIdx.x % warp; segment < call.segments; segment += warp)
      sum += __ldcg(call.segment_sums + (sample * call.segments + segment) * count + which);
    sum = warp_sum(sum) * call.inverse_size;
    if (which >= J * norm_groups) {
      const int of_norm_group = which - J * norm_groups;
      const float rstd = call.statistics.rstd
                             [(of_norm_group / norm_groups * call.problem.shape.batch + sample) * norm_groups +
                              of_norm_group % norm_groups];
      sum *= rstd * rstd;
    }
    if (threadIdx.x % warp == 0) call.offset_slope[sample * count + which] = sum;
  }
}

// Second phase with pixels side by side: all elements of a team are of one channel of one sample.
template <int J, int V, class Cell, class T>
__device__ __forceinline__ void pixels_item(const BackwardCall<Cell, T>& call, int64_t unit, int64_t index) {
  constexpr int all_sums = sums_per_channel<Cell>(J);
  const Problem<Cell, T>& problem = call.problem;
  const SampleRange range = samples_of(call, unit);
  const int64_t channels = problem.shape.channels, pixels = problem.shape.pixels;
  const int lane = threadIdx.x % call.team;
  const int64_t task = index * (threads / call.team) + threadIdx.x / call.team;
  const bool active = task < (range.end - range.begin) * channels * call.pieces;
  // Every lane takes part in the sums at the end, an idle one with zeros.
  const int64_t piece = active ? task % call.pieces : 0, row = active ? task / call.pieces : 0;
  const int64_t sample = range.begin + row / channels;
  const int channel = row % channels;
  float total[all_sums][1];
#pragma unroll
  for (int s = 0; s < all_sums; ++s) total[s][0] = 0.0f;
  if (active) {
    float bias[Cell::parts][1], weights[Cell::weights + 1][1];
    Affine<1> affine[J][Cell::parts];
    NormGradient<1> norm_gradient[J][Cell::parts];
#pragma unroll
    for (int q = 0; q < Cell::parts; ++q) {
      load_bias(problem, q, channel, bias[q]);
#pragma unroll
      for (int j = 0; j < J; ++j) {
        affine[j][q] = affine_of<1>(problem, call.statistics, j, q, sample, channel);
        norm_gradient[j][q] = {{0.0f}, {0.0f}};
        if (call.writes) norm_gradient[j][q] = norm_gradient_of<J>(call, affine[j][q], j, q, sample, channel);
      }
    }
#pragma unroll
    for (int w = 0; w < Cell::weights; ++w) load_channels(problem.weight(w) + channel, weights[w]);
    const int64_t projection = (sample * problem.width + channel) * pixels,
                  output = (sample * channels + channel) * pixels;
    const int64_t end = smaller((piece + 1) * call.piece_pixels, pixels);
    for (int64_t pixel = piece * call.piece_pixels + lane * V; pixel < end; pixel += call.team * V) {
      const auto load_pack = [](const auto* p) { return load_last<V>(p); };
      Inputs<Cell, J, T, V> inputs;
      inputs.fetch(problem, projection + pixel, channels * pixels, output + pixel, load_pack);
      Inputs<Cell, J, T, V> grad_inputs;
      OutputPacks<Cell, T, V> grads;
      fetch_gradients<V>(call.gradients, output + pixel, grads, load_pack);
      backward_chunk<J, V, 1, V>(
          call, inputs, grads, bias, weights, 0, [&](int j, int q) { return affine[j][q]; },
          [&](int j, int q, const Affine<1>&) { return norm_gradient[j][q]; }, grad_inputs, total);
      if (call.writes)
        store_gradients<J, V>(call.gradients, projection + pixel, channels * pixels, output + pixel, grad_inputs);
    }
  }
  if (!call.partials) return;
  float* target = call.partials + (sample * call.pieces + piece) * all_sums * channels + channel;
#pragma unroll
  for (int s = 0; s < all_sums; ++s) {
    const float sum = team_sum(total[s][0], call.team);
    if (active && lane == 0) target[s * channels] = sum;
  }
}

// Adds up the threads of a block that have the same V channels; those of the first row of threads store.
template <int V>
__device__ __forceinline__ void store_column_sums(float (&total)[V], int columns, float* target, bool active) {
  __shared__ float shared[V][threads];
  const int step = columns > warp ? columns : warp;
  __syncthreads();
#pragma unroll
  for (int v = 0; v < V; ++v) {
    for (int distance = warp / 2; distance >= columns; distance /= 2)
      total[v] += __shfl_xor_sync(0xffffffffu, total[v], distance);
    shared[v][threadIdx.x] = total[v];
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) >= columns || !active) return;
#pragma unroll
  for (int v = 0; v < V; ++v) {
    float sum = 0.0f;
    for (int other = threadIdx.x; other < threads; other += step) sum += shared[v][other];
    target[v] = sum;
  }
}

// Second phase with channels side by side: a thread keeps its V channels, and goes down the rows.
template <int J, int V, class Cell, class T>
__device__ __forceinline__ void channels_item(const BackwardCall<Cell, T>& call, int64_t unit, int64_t index) {
  constexpr int all_sums = sums_per_channel<Cell>(J), L = V < 4 ? V : 4;
  const Problem<Cell, T>& problem = call.problem;
  const SampleRange range = samples_of(call, unit);
  const int64_t channels = problem.shape.channels, pixels = problem.shape.pixels;
  const int64_t row_item = index / call.column_blocks;
  const int64_t first_channel = (index % call.column_blocks * call.columns + threadIdx.x % call.columns) * V;
  const bool active = first_channel < channels;
  const int64_t end = smaller(range.begin * pixels + (row_item + 1) * call.item_rows, range.end * pixels);
  float total[all_sums][V];
#pragma unroll
  for (int s = 0; s < all_sums; ++s)
#pragma unroll
    for (int v = 0; v < V; ++v) total[s][v] = 0.0f;
  int64_t row = range.begin * pixels + row_item * call.item_rows + threadIdx.x / call.columns;
  for (; active && row < end; row += threads / call.columns) {
    const int64_t sample = row / pixels, projection = row * problem.width + first_channel;
    const int64_t output = row * channels + first_channel;
    const auto load_pack = [](const auto* p) { return load_last<V>(p); };
    Inputs<Cell, J, T, V> inputs;
    inputs.fetch(problem, projection, channels, output, load_pack);
    Inputs<Cell, J, T, V> grad_inputs;
    OutputPacks<Cell, T, V> grads;
    fetch_gradients<V>(call.gradients, output, grads, load_pack);
#pragma unroll
    for (int first = 0; first < V; first += L) {
      const int channel = first_channel + first;
      float bias[Cell::parts][L], weights[Cell::weights + 1][L];
#pragma unroll
      for (int q = 0; q < Cell::parts; ++q) load_bias(problem, q, channel, bias[q]);
#pragma unroll
      for (int w = 0; w < Cell::weights; ++w) load_channels(problem.weight(w) + channel, weights[w]);
      backward_chunk<J, V, L, L>(
          call, inputs, grads, bias, weights, first,
          [&](int j, int q) { return affine_of<L>(problem, call.statistics, j, q, sample, channel); },
          [&](int j, int q, const Affine<L>& affine) {
            if (call.writes) return norm_gradient_of<J>(call, affine, j, q, sample, channel);
            return NormGradient<L>{};
          },
          grad_inputs, total);
    }
    if (call.writes) store_gradients<J, V>(call.gradients, projection, channels, output, grad_inputs);
  }
  if (!call.partials) return;
  float* target = call.partials + (unit * call.item_count + row_item) * all_sums * channels + first_channel;
#pragma unroll
  for (int s = 0; s < all_sums; ++s) store_column_sums(total[s], call.columns, target + s * channels, active);
}

template <class Cell, int J, int V, bool channels_last, class T>
__global__ void __launch_bounds__(threads, resident)
    backward_kernel(const __grid_constant__ BackwardCall<Cell, T> call) {
  run(
      call.schedule, [&](int64_t unit, int64_t index) { sums_item<J, V, channels_last>(call, unit, index); },
      [&](int64_t unit) { offset_slope_item<J>(call, unit); },
      [&](int64_t unit, int64_t index) {
        if constexpr (channels_last)
          channels_item<J, V>(call, unit, index);
        else
          pixels_item<J, V>(call, unit, index);
      });
}

// Adds up the rows of (slots, columns): those of chunk blockIdx.y, in order, into (chunks, columns) or, where there is
// one chunk only, into the sums.
struct ReduceCall {
  const float* partials;
  int64_t slots, columns, chunk;
  float* chunks;  // (chunks, columns), or null
  ChannelSums sums;
};

static __global__ void __launch_bounds__(threads) reduce_kernel(const __grid_constant__ ReduceCall call) {
  __shared__ float shared[threads];
  const int64_t column = int64_t(blockIdx.x) * warp + threadIdx.x % warp;
  const int64_t end = smaller((blockIdx.y + int64_t(1)) * call.chunk, call.slots);
  float sum = 0.0f;
  if (column < call.columns)
    for (int64_t slot = blockIdx.y * call.chunk + threadIdx.x / warp; slot < end; slot += warps)
      sum += call.partials[slot * call.columns + column];
  shared[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x >= warp || column >= call.columns) return;
  for (int other = threadIdx.x + warp; other < threads; other += warp) sum += shared[other];
  const ChannelSums& sums = call.sums;
  const int64_t after_bias = column - sums.bias_size, after_gain = after_bias - sums.gain_size;
  if (call.chunks)
    call.chunks[blockIdx.y * call.columns + column] = sum;
  else if (after_bias < 0) {
    if (sums.bias) sums.bias[column] = sum;
  } else if (after_gain < 0) {
    if (sums.gain) sums.gain[after_bias] = sum;
  } else {
    const bool second = after_gain >= sums.weights_size;
    if (float* target = sums.weights[second]) target[after_gain - second * sums.weights_size] = sum;
  }
}

}  // namespace fastladder
