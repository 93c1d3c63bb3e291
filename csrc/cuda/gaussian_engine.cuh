// The engine of CUDA tensors for the family gaussian: how threads share out dimensions and time, and the launches.
#pragma once

#include "cuda/gaussian_kernel.cuh"
#include "cuda/sums.cuh"

namespace fastladder {

struct CudaGaussianEngine {
  static constexpr bool takes_float64 = false, takes_float16 = true;

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor& leader, const SequenceProblem<T>& problem) {
    constexpr int wide = 16 / sizeof(T);
    if (aligned<wide>(problem)) return launch<Formula, is_backward, wide>(leader, problem);
    launch<Formula, is_backward, 1>(leader, problem);
  }

 private:
  template <int V, class T>
  static bool aligned(const SequenceProblem<T>& problem) {
    const void* pointers[] = {problem.mean, problem.variance, problem.mean_gradient, problem.variance_gradient};
    return problem.features % V == 0 && std::all_of(std::begin(pointers), std::end(pointers), [](const void* pointer) {
             return reinterpret_cast<uintptr_t>(pointer) % (V * sizeof(T)) == 0;
           });
  }

  template <class Formula, bool is_backward, int V, class T>
  static void launch(const Tensor& leader, const SequenceProblem<T>& problem) {
    Device device(leader);
    SequenceCall<T> call{};
    call.problem = problem;
    call.packs = problem.features / V;
    call.piece_steps = device.repeats(problem.steps * problem.batch * call.packs, 8, 8);
    const int64_t walks = divide_up(problem.steps, call.piece_steps) * call.packs;  // of a sample
    call.team = std::min<int64_t>(power_of_two_from(walks), threads);
    call.portions = divide_up(walks, call.team);
    const int64_t tasks = problem.batch * call.portions;
    const Grid grid{divide_up(tasks, threads / call.team)};
    if constexpr (!is_backward) call.partials = call.portions == 1 ? problem.sums : device.scratch<float>(tasks);
    device.launch(sequence_kernel<Formula, is_backward, V, T>, grid, call);
    if (is_backward || call.portions == 1) return;
    add_up(device, call.partials, problem.batch, call.portions, 1, SumArray{problem.sums, 1});
  }
};

}  // namespace fastladder
