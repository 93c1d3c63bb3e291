// The engine of CUDA tensors for the family grouping: how threads share out the pixels, and the launches.
#pragma once

#include "cuda/grouping_kernel.cuh"
#include "cuda/sums.cuh"

namespace fastladder {

struct CudaGroupingEngine {
  static constexpr bool takes_float64 = false, takes_float16 = true;

  // Up to 4 groups take 16 bytes at once; more take 2 pixels, for the sake of registers and of the time to compile.
  template <class Formula, bool is_backward, class T>
  static void run(const Tensor& leader, const GroupingProblem<T>& problem) {
    constexpr int wide = 16 / sizeof(T);
    if (problem.groups <= 4 && aligned<wide>(problem)) return launch<Formula, is_backward, 4, wide>(leader, problem);
    if (problem.groups <= 8 && aligned<2>(problem)) return launch<Formula, is_backward, 8, 2>(leader, problem);
    launch<Formula, is_backward, 0, 1>(leader, problem);
  }

 private:
  template <int V, class T>
  static bool aligned(const GroupingProblem<T>& problem) {
    const void* pointers[] = {
        problem.data,
        problem.mean.data,
        problem.mask.data,
        problem.outputs[0].data,
        problem.outputs[1].data,
        problem.copies[0].data,
        problem.copies[1].data,
        problem.gradients[0].data,
        problem.gradients[1].data,
        problem.added[0].data,
        problem.added[1].data,
        problem.grad_data};
    return problem.pixels % V == 0 && all_aligned(pointers, V * sizeof(T));
  }

  template <class Formula, bool is_backward, int most, int V, class T>
  static void launch(const Tensor& leader, const GroupingProblem<T>& problem) {
    Device device(leader);
    GroupCall<T> call{};
    call.problem = problem;
    call.team = std::min<int64_t>(power_of_two_from(divide_up(problem.pixels, V)), threads);
    call.piece_pixels = call.team * V * device.repeats(problem.batch * problem.pixels / V, 8, 4);
    call.pieces = divide_up(problem.pixels, call.piece_pixels);
    const int64_t tasks = problem.batch * call.pieces, blocks = divide_up(tasks, threads / call.team);
    const bool summed = is_backward ? tasks == 1 : call.pieces == 1;  // by the first kernel alone
    if (problem.sums) call.partials = summed ? problem.sums : device.scratch<float>(tasks);
    device.launch(group_kernel<Formula, is_backward, most, V, T>, {blocks}, call);
    if (!problem.sums || summed) return;
    const int64_t rows = is_backward ? 1 : problem.batch;
    add_up(device, call.partials, rows, tasks / rows, 1, SumArray{problem.sums, 1});
  }
};

}  // namespace fastladder
