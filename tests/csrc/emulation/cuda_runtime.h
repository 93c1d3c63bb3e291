// Just enough of CUDA to run the kernels on a CPU. Every thread of a block is a fiber that gives way at barriers and
// shuffles; blocks run side by side on a few threads of the operating system.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <ucontext.h>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __grid_constant__
#define __shared__ static thread_local

struct uint2 { unsigned x, y; };
struct uint4 { unsigned x, y, z, w; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

inline thread_local dim3 threadIdx, blockIdx, gridDim;

namespace emulation {

// From the environment: a small cache makes several chunks, and many processors make many blocks.
inline int setting(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value ? std::atoi(value) : otherwise;
}

// All fibers that meet: the 32 of a warp, or those of the block.
struct Meeting {
  int members, arrived = 0;
  long generation = 0;
};

struct Fiber {
  ucontext_t start;
  jmp_buf place;
  bool started = false, done = false;
  std::unique_ptr<char[]> stack{new char[stack_size]};
  static constexpr size_t stack_size = 1 << 17;
};

struct Block {
  std::vector<Fiber> fibers;
  int current = 0;
  jmp_buf scheduler;
  Meeting whole;
  std::vector<Meeting> warps;
  std::vector<float> exchanged;  // (warps, 2, 32)
  void (*run)(void*);
  void* argument;
};

inline thread_local Block* block;

inline void give_way() {
  if (_setjmp(block->fibers[block->current].place) == 0) _longjmp(block->scheduler, 1);
}

inline void meet(Meeting& meeting) {
  const long generation = meeting.generation;
  if (++meeting.arrived == meeting.members) {
    meeting.arrived = 0;
    ++meeting.generation;
  }
  while (meeting.generation == generation) give_way();
}

inline void fiber_main() {
  block->run(block->argument);
  block->fibers[block->current].done = true;
  _longjmp(block->scheduler, 1);
}

inline void run_block(Block& own, dim3 index, dim3 grid) {
  block = &own;
  blockIdx = index;
  gridDim = grid;
  const int size = own.fibers.size();
  for (Fiber& fiber : own.fibers) {
    getcontext(&fiber.start);
    fiber.start.uc_stack.ss_sp = fiber.stack.get();
    fiber.start.uc_stack.ss_size = Fiber::stack_size;
    fiber.start.uc_link = nullptr;
    makecontext(&fiber.start, fiber_main, 0);
    fiber.started = fiber.done = false;
  }
  volatile int left = size;
  while (left > 0)
    for (own.current = 0; own.current < size; ++own.current) {
      Fiber& fiber = own.fibers[own.current];
      if (fiber.done) continue;
      threadIdx = dim3(own.current);
      if (_setjmp(own.scheduler) == 0) {
        if (fiber.started) _longjmp(fiber.place, 1);
        fiber.started = true;
        setcontext(&fiber.start);
      }
      if (own.fibers[own.current].done) left = left - 1;
    }
}

// The numbers that kernels loaded and stored by the intrinsics below, and the number of launches: for test_launches.py.
struct Access {
  const void* address;
  int32_t bytes;   // negative for a store
  int32_t launch;  // counted from 1
};

struct Trace {
  std::atomic<bool> on{false};
  int launches = 0;
  std::vector<Access> accesses;
  std::mutex mutex;

  void add(const void* address, int bytes) {
    if (!on) return;
    const std::lock_guard<std::mutex> guard(mutex);
    accesses.push_back({address, bytes, launches});
  }
};

inline Trace trace;

template <class T>
T traced_load(const T* source) {
  trace.add(source, sizeof(T));
  return *source;
}

template <class Call>
void launch(void (*kernel)(Call), dim3 grid, int size, const Call& call) {
  ++trace.launches;
  struct Launch {
    void (*kernel)(Call);
    const Call& call;
  } launch{kernel, call};
  const int64_t blocks = int64_t(grid.x) * grid.y * grid.z;
  std::atomic<int64_t> next{0};
  const auto work = [&] {
    Block own;
    own.fibers = std::vector<Fiber>(size);
    own.whole = {size};
    own.warps.assign(size / 32, {32});
    own.exchanged.resize(size * 2);
    own.run = [](void* argument) { static_cast<Launch*>(argument)->kernel(static_cast<Launch*>(argument)->call); };
    own.argument = &launch;
    for (int64_t index; (index = next++) < blocks;)
      run_block(own, dim3(index % grid.x, index / grid.x % grid.y, index / grid.x / grid.y), grid);
  };
  std::vector<std::thread> workers;
  for (int64_t i = 0; i < std::min<int64_t>(setting("EMULATED_BLOCKS_AT_A_TIME", 3), blocks); ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
}

}  // namespace emulation

inline void __syncthreads() { emulation::meet(emulation::block->whole); }

inline float __shfl_xor_sync(unsigned, float x, int distance) {
  emulation::Block& block = *emulation::block;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  emulation::Meeting& meeting = block.warps[warp];
  float* exchanged = &block.exchanged[warp * 64 + meeting.generation % 2 * 32];
  exchanged[lane] = x;
  emulation::meet(meeting);
  return exchanged[lane ^ distance];
}

template <class T> T __ldg(const T* source) { return emulation::traced_load(source); }
template <class T> T __ldcs(const T* source) { return emulation::traced_load(source); }
template <class T> void __stcs(T* target, T value) {
  emulation::trace.add(target, -static_cast<int>(sizeof(T)));
  *target = value;
}
inline float __fdividef(float a, float b) { return a / b; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }

using cudaStream_t = void*;
using cudaError_t = int;
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount, cudaDevAttrL2CacheSize };
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  cudaStream_t stream;
};

inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  *value = attribute == cudaDevAttrMultiProcessorCount ? emulation::setting("EMULATED_PROCESSORS", 2)
                                                       : emulation::setting("EMULATED_CACHE_BYTES", 1 << 16);
  return 0;
}

template <class Call>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Call), const Call& call) {
  emulation::launch(kernel, config->gridDim, config->blockDim.x, call);
  return 0;
}
