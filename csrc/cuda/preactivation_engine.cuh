// The engine of CUDA tensors for the families with a preactivation (operators/preactivation_problem.h).
#pragma once

#include "cuda/preactivation_backward.cuh"
#include "cuda/preactivation_forward.cuh"
#include "cuda/preactivation_statistics.cuh"
#include "cuda/products.cuh"

namespace fastladder {

// Whether activations and states can be read V at a time, and with channels side by side parameters with them.
template <int V, class T, class S>
bool aligned(
    const Shape& shape, std::initializer_list<const T*> activations, std::initializer_list<const S*> states,
    std::initializer_list<const void*> parameters) {
  return (shape.channels_last ? shape.channels : shape.pixels) % V == 0 &&
         all_aligned(activations, sizeof(Word<T, V>)) && all_aligned(states, sizeof(Word<S, V>)) &&
         (!shape.channels_last || all_aligned(parameters, 4 * std::min(V, 4)));
}

// How many elements a backward thread takes at once: as many as it has registers for, with so many numbers of each.
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

// Layer norm reads a chunk of samples for its statistics, then once more for the outputs.
template <int V, class Cell, class T>
void run_forward(
    Device& device, const Problem<Cell, T>& problem, const Statistics& statistics, const Outputs<Cell, T>& outputs) {
  const int64_t batch = problem.shape.batch, elements = problem.sample(problem.shape.channels);
  const int64_t bytes_per_sample = problem.count * problem.sample(problem.width) * sizeof(T);
  const int64_t samples =
      problem.norm == Norm::layer ? samples_per_chunk(device, batch, bytes_per_sample, divide_up(elements, V)) : batch;
  ForwardCall<Cell, T> call{problem, statistics, outputs};
  call.block_outputs = threads * V * device.repeats(samples * elements / V, 8, 4);
  for_chunks(batch, samples, [&](const Chunk& chunk) {
    if (problem.norm != Norm::none) compute_statistics<V>(device, problem, statistics, chunk);
    call.chunk = chunk;
    with_count<Cell>(problem.count, [&](auto count) {
      // One element at a time is the same kernel in either layout.
      device.launch(
          problem.shape.channels_last ? forward_kernel<Cell, count.value, V, (V > 1), T>
                                      : forward_kernel<Cell, count.value, V, false, T>,
          {divide_up(chunk.size() * elements, call.block_outputs)}, call);
    });
  });
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
    const Statistics statistics = statistics_of(problem, mean, rstd);
    if (wide)
      run_forward<V>(device, problem, statistics, outputs);
    else
      run_forward<1>(device, problem, statistics, outputs);
  }

  template <class Cell, class T>
  static void backward(
      const Tensor& leader, const Problem<Cell, T>& problem, const float* mean, const float* rstd,
      const Gradients<Cell, T>& gradients) {
    check_size(problem);
    Device device(leader);
    const Statistics statistics = statistics_of(
        problem, const_cast<float*>(mean), const_cast<float*>(rstd));  // the backward pass only reads them
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

  template <class T>
  static void product(const Tensor& out, const Tensor& a, const Tensor& b, bool keep) {
    multiply(out, a, b, keep);
  }

 private:
  template <class Cell, class T>
  static Statistics statistics_of(const Problem<Cell, T>& problem, float* mean, float* rstd) {
    return problem.norm == Norm::none ? Statistics{} : Statistics{mean, rstd};
  }

  template <int J, int V, bool channels_last, class Cell, class T>
  static void run(
      Device& device, const Problem<Cell, T>& problem, const Statistics& statistics,
      const Gradients<Cell, T>& gradients) {
    const bool wide = aligned<V, T, State<Cell, T>>(
        problem.shape,
        {problem.projections[0], problem.projections[1], problem.projections[2], problem.extras[0], gradients.output},
        {problem.states[0], gradients.new_states[0]},
        {problem.weights[0], problem.weights[1], problem.gain, problem.bias, statistics.mean, statistics.rstd});
    if (wide)
      run_backward<J, V, channels_last>(device, problem, statistics, gradients);
    else
      run_backward<J, 1, channels_last>(device, problem, statistics, gradients);
  }
};

}  // namespace fastladder
