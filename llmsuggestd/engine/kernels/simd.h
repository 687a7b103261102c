// What the kernels' files share: AVX-512 in functions that a program for any x86-64 may contain.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,f16c,popcnt")))

namespace llmsuggest {

// The sum over each of 16 vectors that stand `stride` apart.
AVX512 inline __m512 sum_each(const __m512 *v, int stride) {
    __m512 a[16];
    for (int i = 0; i < 16; i++) a[i] = v[i * stride];
    // add halves, then quarters: a[0..3] then have lanes of 128 bits of vectors i, i+8, i+4, i+12
    for (int i = 0; i < 8; i++)
        a[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a[i], a[i + 8], 0x44), _mm512_shuffle_f32x4(a[i], a[i + 8], 0xee));
    for (int i = 0; i < 4; i++)
        a[i] = _mm512_add_ps(_mm512_shuffle_f32x4(a[i], a[i + 4], 0x88), _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd));
    const __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(a[0], a[1]), _mm512_unpackhi_ps(a[0], a[1]));
    const __m512 c = _mm512_add_ps(_mm512_unpacklo_ps(a[2], a[3]), _mm512_unpackhi_ps(a[2], a[3]));
    const __m512 d = _mm512_add_ps(_mm512_shuffle_ps(b, c, 0x44), _mm512_shuffle_ps(b, c, 0xee));
    return _mm512_shuffle_f32x4(d, d, 0xd8);
}

}  // namespace llmsuggest
