// The engine of CPU tensors for the family grouping: pixels of one sample side by side in the lanes, groups in a loop.
#pragma once

#include <numeric>

#include "cpu/lanes.h"
#include "cpu/threads.h"
#include "operators/grouping_problem.h"

namespace fastladder {

// Pixels of one task. Every task has a sum of its own, so results are the same for any number of threads.
constexpr int64_t task_pixels = 1024;

// Elements to prefetch. Groups lie so far apart, and are so many, that the hardware does not see that each is a stream.
constexpr int64_t ahead = 128;

// Results of so many bytes would not stay in the caches until they are read. They go past them to memory, which then is
// not read before it is written (measured: a third less time).
constexpr int64_t streamed_bytes = 8 << 20;

// Numbers of groups that have a kernel of their own, in whose unrolled loops what is kept of each stays in a register.
template <int K>
struct FixedGroups {
  static constexpr int count = K;
  static constexpr int bound() { return K; }
  static constexpr bool has(int) { return true; }
};

template <class T, class Run>
void with_groups(int64_t groups, Run run) {
  if constexpr (std::is_same_v<T, float>) {
    if (groups == 2) return run(FixedGroups<2>());
    if (groups == 3) return run(FixedGroups<3>());
    if (groups == 4) return run(FixedGroups<4>());
  }
  run(AnyGroups{static_cast<int>(groups)});
}

// A vector of neighbouring pixels of sample n from `first` on; only `count` of them where they are not whole.
template <bool whole, class T>
struct LanePixels {
  using Vector = Lanes<Compute<T>>;
  const GroupingProblem<T>& problem;
  int64_t n, first, count;
  bool past_caches;  // where results go

  FASTLADDER_INLINE Vector fetch(const T* row) const {
    if constexpr (whole) {
      __builtin_prefetch(row + first + ahead);
      return load(row + first);
    }
    return load(row + first, count);
  }
  FASTLADDER_INLINE void write(T* row, Vector numbers) const {
    if constexpr (whole) return past_caches ? stream(row + first, numbers) : store(row + first, numbers);
    store(row + first, numbers, count);
  }
  FASTLADDER_INLINE Vector fetch(const Grouped<const T>& tensor, int k) const {
    return tensor.data ? fetch(tensor.group(n * problem.groups + k)) : Vector(Compute<T>(0));
  }

  FASTLADDER_INLINE Vector data() const { return fetch(problem.data + n * problem.pixels); }
  FASTLADDER_INLINE Vector mean(int k) const { return fetch(problem.mean.group(n * problem.groups + k)); }
  FASTLADDER_INLINE Vector mask(int k) const { return fetch(problem.mask.group(n * problem.groups + k)); }
  FASTLADDER_INLINE Vector gradient(int output, int k) const { return fetch(problem.gradients[output], k); }
  FASTLADDER_INLINE Vector sum_gradient() const { return Vector(problem.sum_gradient(n)); }
  FASTLADDER_INLINE void put(int which, int k, Vector numbers) const {
    if (problem.added[which].data) numbers = numbers + fetch(problem.added[which], k);
    write(problem.outputs[which].group(n * problem.groups + k), numbers);
  }
  FASTLADDER_INLINE void put_data(Vector numbers) const { write(problem.grad_data + n * problem.pixels, numbers); }
  FASTLADDER_INLINE void copy(int k) const {
    write(problem.copies[0].group(n * problem.groups + k), mean(k));
    write(problem.copies[1].group(n * problem.groups + k), mask(k));
  }
};

// Returns the formula's sums, one for each lane.
template <class Formula, bool is_backward, bool whole, class T, class Groups>
FASTLADDER_INLINE Lanes<Compute<T>> run_lanes(
    const Noise<Lanes<Compute<T>>>& noise, Groups groups, LanePixels<whole, T> pixels,
    Lanes<Compute<T>> (&kept)[2][most_groups]) {
  if constexpr (is_backward) {
    return Formula::backward(noise, groups, pixels, kept);
  } else {
    if (pixels.problem.copies[0].data)
      for (int k = 0; k < groups.count; ++k) pixels.copy(k);
    return Formula::forward(noise, groups, pixels, kept);
  }
}

// A task is a stretch of pixels of one sample; its sum goes into `sums`, one for every task, unless that is null. The
// problem comes by value, so that the compiler knows that no store changes it.
template <class Formula, bool is_backward, class T, class Groups>
FASTLADDER_INLINE void run_tasks(
    const GroupingProblem<T> problem, const Groups groups, bool past, int64_t begin, int64_t end, double* sums) {
  using Real = Compute<T>;
  using Vector = Lanes<Real>;
  const auto noise = noise_of<Vector>(problem.variance ? *problem.variance : Real(1), static_cast<Real>(problem.flip));
  const int64_t tasks = (problem.pixels + task_pixels - 1) / task_pixels;  // of a sample
  Vector kept[2][most_groups];
  for (int64_t task = begin; task < end; ++task) {
    const int64_t n = task / tasks;
    int64_t i = task % tasks * task_pixels;
    const int64_t stop = std::min(problem.pixels, i + task_pixels);
    Vector sum(Real(0));
    for (; i + Vector::count <= stop; i += Vector::count)
      sum = sum + run_lanes<Formula, is_backward>(
                      noise, groups, LanePixels<true, T>{problem, n, i, Vector::count, past}, kept);
    if (i < stop) {
      Real last[Vector::count];
      const LanePixels<false, T> pixels{problem, n, i, stop - i, false};
      store(last, run_lanes<Formula, is_backward>(noise, groups, pixels, kept));
      sum = sum + load(last, stop - i);
    }
    if (sums) sums[task] = sum.sum();
  }
  if (past) drain();
}

struct CpuGroupingEngine {
  static constexpr bool takes_float64 = true;
  static constexpr bool takes_float16 = false;  // no CPU computes in it, so it is not worth a kernel

  template <class Formula, bool is_backward, class T>
  static void run(const Tensor&, const GroupingProblem<T>& problem) {
    const int64_t tasks = (problem.pixels + task_pixels - 1) / task_pixels, all = problem.batch * tasks;
    const std::unique_ptr<double[]> sums(problem.sums ? new double[all] : nullptr);
    const int64_t task_elements = problem.groups * std::min(problem.pixels, task_pixels);
    const int64_t row_bytes = problem.pixels * sizeof(T);  // results start where a cache line does, so do all rows then
    const bool past = row_bytes % 64 == 0 && problem.batch * problem.groups * row_bytes >= streamed_bytes;
    with_groups<T>(problem.groups, [&](auto groups) {
      parallel_for(0, all, grain_of(task_elements), [&](int64_t begin, int64_t end) {
        run_widest<run_tasks<Formula, is_backward, T, decltype(groups)>>(problem, groups, past, begin, end, sums.get());
      });
    });
    const int64_t rows = is_backward ? 1 : problem.batch;
    for (int64_t row = 0; problem.sums && row < rows; ++row)
      problem.sums[row] = std::accumulate(&sums[row * (all / rows)], &sums[row * (all / rows)] + all / rows, 0.0);
  }
};

}  // namespace fastladder
