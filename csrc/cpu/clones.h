// Compiles a loop once per instruction set of x86-64, and runs the widest of these clones that the machine can.
//
// Only the loop, with what is always inlined into it, is compiled wide. Whole files must not be: they would hold wide
// copies of inline functions that other files hold too, of which the linker keeps one for all machines. The compilers'
// own target_clones would do, but Clang has it for no template, and only some C libraries can choose at load.
#pragma once

#include <utility>

#define FASTLADDER_INLINE inline __attribute__((always_inline))

// The steps to the levels v3 and v4 of x86-64 that loops can use, under names that every compiler knows.
#define FASTLADDER_AVX2 __attribute__((target("avx2,bmi,bmi2,fma")))
#define FASTLADDER_AVX512 __attribute__((target("avx2,bmi,bmi2,fma,avx512f,avx512bw,avx512cd,avx512dq,avx512vl")))

namespace fastladder {

// The instruction sets of the clones, in their order; the first is that of the compiler's own target.
constexpr const char* instruction_sets[] = {
#if defined(__AVX512F__)
    "AVX-512",
#elif defined(__AVX2__)
    "AVX2",
#elif defined(__AVX__)
    "AVX",
#elif defined(__SSE2__)
    "SSE2",
#elif defined(__ARM_NEON)
    "NEON",
#else
    "scalar",
#endif
#ifdef __x86_64__
    "AVX2",
    "AVX-512",
#endif
};

// The clones of `loop`, an always inlined function.
template <auto loop>
struct Clones;

template <class Result, class... Arguments, Result (*loop)(Arguments...)>
struct Clones<loop> {
  static Result baseline(Arguments... arguments) { return loop(arguments...); }
#ifdef __x86_64__
  FASTLADDER_AVX2 static Result avx2(Arguments... arguments) { return loop(arguments...); }
  FASTLADDER_AVX512 static Result avx512(Arguments... arguments) { return loop(arguments...); }
  static constexpr Result (*all[])(Arguments...) = {baseline, avx2, avx512};
#else
  static constexpr Result (*all[])(Arguments...) = {baseline};
#endif
};

inline int widest_clone() {
#ifdef __x86_64__
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  return !avx2 ? 0 : !avx512 ? 1 : 2;
#else
  return 0;
#endif
}

inline const int running_clone = widest_clone();

template <auto loop, class... Arguments>
auto run_widest(Arguments&&... arguments) {
  return Clones<loop>::all[running_clone](std::forward<Arguments>(arguments)...);
}

}  // namespace fastladder
