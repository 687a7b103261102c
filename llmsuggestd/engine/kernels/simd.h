// Operations on registers of 32-bit lanes, with the same names for both widths, and the product of
// bytes.
//
// Each instruction set's file defines these macros before it includes this:
//   SIMD    the attribute of functions that use the instruction set; the rest of the program is
//           compiled for any x86-64 processor
//   WIDTH   bits per register, 256 or 512
//   DPBUSD  the instruction that multiplies unsigned by signed bytes and adds four products to a
//           lane; undefined if the instruction set has none
#pragma once

#include <immintrin.h>

#include "kernels.h"

namespace llmsuggest {
namespace {

#if WIDTH == 512

constexpr int LANES = 16;
using Floats = __m512;
using Ints = __m512i;

SIMD inline Floats load(const float *p) { return _mm512_loadu_ps(p); }
SIMD inline void store(float *p, Floats x) { _mm512_storeu_ps(p, x); }
SIMD inline Floats all(float x) { return _mm512_set1_ps(x); }
SIMD inline Floats add(Floats x, Floats y) { return _mm512_add_ps(x, y); }
SIMD inline Floats subtract(Floats x, Floats y) { return _mm512_sub_ps(x, y); }
SIMD inline Floats times(Floats x, Floats y) { return _mm512_mul_ps(x, y); }
SIMD inline Floats times_plus(Floats x, Floats y, Floats z) { return _mm512_fmadd_ps(x, y, z); }
SIMD inline Floats minus_times(Floats z, Floats x, Floats y) { return _mm512_fnmadd_ps(x, y, z); }
SIMD inline Floats rounded(Floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT); }
SIMD inline Floats where_above(Floats x, float limit, Floats y) {  // 0 elsewhere
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, all(limit), _CMP_GT_OQ), y);
}

SIMD inline Ints load(const void *p) { return _mm512_loadu_si512(p); }
SIMD inline void store(void *p, Ints x) { _mm512_storeu_si512(p, x); }
SIMD inline Ints all_ints(int32_t x) { return _mm512_set1_epi32(x); }
SIMD inline Ints all_bytes(int8_t x) { return _mm512_set1_epi8(x); }
SIMD inline Ints all_longs(int64_t x) { return _mm512_set1_epi64(x); }
SIMD inline Ints add(Ints x, Ints y) { return _mm512_add_epi32(x, y); }
SIMD inline Ints subtract(Ints x, Ints y) { return _mm512_sub_epi32(x, y); }
SIMD inline Ints times(Ints x, Ints y) { return _mm512_mullo_epi32(x, y); }
SIMD inline Ints both(Ints x, Ints y) { return _mm512_and_si512(x, y); }
SIMD inline Ints either(Ints x, Ints y) { return _mm512_or_si512(x, y); }
SIMD inline Ints left(Ints x, int bits) { return _mm512_slli_epi32(x, bits); }
SIMD inline Ints right(Ints x, int bits) { return _mm512_srli_epi32(x, bits); }
SIMD inline Ints right_longs(Ints x, Ints bits) { return _mm512_srlv_epi64(x, bits); }
SIMD inline Ints low_ints(Ints x, Ints y) { return _mm512_unpacklo_epi32(x, y); }
SIMD inline Ints high_ints(Ints x, Ints y) { return _mm512_unpackhi_epi32(x, y); }
SIMD inline Ints low_longs(Ints x, Ints y) { return _mm512_unpacklo_epi64(x, y); }
SIMD inline Ints high_longs(Ints x, Ints y) { return _mm512_unpackhi_epi64(x, y); }

SIMD inline Floats to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
SIMD inline Ints to_ints(Floats x) { return _mm512_cvtps_epi32(x); }
SIMD inline Floats bits_to_floats(Ints x) { return _mm512_castsi512_ps(x); }
SIMD inline Ints bits_to_ints(Floats x) { return _mm512_castps_si512(x); }
SIMD inline Floats halves(const void *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
SIMD inline Ints signed_bytes(__m128i x) { return _mm512_cvtepi8_epi32(x); }
SIMD inline void store_bytes(int8_t *p, Ints x) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(x));
}

// Adds all lanes of x to 64-bit sums; and the total of such sums.
SIMD inline Ints add_to_longs(Ints longs, Ints x) {
    longs = _mm512_add_epi64(longs, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(x)));
    return _mm512_add_epi64(longs, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(x, 1)));
}
SIMD inline int64_t sum_of_longs(Ints longs) { return _mm512_reduce_add_epi64(longs); }

#else

constexpr int LANES = 8;
using Floats = __m256;
using Ints = __m256i;

SIMD inline Floats load(const float *p) { return _mm256_loadu_ps(p); }
SIMD inline void store(float *p, Floats x) { _mm256_storeu_ps(p, x); }
SIMD inline Floats all(float x) { return _mm256_set1_ps(x); }
SIMD inline Floats add(Floats x, Floats y) { return _mm256_add_ps(x, y); }
SIMD inline Floats subtract(Floats x, Floats y) { return _mm256_sub_ps(x, y); }
SIMD inline Floats times(Floats x, Floats y) { return _mm256_mul_ps(x, y); }
SIMD inline Floats times_plus(Floats x, Floats y, Floats z) { return _mm256_fmadd_ps(x, y, z); }
SIMD inline Floats minus_times(Floats z, Floats x, Floats y) { return _mm256_fnmadd_ps(x, y, z); }
SIMD inline Floats rounded(Floats x) {
    return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
SIMD inline Floats where_above(Floats x, float limit, Floats y) {  // 0 elsewhere
    return _mm256_and_ps(_mm256_cmp_ps(x, all(limit), _CMP_GT_OQ), y);
}

SIMD inline Ints load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
SIMD inline void store(void *p, Ints x) { _mm256_storeu_si256((__m256i *)p, x); }
SIMD inline Ints all_ints(int32_t x) { return _mm256_set1_epi32(x); }
SIMD inline Ints all_bytes(int8_t x) { return _mm256_set1_epi8(x); }
SIMD inline Ints all_longs(int64_t x) { return _mm256_set1_epi64x(x); }
SIMD inline Ints add(Ints x, Ints y) { return _mm256_add_epi32(x, y); }
SIMD inline Ints subtract(Ints x, Ints y) { return _mm256_sub_epi32(x, y); }
SIMD inline Ints times(Ints x, Ints y) { return _mm256_mullo_epi32(x, y); }
SIMD inline Ints both(Ints x, Ints y) { return _mm256_and_si256(x, y); }
SIMD inline Ints either(Ints x, Ints y) { return _mm256_or_si256(x, y); }
SIMD inline Ints left(Ints x, int bits) { return _mm256_slli_epi32(x, bits); }
SIMD inline Ints right(Ints x, int bits) { return _mm256_srli_epi32(x, bits); }
SIMD inline Ints right_longs(Ints x, Ints bits) { return _mm256_srlv_epi64(x, bits); }
SIMD inline Ints low_ints(Ints x, Ints y) { return _mm256_unpacklo_epi32(x, y); }
SIMD inline Ints high_ints(Ints x, Ints y) { return _mm256_unpackhi_epi32(x, y); }
SIMD inline Ints low_longs(Ints x, Ints y) { return _mm256_unpacklo_epi64(x, y); }
SIMD inline Ints high_longs(Ints x, Ints y) { return _mm256_unpackhi_epi64(x, y); }

SIMD inline Floats to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
SIMD inline Ints to_ints(Floats x) { return _mm256_cvtps_epi32(x); }
SIMD inline Floats bits_to_floats(Ints x) { return _mm256_castsi256_ps(x); }
SIMD inline Ints bits_to_ints(Floats x) { return _mm256_castps_si256(x); }
SIMD inline Floats halves(const void *p) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
SIMD inline Ints signed_bytes(__m128i x) { return _mm256_cvtepi8_epi32(x); }
SIMD inline void store_bytes(int8_t *p, Ints x) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(words, words));
}

// Adds all lanes of x to 64-bit sums; and the total of such sums.
SIMD inline Ints add_to_longs(Ints longs, Ints x) {
    longs = _mm256_add_epi64(longs, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(x)));
    return _mm256_add_epi64(longs, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(x, 1)));
}
SIMD inline int64_t sum_of_longs(Ints longs) {
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(longs), _mm256_extracti128_si256(longs, 1));
    return _mm_extract_epi64(two, 0) + _mm_extract_epi64(two, 1);
}

#endif

// The registers that 16 lanes take: one part, or two.
constexpr int PARTS = 16 / LANES;

using Eight = __m256;  // eight floats, for both widths

SIMD inline float from_half(uint16_t half) { return _cvtsh_ss(half); }

// Products of weights and activations are exact, since they are integers. Each 32-bit lane sums the
// products of unsigned bytes `w` (of at most 6 bits) and signed bytes (-127 to 127) over four
// vectors. The sum is then multiplied by the lane's `scale`, a signed byte. Each vector's signed
// bytes begin 64 bytes after those of the previous vector.
#ifdef DPBUSD

using Sums = Ints;  // one sum per lane
using Scales = Floats;
using Scaled = Floats;

SIMD inline Sums dot(Sums start, const Ints w[4], const int8_t *bytes) {
    for (int k = 0; k < 4; k++) start = DPBUSD(start, w[k], load(bytes + 64 * k));
    return start;
}
SIMD inline Ints lanes(Sums x) { return x; }
SIMD inline Sums minus_32_times(Sums x) { return subtract(all_ints(0), left(x, 5)); }
// The sums stay below 2^24, so floats hold them exactly.
SIMD inline Scaled scaled(Sums x, Scales scales) { return times(to_floats(x), scales); }
SIMD inline Scaled scaled_plus(Sums x, Scales scales, Scaled y) {
    return times_plus(to_floats(x), scales, y);
}
SIMD inline Scales scales_of(__m128i bytes, int part) {
    return to_floats(signed_bytes(part ? _mm_srli_si128(bytes, 8) : bytes));
}

#else

using Sums = Ints;  // two sums per lane, of 16 bits each
using Scales = Ints;
using Scaled = Ints;

// `maddubs` adds two products in 16 bits, and saturates. Two products of a 6-bit weight and a
// signed byte fit into 16 bits. With 5-bit weights, their sum over the four vectors fits too. With
// 6-bit weights, it starts from -32 times the signed bytes, so it is the sum for weights of -32 to
// 31, which fits. These additions wrap around, so intermediate overflows cancel out.
static_assert(2 * 63 * 128 < 1 << 15 && 4 * 2 * 31 * 127 < 1 << 15 && 4 * 2 * 32 * 127 < 1 << 15);

SIMD inline Sums dot(Sums start, const Ints w[4], const int8_t *bytes) {
    Ints pairs[4];
    for (int k = 0; k < 4; k++) pairs[k] = _mm256_maddubs_epi16(w[k], load(bytes + 64 * k));
    const Ints sum = _mm256_add_epi16(_mm256_add_epi16(pairs[0], pairs[1]),
                                      _mm256_add_epi16(pairs[2], pairs[3]));
    return _mm256_add_epi16(start, sum);
}
SIMD inline Ints lanes(Sums x) { return _mm256_madd_epi16(x, _mm256_set1_epi16(1)); }
SIMD inline Sums minus_32_times(Sums x) {
    return _mm256_sub_epi16(all_ints(0), _mm256_slli_epi16(x, 5));
}
SIMD inline Scaled scaled(Sums x, Scales scales) { return _mm256_madd_epi16(x, scales); }
SIMD inline Scaled scaled_plus(Sums x, Scales scales, Scaled y) {
    return add(y, scaled(x, scales));
}
SIMD inline Scales scales_of(__m128i bytes, int part) {
    return _mm256_cvtepi8_epi16(part ? _mm_unpackhi_epi8(bytes, bytes)
                                     : _mm_unpacklo_epi8(bytes, bytes));
}

#endif

// Adds the lanes that are 8 apart.
#if WIDTH == 512
SIMD inline Eight eight(Floats x) {
    return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
}
#else
SIMD inline Eight eight(Floats x) { return x; }
SIMD inline Eight eight(Ints x) { return to_floats(x); }
#endif

// The largest lane.
SIMD inline float largest_of(Eight x) {
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

// Prefetches memory to the cache of a level, 1 or 2.
template <int LEVEL>
inline void prefetch(const char *from, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) __builtin_prefetch(from + line, 0, 4 - LEVEL);
}

// The sum of each vector's lanes, for eight vectors at a distance of `stride`.
SIMD inline Eight sum_each(const Eight *v, int stride) {
    Eight a[4];
    for (int i = 0; i < 4; i++) {
        const Eight one = v[i * stride], other = v[(i + 4) * stride];
        a[i] = _mm256_add_ps(_mm256_permute2f128_ps(one, other, 0x20),
                             _mm256_permute2f128_ps(one, other, 0x31));
    }
    const Eight b = _mm256_add_ps(_mm256_unpacklo_ps(a[0], a[1]), _mm256_unpackhi_ps(a[0], a[1]));
    const Eight c = _mm256_add_ps(_mm256_unpacklo_ps(a[2], a[3]), _mm256_unpackhi_ps(a[2], a[3]));
    return _mm256_add_ps(_mm256_shuffle_ps(b, c, 0x44), _mm256_shuffle_ps(b, c, 0xee));
}

}  // namespace
}  // namespace llmsuggest
