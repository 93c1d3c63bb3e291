// 64 bytes of float or double that compute side by side, with GCC's vector extension: the compiler maps them to
// whatever vector registers the target of the surrounding function has.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "cpu/clones.h"
#include "formulas/activations.h"
#include "precision.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace fastladder {

typedef float Floats __attribute__((vector_size(64)));
typedef double Doubles __attribute__((vector_size(64)));

template <class T>
struct Lanes {
  static constexpr int64_t count = 64 / sizeof(T);
  using Vector = std::conditional_t<std::is_same_v<T, double>, Doubles, Floats>;
  Vector v;

  Lanes() = default;
  FASTLADDER_INLINE Lanes(Vector vector) : v(vector) {}
  FASTLADDER_INLINE Lanes(T scalar) : v(Vector{} + scalar) {}

  FASTLADDER_INLINE T sum() const {
    T part[count];
    std::memcpy(part, &v, sizeof(part));
    for (int64_t half = count / 2; half > 0; half /= 2)  // halves, not one by one: fewer additions wait for each other
      for (int64_t i = 0; i < half; ++i) part[i] += part[half + i];
    return part[0];
  }
};

template <class T>
FASTLADDER_INLINE Lanes<T> operator+(Lanes<T> a, Lanes<T> b) {
  return a.v + b.v;
}
template <class T>
FASTLADDER_INLINE Lanes<T> operator-(Lanes<T> a, Lanes<T> b) {
  return a.v - b.v;
}
template <class T>
FASTLADDER_INLINE Lanes<T> operator*(Lanes<T> a, Lanes<T> b) {
  return a.v * b.v;
}
template <class T>
FASTLADDER_INLINE Lanes<T> operator/(Lanes<T> a, Lanes<T> b) {
  return a.v / b.v;
}

template <class T>
FASTLADDER_INLINE Lanes<T> positive_part(Lanes<T> test, Lanes<T> x) {
  return test.v <= Lanes<T>(T(0)).v ? Lanes<T>(T(0)).v : x.v;
}

template <class T>
FASTLADDER_INLINE Lanes<T> maximum(Lanes<T> a, Lanes<T> b) {
  return b.v > a.v ? b.v : a.v;
}
template <class T>
FASTLADDER_INLINE Lanes<T> minimum(Lanes<T> a, Lanes<T> b) {
  return b.v < a.v ? b.v : a.v;
}
template <class T>
FASTLADDER_INLINE Lanes<T> where_positive(Lanes<T> test, Lanes<T> x, Lanes<T> y) {
  return test.v > Lanes<T>(T(0)).v ? x.v : y.v;
}

typedef int32_t Bits __attribute__((vector_size(64)));

FASTLADDER_INLINE Bits bits_of(Lanes<float> x) {
  Bits bits;
  std::memcpy(&bits, &x.v, sizeof(bits));
  return bits;
}
FASTLADDER_INLINE Lanes<float> floats_of(Bits bits) {
  Lanes<float> x;
  std::memcpy(&x.v, &bits, sizeof(bits));
  return x;
}

// 2^(scale x), the exponent kept within 63 so that a product of two of them does not overflow. 2^r for the fraction
// |r| <= 1/2 is its Taylor polynomial, within 1e-8; the integer is added to the bits of its exponent. NaN stays NaN,
// since it compares false.
FASTLADDER_INLINE Lanes<float> power_of_two(Lanes<float> x, float scale) {
  const Lanes<float> lowest(-63.0f), highest(63.0f), rounder(12582912.0f);  // 1.5 * 2^23: leaves the nearest integer
  Lanes<float> t = x * Lanes<float>(scale);
  t.v = lowest.v > t.v ? lowest.v : t.v;
  t.v = highest.v < t.v ? highest.v : t.v;
  const Lanes<float> shifted = t + rounder;
  const Lanes<float> r = t - (shifted - rounder);
  Lanes<float> p(1.5403530e-4f);
  for (float coefficient : {1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1.0f})
    p = p * r + Lanes<float>(coefficient);
  return floats_of(bits_of(p) + (bits_of(shifted) << 23));
}

constexpr float log2_e = 1.44269504f;

// e^x = 2^n e^r with |r| <= log(2) / 2, e^r by its Taylor polynomial, within 1e-8. 0 where float32 has no normal number
// so small, infinity above 88, and NaN stays NaN.
FASTLADDER_INLINE Lanes<float> exponential(Lanes<float> x) {
  const Lanes<float> lowest(-87.3f), highest(88.0f), rounder(12582912.0f + 127.0f);  // n + 127 is the exponent of 2^n
  const Lanes<float> shifted = x * Lanes<float>(log2_e) + rounder, n = shifted - rounder;
  const Lanes<float> r = x - n * Lanes<float>(0.693359375f) - n * Lanes<float>(-2.12194440e-4f);  // log(2) in two parts
  Lanes<float> p(1.0f / 5040);
  for (float coefficient : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f})
    p = p * r + Lanes<float>(coefficient);
  p = p * floats_of(bits_of(shifted) << 23);
  p = x.v < lowest.v ? Lanes<float>(0.0f).v : p.v;
  return x.v > highest.v ? Lanes<float>(INFINITY).v : p.v;
}

// log(x) = n log(2) + log(y) with y around 1, log(y) = 2 artanh(s), s = (y - 1) / (y + 1) by its Taylor polynomial.
// Numbers too small to be normal count as 0, infinity and NaN stay what they are, and one below 0 has no logarithm.
FASTLADDER_INLINE Lanes<float> logarithm(Lanes<float> x) {
  const Bits bits = bits_of(x), n = (bits - 0x3F3504F3) >> 23;  // the bits of sqrt(1/2), where y begins
  const Lanes<float> one(1.0f), y = floats_of(bits - (n << 23));
  const Lanes<float> s = (y - one) / (y + one), square = s * s;
  Lanes<float> p(2.0f / 9);
  for (float coefficient : {2.0f / 7, 2.0f / 5, 2.0f / 3, 2.0f}) p = p * square + Lanes<float>(coefficient);
  Lanes<float> log = Lanes<float>(__builtin_convertvector(n, Floats)) * Lanes<float>(0.693147181f) + s * p;
  log = x.v < Lanes<float>(1.17549435e-38f).v ? Lanes<float>(-INFINITY).v : log.v;
  log = x.v < Lanes<float>(0.0f).v ? Lanes<float>(NAN).v : log.v;
  return x.v < Lanes<float>(INFINITY).v ? log.v : x.v;
}

FASTLADDER_INLINE Lanes<float> sigmoid(Lanes<float> x) {
  return Lanes<float>(1.0f) / (Lanes<float>(1.0f) + power_of_two(x, -log2_e));
}

// (1 - e) / (1 + e) with e = exp(-2 x): within 1e-7 everywhere and exactly 1 where float32 has nothing below 1 left, so
// that the derivative 1 - tanh^2 vanishes where it should.
FASTLADDER_INLINE Lanes<float> tanh(Lanes<float> x) {
  const Lanes<float> one(1.0f), e = power_of_two(x, -2 * log2_e);
  return (one - e) / (one + e);
}

// One division instead of two.
FASTLADDER_INLINE Lanes<float> sigmoid_times_tanh(Lanes<float> x, Lanes<float> y) {
  const Lanes<float> one(1.0f), d = power_of_two(x, -log2_e), e = power_of_two(y, -2 * log2_e);
  return (one - e) / ((one + d) * (one + e));
}

// The compiler makes vector instructions of it, which are exact; NaN below 0.
template <class T>
FASTLADDER_INLINE Lanes<T> square_root(Lanes<T> x) {
  T numbers[Lanes<T>::count];
  std::memcpy(numbers, &x.v, sizeof(numbers));
  for (T& number : numbers) number = std::sqrt(number);
  std::memcpy(&x.v, numbers, sizeof(numbers));
  return x;
}

// 1 / sqrt(x) for x > 0, within 2e-7 of it: Newton's iteration, whose beginning halves and negates the exponent in the
// bits. 0 for infinity, and NaN stays NaN.
FASTLADDER_INLINE Lanes<float> inverse_root(Lanes<float> x) {
  const Lanes<float> half = Lanes<float>(0.5f) * x;
  Lanes<float> y = floats_of(0x5F3759DF - (bits_of(x) >> 1));
  for (int i = 0; i < 3; ++i) y = y * (Lanes<float>(1.5f) - half * y * y);
  return x.v == Lanes<float>(INFINITY).v ? Lanes<float>(0.0f).v : y.v;
}

// 1 - erf(x) for x >= 0, within 2e-7 of it, by a fit in t = 1 / (1 + x / 2) (Press et al., Numerical Recipes, 6.2).
FASTLADDER_INLINE Lanes<float> complementary_error_function(Lanes<float> x) {
  const Lanes<float> one(1.0f), t = one / (one + Lanes<float>(0.5f) * x);
  Lanes<float> p(0.17087277f);
  for (float coefficient :
       {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f, 0.09678418f, 0.37409196f, 1.00002368f,
        -1.26551223f})
    p = p * t + Lanes<float>(coefficient);
  return t * exponential(p - x * x);
}

// erf(x), within 2e-7, and near 0 within 2e-7 of itself by its Taylor polynomial.
FASTLADDER_INLINE Lanes<float> error_function(Lanes<float> x) {
  const Lanes<float> zero(0.0f), size = maximum(x, zero - x), square = x * x;
  const Lanes<float> far = Lanes<float>(1.0f) - complementary_error_function(size);
  Lanes<float> p(1.0f / 9360);
  for (float coefficient : {-1.0f / 1320, 1.0f / 216, -1.0f / 42, 0.1f, -1.0f / 3, 1.0f})
    p = p * square + Lanes<float>(coefficient);
  const Lanes<float> near = Lanes<float>(1.12837917f) * x * p;
  return where_positive(size - Lanes<float>(0.5f), where_positive(x, far, zero - far), near);
}

// float64 is for checking, so it is one lane at a time, and out of line to cost little code.
template <double (*function)(double)>
__attribute__((noinline)) void replace_each(double* x) {
  for (int i = 0; i < 8; ++i) x[i] = function(x[i]);
}

template <double (*function)(double)>
FASTLADDER_INLINE Lanes<double> each(Lanes<double> x) {
  double numbers[8];
  std::memcpy(numbers, &x.v, 64);
  replace_each<function>(numbers);
  std::memcpy(&x.v, numbers, 64);
  return x;
}

FASTLADDER_INLINE Lanes<double> sigmoid(Lanes<double> x) { return each<sigmoid>(x); }
FASTLADDER_INLINE Lanes<double> tanh(Lanes<double> x) { return each<tanh>(x); }
FASTLADDER_INLINE Lanes<double> exponential(Lanes<double> x) { return each<exponential>(x); }
FASTLADDER_INLINE Lanes<double> logarithm(Lanes<double> x) { return each<logarithm>(x); }
FASTLADDER_INLINE Lanes<double> inverse_root(Lanes<double> x) { return each<inverse_root>(x); }
FASTLADDER_INLINE Lanes<double> error_function(Lanes<double> x) { return each<error_function>(x); }
FASTLADDER_INLINE Lanes<double> complementary_error_function(Lanes<double> x) {
  return each<complementary_error_function>(x);
}

typedef uint16_t Narrow __attribute__((vector_size(32)));
typedef uint32_t Wide __attribute__((vector_size(64)));

template <class T>
FASTLADDER_INLINE Lanes<T> load(const T* source) {
  Lanes<T> lanes;
  std::memcpy(&lanes.v, source, 64);
  return lanes;
}

FASTLADDER_INLINE Lanes<float> load(const BFloat16* source) {
  Narrow narrow;
  std::memcpy(&narrow, source, 32);
  const Wide wide = __builtin_convertvector(narrow, Wide) << 16;
  Lanes<float> lanes;
  std::memcpy(&lanes.v, &wide, 64);
  return lanes;
}

template <class T>
FASTLADDER_INLINE void store(T* target, Lanes<T> lanes) {
  std::memcpy(target, &lanes.v, 64);
}

FASTLADDER_INLINE void store(BFloat16* target, Lanes<float> lanes) {
  Wide wide;
  std::memcpy(&wide, &lanes.v, 64);
  Wide rounded = (wide + 0x7FFF + ((wide >> 16) & 1)) >> 16;  // to nearest, ties to even
  rounded = lanes.v != lanes.v ? Wide{} + 0x7FC0 : rounded;
  const Narrow narrow = __builtin_convertvector(rounded, Narrow);
  std::memcpy(static_cast<void*>(target), &narrow, 32);
}

// Stores past the caches, to an address that is a multiple of 16 bytes. After its last such store a thread calls
// `drain`.
template <class T, class V>
FASTLADDER_INLINE void stream(T* target, Lanes<V> lanes) {
#ifdef __SSE2__
  T numbers[Lanes<V>::count];
  store(numbers, lanes);
  for (size_t byte = 0; byte < sizeof(numbers); byte += 16) {
    __m128i part;
    std::memcpy(&part, reinterpret_cast<const char*>(numbers) + byte, 16);
    _mm_stream_si128(reinterpret_cast<__m128i*>(reinterpret_cast<char*>(target) + byte), part);
  }
#else
  store(target, lanes);
#endif
}

inline void drain() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

// Lanes of 0, of 1 and of 0: a vector loaded across a border has the lanes on one side of it.
template <class T>
constexpr T lane_borders[48] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,
                                1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};

// The lanes from `first` on; those before it are 0.
template <class T>
FASTLADDER_INLINE Lanes<T> from_lane(Lanes<T> x, int64_t first) {
  return where_positive(load(lane_borders<T> + 16 - first), x, Lanes<T>(T(0)));
}

// The lanes before `end`; the others are 0.
template <class T>
FASTLADDER_INLINE Lanes<T> before_lane(Lanes<T> x, int64_t end) {
  return where_positive(load(lane_borders<T> + 32 - end), x, Lanes<T>(T(0)));
}

// The first `count` lanes; the others are 0.
template <class T>
FASTLADDER_INLINE Lanes<Compute<T>> load(const T* source, int64_t count) {
  T padded[Lanes<Compute<T>>::count];
  std::memset(static_cast<void*>(padded), 0, sizeof(padded));
  std::memcpy(static_cast<void*>(padded), source, count * sizeof(T));
  return load(padded);
}

template <class T>
FASTLADDER_INLINE void store(T* target, Lanes<Compute<T>> lanes, int64_t count) {
  T padded[Lanes<Compute<T>>::count];
  store(padded, lanes);
  std::memcpy(static_cast<void*>(target), padded, count * sizeof(T));
}

}  // namespace fastladder
