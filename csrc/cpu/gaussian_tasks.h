// What the loops of the family gaussian share: tasks of some rows, and sums over these.
#pragma once

#include "cpu/lanes.h"
#include "cpu/threads.h"

namespace fastladder {

// A task takes as many whole rows as have so many elements, or one row.
constexpr int64_t task_elements = 1024;

template <class T>
FASTLADDER_INLINE T sum_of(const T* numbers, int64_t count) {
  Lanes<T> sum(T(0));
  int64_t i = 0;
  for (; i + Lanes<T>::count <= count; i += Lanes<T>::count) sum = sum + load(numbers + i);
  if (i < count) sum = sum + load(numbers + i, count - i);
  return sum.sum();
}

}  // namespace fastladder
