// The functions that the formulas of all families use, for scalars on host and device; cpu/lanes.h has them for lanes.
#pragma once

#include <cmath>

#ifdef __CUDACC__
#define FASTLADDER_FORMULA __host__ __device__ __forceinline__
#define FASTLADDER_UNROLL _Pragma("unroll")
#else
#define FASTLADDER_FORMULA inline __attribute__((always_inline))
#define FASTLADDER_UNROLL
#endif

namespace fastladder {

FASTLADDER_FORMULA float sigmoid(float x) {
#ifdef __CUDA_ARCH__
  return __fdividef(1.0f, 1.0f + __expf(-x));  // off by less than half the spacing of float32 numbers below 1
#else
  return 1.0f / (1.0f + ::expf(-x));
#endif
}
FASTLADDER_FORMULA double sigmoid(double x) { return 1.0 / (1.0 + ::exp(-x)); }
FASTLADDER_FORMULA float tanh(float x) { return ::tanhf(x); }
FASTLADDER_FORMULA double tanh(double x) { return ::tanh(x); }

template <class T>
FASTLADDER_FORMULA T sigmoid_times_tanh(T x, T y) {
  return sigmoid(x) * tanh(y);
}

// x where test > 0 or test is NaN, else 0: relu(x) is positive_part(x, x), and NaN stays NaN.
FASTLADDER_FORMULA float positive_part(float test, float x) { return test <= 0 ? 0.0f : x; }
FASTLADDER_FORMULA double positive_part(double test, double x) { return test <= 0 ? 0.0 : x; }

FASTLADDER_FORMULA float exponential(float x) {
#ifdef __CUDA_ARCH__
  return __expf(x);
#else
  return ::expf(x);
#endif
}
FASTLADDER_FORMULA double exponential(double x) { return ::exp(x); }
FASTLADDER_FORMULA float logarithm(float x) { return ::logf(x); }
FASTLADDER_FORMULA double logarithm(double x) { return ::log(x); }

FASTLADDER_FORMULA float square_root(float x) { return ::sqrtf(x); }
FASTLADDER_FORMULA double square_root(double x) { return ::sqrt(x); }
FASTLADDER_FORMULA float inverse_root(float x) { return 1.0f / ::sqrtf(x); }
FASTLADDER_FORMULA double inverse_root(double x) { return 1.0 / ::sqrt(x); }
FASTLADDER_FORMULA float error_function(float x) { return ::erff(x); }
FASTLADDER_FORMULA double error_function(double x) { return ::erf(x); }
FASTLADDER_FORMULA float complementary_error_function(float x) { return ::erfcf(x); }
FASTLADDER_FORMULA double complementary_error_function(double x) { return ::erfc(x); }

// Returns a where either is NaN, so that a running maximum that begins as a number ignores NaN.
FASTLADDER_FORMULA float maximum(float a, float b) { return b > a ? b : a; }
FASTLADDER_FORMULA double maximum(double a, double b) { return b > a ? b : a; }
FASTLADDER_FORMULA float minimum(float a, float b) { return b < a ? b : a; }
FASTLADDER_FORMULA double minimum(double a, double b) { return b < a ? b : a; }

// x where test > 0, else y, also where test is NaN.
FASTLADDER_FORMULA float where_positive(float test, float x, float y) { return test > 0 ? x : y; }
FASTLADDER_FORMULA double where_positive(double test, double x, double y) { return test > 0 ? x : y; }

}  // namespace fastladder
