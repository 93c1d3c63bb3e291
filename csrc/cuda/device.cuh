// What kernels are made of: wide loads and stores, sums over neighbouring lanes.
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
// Of the big kernels on a multiprocessor, at least: every register may be used. Asked for more, the compiler spills.
constexpr int resident = 2;

FASTLADDER_FORMULA int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

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

template <int V, class T>
__device__ __forceinline__ Pack<T, V> load(const T* source) {
  return load_words<V>(source, [](const Word<T, V>* word) { return *word; });
}

// The last read of these numbers: they leave the cache before those that are read again.
template <int V, class T>
__device__ __forceinline__ Pack<T, V> load_last(const T* source) {
  return load_words<V>(source, [](const Word<T, V>* word) { return __ldcs(word); });
}

template <int V, class T>
__device__ __forceinline__ Pack<T, V> zeros() {
  Pack<T, V> pack;
  memset(&pack, 0, sizeof(pack));
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

}  // namespace fastladder
