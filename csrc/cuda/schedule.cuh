// The order in which blocks take up work.
//
// With a layer norm every sample is read twice: in a first phase for its statistics, in a second that uses them. Both
// phases are in one launch, so that the second reading comes from the L2 cache. A unit is what the phases share: one
// sample, or several small ones. Units come in waves, of a size of which three fit the cache; the order of the items is
//
//   first phase of wave 0, first of wave 1, second of wave 0, first of wave 2, second of wave 1, ...
//
// Blocks draw items in this order by an atomic counter, and an item of a second phase waits until the first phase of
// its unit is complete. All items that it waits for were drawn before it, and those never wait: so there is no
// deadlock, however many blocks run at a time. Which block does an item changes nothing about the result.
#pragma once

#include "cuda/device.cuh"

namespace fastladder {

struct Schedule {
  int units;
  int wave;  // units of one wave
  int waves;
  int first;      // items of a unit in its first phase; 0 where there is none
  int second;     // items of a unit in its second phase
  bool reversed;  // from the last item to the first: what was read last is still in the cache. Without a first phase
  int* counters;  // (1 + units) zeros: items drawn, then for every unit the steps done. Null without a first phase

  FASTLADDER_FORMULA int64_t items() const { return int64_t(waves) * wave * (first + second); }
};

struct Item {
  int64_t unit;   // those of the last wave may be past the end: nothing to do
  int64_t index;  // within the unit's phase
  bool first_phase;
};

FASTLADDER_FORMULA Item item_at(const Schedule& schedule, int64_t position) {
  const int64_t ahead = int64_t(schedule.wave) * schedule.first, behind = int64_t(schedule.wave) * schedule.second;
  if (position < ahead) return {position / schedule.first, position % schedule.first, true};
  position -= ahead;
  const int64_t wave = position / (ahead + behind);
  position -= wave * (ahead + behind);
  if (wave + 1 < schedule.waves) {
    if (position < ahead)
      return {(wave + 1) * schedule.wave + position / schedule.first, position % schedule.first, true};
    position -= ahead;
  }
  return {wave * schedule.wave + position / schedule.second, position % schedule.second, false};
}

// The unit's first phase is done when all its items are, and one step more: what the last of them then did.
__device__ __forceinline__ int* steps_of(const Schedule& schedule, int64_t unit) {
  return schedule.counters + 1 + unit;
}

// Whether this block is the last to end its item of the unit's first phase; it then sees what all of them wrote.
__device__ __forceinline__ bool is_last(const Schedule& schedule, int64_t unit) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicAdd(steps_of(schedule, unit), 1) == schedule.first - 1;
    __threadfence();
  }
  __syncthreads();
  return last;
}

__device__ __forceinline__ void release(const Schedule& schedule, int64_t unit) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    atomicAdd(steps_of(schedule, unit), 1);
  }
}

__device__ __forceinline__ void wait_for(const Schedule& schedule, int64_t unit) {
  if (threadIdx.x == 0) {
    while (*static_cast<volatile int*>(steps_of(schedule, unit)) <= schedule.first) __nanosleep(64);
    __threadfence();
  }
  __syncthreads();
}

__device__ __forceinline__ int64_t draw(const Schedule& schedule, int64_t round) {
  if (!schedule.counters) return blockIdx.x + round * gridDim.x;
  __shared__ int position;
  __syncthreads();
  if (threadIdx.x == 0) position = atomicAdd(schedule.counters, 1);
  __syncthreads();
  return position;
}

// Calls first(unit, index), finish(unit) once all of the unit's first phase is done, and second(unit, index). The
// fences around the counters make what earlier phases of the unit wrote visible to the block; nothing of that may be
// read by instructions that bypass them (__ldg, __restrict__).
template <class First, class Finish, class Second>
__device__ __forceinline__ void run(const Schedule& schedule, First first, Finish finish, Second second) {
  const int64_t items = schedule.items();
  for (int64_t round = 0;; ++round) {
    const int64_t position = draw(schedule, round);
    if (position >= items) return;
    const Item item = item_at(schedule, schedule.reversed ? items - 1 - position : position);
    if (item.unit >= schedule.units) continue;
    if (item.first_phase) {
      first(item.unit, item.index);
      if (is_last(schedule, item.unit)) {
        finish(item.unit);
        release(schedule, item.unit);
      }
    } else {
      if (schedule.counters) wait_for(schedule, item.unit);
      second(item.unit, item.index);
    }
  }
}

}  // namespace fastladder
