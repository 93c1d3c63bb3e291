// The engine of CUDA tensors: how the work of a call is cut into items, and the launches.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#include "cuda/preactivation_backward.cuh"

namespace fastladder {

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t power_of_two_from(int64_t least) {
  int64_t power = 1;
  while (power < least) power *= 2;
  return power;
}

// Makes the device of a tensor the current one, and knows what its kernels are sized by.
class Device {
 public:
  explicit Device(const Tensor& tensor) : tensor_(tensor), guard_(tensor.get_device_index()) {
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
    STD_CUDA_CHECK(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, tensor.get_device_index()));
    STD_CUDA_CHECK(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, tensor.get_device_index()));
  }

  int processors;
  int cache;  // bytes

  // How often a thread can repeat its work, up to `most` times, before less than `fill` blocks a processor are left.
  int64_t repeats(int64_t thread_tasks, int64_t fill, int64_t most) const {
    return std::clamp<int64_t>(thread_tasks / (threads * processors * fill), 1, most);
  }

  // Memory for kernels; work that the stream gets later may take it over once this object is gone.
  template <class T>
  T* scratch(int64_t count) {
    static_assert(sizeof(T) == 4);
    scratch_.push_back(empty(tensor_, {count}, ScalarType::Int));
    return data_of<T>(scratch_.back());
  }

  int* zeroed_counters(int64_t count) {
    int* counters = scratch<int>(count);
    STD_CUDA_CHECK(cudaMemsetAsync(counters, 0, count * sizeof(int), stream_));
    return counters;
  }

  template <class Call>
  void launch(void (*kernel)(Call), dim3 blocks, const Call& call) const {
    cudaLaunchConfig_t config{};
    config.gridDim = blocks;
    config.blockDim = dim3(threads);
    config.stream = stream_;
    STD_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, call));
  }

  // A block an item; where blocks draw their items, no more than can run at a time.
  dim3 blocks_for(const Schedule& schedule) const {
    const int64_t items = schedule.items();
    STD_TORCH_CHECK(items < (int64_t(1) << 31) - (1 << 20), "the activations have too many elements for one call");
    return dim3(schedule.counters ? std::min<int64_t>(items, processors * 16) : items);
  }

 private:
  const Tensor& tensor_;
  torch::stable::accelerator::DeviceGuard guard_;
  cudaStream_t stream_;
  std::vector<Tensor> scratch_;
};

// Whether activations and states can be read V at a time, and with channels side by side parameters with them.
template <int V, class T, class S>
bool aligned(
    const Shape& shape, std::initializer_list<const T*> activations, std::initializer_list<const S*> states,
    std::initializer_list<const void*> parameters) {
  const auto all = [](const auto& pointers, size_t bytes) {
    return std::all_of(
        pointers.begin(), pointers.end(), [=](const void* p) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; });
  };
  return (shape.channels_last ? shape.channels : shape.pixels) % V == 0 && all(activations, sizeof(Word<T, V>)) &&
         all(states, sizeof(Word<S, V>)) && (!shape.channels_last || all(parameters, 4 * std::min(V, 4)));
}

// How many elements a backward thread takes at once, when it keeps so many numbers of each: as there are registers for.
template <class T>
constexpr int at_once(int numbers) {
  int V = 16 / sizeof(T);
  while (V > 2 && V * numbers > 64) V /= 2;
  return V;
}

template <class Cell, class T>
void check_size(const Problem<Cell, T>& problem) {
  STD_TORCH_CHECK(
      problem.sample(problem.width) < (int64_t(1) << 31), "needs samples of less than 2^31 numbers, got ",
      problem.sample(problem.width));
}

// What is normalised together, as statistics.cuh wants it.
template <class Cell, class T>
NormGroups norm_groups_of(const Problem<Cell, T>& problem, int V) {
  const auto [batch, channels, pixels, channels_last] = problem.shape;
  const int64_t sample = problem.sample(problem.width), width = problem.width / problem.norm_groups;
  NormGroups norm_groups{};
  if (problem.norm == Norm::batch) {
    norm_groups = {width * problem.norm_groups, batch * pixels, pixels, sample, problem.width, 0, pixels};
  } else if (channels_last && problem.norm_groups > 1) {
    norm_groups = {batch * problem.norm_groups, width * pixels, width, problem.width,
                   problem.norm_groups,         sample,         width};
  } else {
    norm_groups = {batch * problem.norm_groups, width * pixels, width * pixels, 0,
                   problem.norm_groups,         sample,         width * pixels};
  }
  norm_groups.segment = segment_size(V);
  norm_groups.segments = divide_up(norm_groups.size, norm_groups.segment);
  return norm_groups;
}

// Samples that are small share a unit; waves of units fit the cache three times, with room to spare.
template <class Cell, class T>
int64_t samples_per_unit(const Problem<Cell, T>& problem) {
  if (problem.norm != Norm::layer) return problem.shape.batch;
  return std::clamp<int64_t>(32768 / (problem.count * problem.sample(problem.width)), 1, problem.shape.batch);
}

template <class Cell, class T>
Schedule schedule_of(
    const Problem<Cell, T>& problem, const Device& device, int64_t samples, int64_t first, int64_t second) {
  const int64_t units = divide_up(problem.shape.batch, samples);
  const int64_t unit_bytes = samples * problem.count * problem.sample(problem.width) * sizeof(T);
  const int64_t fitting = std::clamp<int64_t>(device.cache / 8 / unit_bytes, 1, units);
  const int64_t waves = divide_up(units, fitting), wave = divide_up(units, waves);
  STD_TORCH_CHECK(
      std::max({units, first, second}) < (int64_t(1) << 31), "the activations have too many elements for one call");
  return {
      static_cast<int>(units),
      static_cast<int>(wave),
      static_cast<int>(divide_up(units, wave)),
      static_cast<int>(first),
      static_cast<int>(second),
      false,
      nullptr};
}

template <int V, class Cell, class T>
void batch_statistics(Device& device, const Problem<Cell, T>& problem, const Statistics& statistics) {
  MomentsCall<T> call{};
  std::copy_n(problem.projections, problem.count, call.projections);
  call.count = problem.count;
  call.statistics = statistics;
  call.eps = problem.eps;
  NormGroups& norm_groups = call.norm_groups = norm_groups_of(problem, V);
  const int64_t column_blocks = divide_up(problem.width, warp * V);
  if (problem.shape.channels_last) {
    norm_groups.stride = problem.width;
    const int64_t wanted = divide_up(device.processors * 8, column_blocks * problem.count);
    norm_groups.segment = std::max<int64_t>(divide_up(norm_groups.size, std::min<int64_t>(wanted, 65535)), 8 * warps);
    norm_groups.segments = divide_up(norm_groups.size, norm_groups.segment);
  }
  const int64_t means = problem.count * norm_groups.count;
  call.partials = device.scratch<float>(means * norm_groups.segments * 2);
  if (problem.shape.channels_last) {
    device.launch(column_moments_kernel<V, T>, dim3(column_blocks, norm_groups.segments, problem.count), call);
  } else {
    const int64_t blocks = divide_up(means * norm_groups.segments, warps);
    STD_TORCH_CHECK(blocks < (int64_t(1) << 31), "the activations have too many elements for one call");
    device.launch(segment_moments_kernel<V, T>, dim3(blocks), call);
    if (norm_groups.segments == 1) return;
  }
  device.launch(merge_moments_kernel<T>, dim3(divide_up(means, warps)), call);
}

template <int V, class Cell, class T>
void run_forward(
    Device& device, const Problem<Cell, T>& problem, const Statistics& statistics, const Outputs<Cell, T>& outputs) {
  if (problem.norm == Norm::batch) batch_statistics<V>(device, problem, statistics);
  ForwardCall<Cell, T> call{};
  call.problem = problem;
  call.statistics = statistics;
  call.outputs = outputs;
  call.samples = samples_per_unit(problem);
  const int64_t elements = problem.sample(problem.shape.channels);
  call.item_outputs = threads * V * device.repeats(problem.shape.batch * elements / V, 8, 4);
  const int64_t second = divide_up(call.samples * elements, call.item_outputs);
  if (problem.norm == Norm::layer) {
    call.norm_groups = norm_groups_of(problem, V);
    const int64_t unit_segments = call.samples * problem.count * problem.norm_groups * call.norm_groups.segments;
    const int64_t all_segments = problem.statistics() * call.norm_groups.segments;
    call.item_segments = warps * device.repeats(all_segments * warp, 4, 4);
    call.schedule = schedule_of(problem, device, call.samples, divide_up(unit_segments, call.item_segments), second);
    call.schedule.counters = device.zeroed_counters(1 + call.schedule.units);
    call.partials = device.scratch<float>(all_segments * 2);
  } else {
    call.schedule = schedule_of(problem, device, call.samples, 0, second);
    call.schedule.reversed = problem.norm == Norm::batch;
  }
  with_count<Cell>(problem.count, [&](auto count) {
    // One element at a time is the same kernel in either layout.
    device.launch(
        problem.shape.channels_last ? forward_kernel<Cell, count.value, V, (V > 1), T>
                                    : forward_kernel<Cell, count.value, V, false, T>,
        device.blocks_for(call.schedule), call);
  });
}

// Adds up what the blocks of a backward pass left, at most 256 slots a thread at a time.
inline void reduce(Device& device, const float* partials, int64_t slots, int64_t columns, const ChannelSums& sums) {
  const int64_t column_blocks = divide_up(columns, warp);
  ReduceCall call{partials, slots, columns, slots, nullptr, sums};
  if (slots > 256) {
    call.chunk = std::max<int64_t>(64, divide_up(slots, 256));
    call.slots = divide_up(slots, call.chunk);
    ReduceCall first{partials, slots, columns, call.chunk, device.scratch<float>(call.slots * columns), {}};
    device.launch(reduce_kernel, dim3(column_blocks, call.slots), first);
    call.partials = first.chunks;
    call.chunk = call.slots;
  }
  device.launch(reduce_kernel, dim3(column_blocks), call);
}

template <int J, int V, bool channels_last, class Cell, class T>
void run_backward(
    Device& device, const Problem<Cell, T>& problem, const Statistics& statistics,
    const Gradients<Cell, T>& gradients) {
  const int64_t batch = problem.shape.batch, channels = problem.shape.channels, pixels = problem.shape.pixels;
  const int64_t elements = channels * pixels;
  BackwardCall<Cell, T> call{};
  call.problem = problem;
  call.gradients = gradients;
  call.statistics = statistics;
  call.samples = samples_per_unit(problem);
  call.inverse_size = 1.0 / problem.norm_size();
  int64_t second, slots;
  if (channels_last) {
    call.columns = std::min<int64_t>(power_of_two_from(channels / V), threads);
    call.column_blocks = divide_up(channels / V, call.columns);
    call.item_rows = threads / call.columns * device.repeats(batch * pixels * call.column_blocks * call.columns, 4, 32);
    call.item_count = divide_up(call.samples * pixels, call.item_rows);
    second = call.column_blocks * call.item_count;
    slots = divide_up(batch, call.samples) * call.item_count;
  } else {
    call.team = std::min<int64_t>(power_of_two_from(pixels / V), warp);
    call.piece_pixels = call.team * V * device.repeats(batch * elements / V, 4, 32 / V);
    call.pieces = divide_up(pixels, call.piece_pixels);
    second = divide_up(call.samples * channels * call.pieces, threads / call.team);
    slots = batch * call.pieces;
  }
  if (problem.norm == Norm::layer) {
    const int64_t all = batch * elements / V;
    call.segment_outputs = warp * V * device.repeats(all, 4, 4);
    call.segments = divide_up(elements, call.segment_outputs);
    call.item_segments = warps * device.repeats(batch * call.segments * warp, 4, 2);
    const int64_t first = divide_up(call.samples * call.segments, call.item_segments);
    call.schedule = schedule_of(problem, device, call.samples, first, second);
    call.schedule.counters = device.zeroed_counters(1 + call.schedule.units);
    call.segment_sums = device.scratch<float>(batch * call.segments * 2 * J * problem.norm_groups);
    call.offset_slope = device.scratch<float>(batch * 2 * J * problem.norm_groups);
  } else {
    call.schedule = schedule_of(problem, device, call.samples, 0, second);
  }
  const bool batch_norm = problem.norm == Norm::batch;
  const int64_t sums_columns = sums_per_channel<Cell>(J) * channels;
  call.sums = {gradients.bias, gradients.gain,    {gradients.weights[0], gradients.weights[1]},
               problem.width,  J * problem.width, problem.weight_rows * channels};
  if (batch_norm) {
    if (!call.sums.bias) call.sums.bias = device.scratch<float>(problem.width);
    if (!call.sums.gain) call.sums.gain = device.scratch<float>(J * problem.width);
  }
  const bool sums = call.sums.bias || call.sums.gain || call.sums.weights[0];
  if (sums) call.partials = device.scratch<float>(slots * sums_columns);
  const auto launch = [&] {
    device.launch(backward_kernel<Cell, J, V, channels_last, T>, device.blocks_for(call.schedule), call);
  };
  call.writes = !batch_norm;
  launch();
  if (sums) reduce(device, call.partials, slots, sums_columns, call.sums);
  if (batch_norm) {
    call.writes = true;
    call.partials = nullptr;
    call.schedule.reversed = true;
    launch();
  }
}

struct CudaPreactivationEngine {
  static constexpr bool takes_float64 = false, takes_float16 = true;

  template <class Cell, class T>
  static void forward(
      const Tensor& leader, const Problem<Cell, T>& problem, float* mean, float* rstd,
      const Outputs<Cell, T>& outputs) {
    constexpr int V = 16 / sizeof(T);
    check_size(problem);
    Device device(leader);
    const bool wide = aligned<V, T, State<Cell, T>>(
        problem.shape,
        {problem.projections[0], problem.projections[1], problem.projections[2], problem.extras[0], outputs.output},
        {problem.states[0], outputs.states[0]}, {problem.weights[0], problem.weights[1], problem.gain, problem.bias});
    if (wide)
      run_forward<V>(device, problem, {mean, rstd}, outputs);
    else
      run_forward<1>(device, problem, {mean, rstd}, outputs);
  }

  template <class Cell, class T>
  static void backward(
      const Tensor& leader, const Problem<Cell, T>& problem, const float* mean, const float* rstd,
      const Gradients<Cell, T>& gradients) {
    check_size(problem);
    Device device(leader);
    const Statistics statistics{
        const_cast<float*>(mean), const_cast<float*>(rstd)};  // the backward pass only reads them
    with_count<Cell>(problem.count, [&](auto count) {
      // With channels side by side the sums of each channel, otherwise the gradients of all projections.
      constexpr int channels = at_once<T>(sums_per_channel<Cell>(count.value));
      constexpr int pixels = at_once<T>(count.value * Cell::parts);
      if (problem.shape.channels_last)
        run<count.value, channels, true>(device, problem, statistics, gradients);
      else
        run<count.value, pixels, false>(device, problem, statistics, gradients);
    });
  }

 private:
  template <int J, int V, bool channels_last, class Cell, class T>
  static void run(
      Device& device, const Problem<Cell, T>& problem, const Statistics& statistics,
      const Gradients<Cell, T>& gradients) {
    const bool wide = aligned<V, T, State<Cell, T>>(
        problem.shape,
        {problem.projections[0], problem.projections[1], problem.projections[2], problem.extras[0], gradients.output},
        {problem.states[0], gradients.new_states[0]},
        {problem.weights[0], problem.weights[1], problem.gain, problem.bias, statistics.mean, statistics.rstd,
         gradients.gain, gradients.bias});
    if (wide)
      run_backward<J, V, channels_last>(device, problem, statistics, gradients);
    else
      run_backward<J, 1, channels_last>(device, problem, statistics, gradients);
  }
};

}  // namespace fastladder
