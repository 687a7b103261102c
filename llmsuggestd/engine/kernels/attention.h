// Attention of the tokens of a batch to the cells of the cache, which are float16.
//
// llama.cpp's own goes from cell to cell and computes one exponential at a time; with five candidates
// after a goal of 150 tokens it takes a third of a step. Here one head of one token is a task: all
// scores, 16 cells at a time; their softmax; and the sum of the values.
#pragma once

#include <cmath>
#include <limits>

#include "simd.h"

namespace llmsuggest {

// One head. Strides are in bytes; `dimensions` of a key and of a value are contiguous.
struct Head {
    const char *keys, *values;
    size_t key_stride, value_stride;
    int cells;
};

// e^x of x at most 0; what float32 cannot hold is 0. Relative error below 1e-6 (a polynomial of
// degree 6 around 0, on half of ln 2 to either side).
AVX512 inline __m512 exponential(__m512 x) {
    const __mmask16 holds = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87), _CMP_GT_OQ);
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT);
    // ln 2 in two parts, the first of which times n is exact
    const __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f),
                                      _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x));
    __m512 y = _mm512_set1_ps(1 / 720.f);
    for (const float factorial : {120.f, 24.f, 6.f, 2.f, 1.f, 1.f})
        y = _mm512_fmadd_ps(y, r, _mm512_set1_ps(1 / factorial));
    return _mm512_maskz_scalef_ps(holds, y, n);
}

// `D` vectors of 16 dimensions. `query` and `out` have shape (16 * D,); `mask` (cells,) is float16 and
// is added to the scores; `scores` is room for the cells, rounded up to 16.
template <int D>
AVX512 void attend(const Head &head, const float *query, const uint16_t *mask, float scale, float *scores, float *out) {
    __m512 q[D];
    for (int d = 0; d < D; d++) q[d] = _mm512_mul_ps(_mm512_loadu_ps(query + 16 * d), _mm512_set1_ps(scale));
    const __m512 never = _mm512_set1_ps(-std::numeric_limits<float>::infinity());

    __m512 most = never;
    for (int cell = 0; cell < head.cells; cell += 16) {
        const int count = std::min(16, head.cells - cell);
        const __mmask16 here = __mmask16((1u << count) - 1);
        const __m512 added = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(here, mask + cell));
        const __mmask16 seen = _mm512_mask_cmp_ps_mask(here, added, never, _CMP_NEQ_OQ);
        __m512 score = never;
        if (seen) {  // most cells of a batch of candidates are other candidates', or free
            __m512 dot[16];
            for (int i = 0; i < 16; i++) dot[i] = _mm512_setzero_ps();
            for (int i = 0; i < count; i++) {
                const char *key = head.keys + (cell + i) * head.key_stride;
                for (int d = 0; d < D; d++)
                    dot[i] = _mm512_fmadd_ps(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)key + d)), q[d], dot[i]);
            }
            score = _mm512_mask_add_ps(never, seen, sum_each(dot, 1), added);
        }
        most = _mm512_max_ps(most, score);
        _mm512_storeu_ps(scores + cell, score);
    }
    const __m512 largest = _mm512_set1_ps(_mm512_reduce_max_ps(most));

    __m512 total = _mm512_setzero_ps(), sum[D];
    for (int d = 0; d < D; d++) sum[d] = _mm512_setzero_ps();
    for (int cell = 0; cell < head.cells; cell += 16) {
        const __m512 score = _mm512_loadu_ps(scores + cell);
        if (!_mm512_cmp_ps_mask(score, never, _CMP_NEQ_OQ)) continue;
        const __m512 weight = exponential(_mm512_sub_ps(score, largest));
        total = _mm512_add_ps(total, weight);
        alignas(64) float weights[16];
        _mm512_store_ps(weights, weight);
        for (int i = 0; i < std::min(16, head.cells - cell); i++) {
            const char *value = head.values + (cell + i) * head.value_stride;
            for (int d = 0; d < D; d++)
                sum[d] = _mm512_fmadd_ps(_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)value + d)),
                                         _mm512_set1_ps(weights[i]), sum[d]);
        }
    }
    const float all = _mm512_reduce_add_ps(total);
    const __m512 share = _mm512_set1_ps(all > 0 ? 1 / all : 0);
    for (int d = 0; d < D; d++) _mm512_storeu_ps(out + 16 * d, _mm512_mul_ps(sum[d], share));
}

}  // namespace llmsuggest
