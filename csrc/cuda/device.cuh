// Wide loads and stores, and sums over the threads of a block, for all kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>

#include "formulas/activations.h"
#include "precision.h"

namespace fastladder {

constexpr int threads = 128;  // of every block
constexpr int warp = 32;
constexpr int warps = threads / warp;
// Blocks of the big kernels on a multiprocessor, at least, so that each may use every register: for more, the compiler
// spills.
constexpr int resident = 2;

FASTLADDER_FORMULA int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
FASTLADDER_FORMULA int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Hides a number from the compiler, so that nothing that depends on it is computed before a loop and kept in registers,
// where these are scarce.
__device__ __forceinline__ int opaque(int x) {
#ifdef __CUDA_ARCH__
  asm volatile("" : "+r"(x));
#endif
  return x;
}

// V numbers that one instruction loads or stores, or as few as can: each moves 16 bytes at most.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T values[V];
};

template <int bytes>
struct WordOf;
template <>
struct WordOf<2> {
  using Type = unsigned short;
};
template <>
struct WordOf<4> {
  using Type = unsigned int;
};
template <>
struct WordOf<8> {
  using Type = uint2;
};
template <>
struct WordOf<16> {
  using Type = uint4;
};
template <class T, int V>
constexpr int words = sizeof(T) * V > 16 ? sizeof(T) * V / 16 : 1;
template <class T, int V>
using Word = typename WordOf<sizeof(T) * V / words<T, V>>::Type;

// The V numbers whose words `load_word` fetches, each from its address.
template <int V, class T, class LoadWord>
__device__ __forceinline__ Pack<T, V> load_words(const T* source, LoadWord load_word) {
  Word<T, V> parts[words<T, V>];
#pragma unroll
  for (int w = 0; w < words<T, V>; ++w) parts[w] = load_word(reinterpret_cast<const Word<T, V>*>(source) + w);
  Pack<T, V> pack;
  memcpy(&pack, parts, sizeof(pack));
  return pack;
}

// Loads from memory that no thread of the launch writes.
template <int V, class T>
__device__ __forceinline__ Pack<T, V> load(const T* source) {
  return load_words<V>(source, [](const Word<T, V>* word) { return __ldg(word); });
}

// The last read of these numbers: they leave the cache before those that are read again.
template <int V, class T>
__device__ __forceinline__ Pack<T, V> load_last(const T* source) {
  return load_words<V>(source, [](const Word<T, V>* word) { return __ldcs(word); });
}

template <int V, class T>
__device__ __forceinline__ Pack<T, V> broadcast(T x) {
  Pack<T, V> pack;
#pragma unroll
  for (int v = 0; v < V; ++v) pack.values[v] = x;
  return pack;
}

template <int V, class T>
__device__ __forceinline__ void store(T* target, const Pack<T, V>& pack) {
  Word<T, V> parts[words<T, V>];
  memcpy(parts, &pack, sizeof(pack));
#pragma unroll
  for (int w = 0; w < words<T, V>; ++w) __stcs(reinterpret_cast<Word<T, V>*>(target) + w, parts[w]);
}

// Sum over neighbouring lanes, a power of two of them. Every lane of the warp takes part, and gets its team's sum.
__device__ __forceinline__ float team_sum(float x, int team) {
  for (int distance = team / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(0xffffffffu, x, distance);
  return x;
}

__device__ __forceinline__ float warp_sum(float x) { return team_sum(x, warp); }

// Sums over the threads of the block that are a multiple of `columns`, a power of two, apart, always in the same order.
// Every thread takes part; the first `columns` have the sums.
template <int V>
__device__ __forceinline__ void column_sums(float (&x)[V], int columns) {
  __shared__ float shared[V][threads];
  __syncthreads();  // what an earlier call left has been read
#pragma unroll
  for (int v = 0; v < V; ++v) {
    for (int distance = warp / 2; distance >= columns; distance /= 2)
      x[v] += __shfl_xor_sync(0xffffffffu, x[v], distance);
    shared[v][threadIdx.x] = x[v];
  }
  __syncthreads();
  const int step = columns > warp ? columns : warp;
#pragma unroll
  for (int v = 0; v < V; ++v)
    for (int other = threadIdx.x + step; other < threads; other += step) x[v] += shared[v][other];
}

}  // namespace fastladder
