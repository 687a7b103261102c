// Attention of the tokens of a batch to the cells of the cache, which are float16.
//
// llama.cpp's own goes from cell to cell and computes one exponential at a time; with five candidates
// after a goal of 150 tokens it takes a third of a step. Here one head of one token is a task: the
// scores of all cells that the token sees, 16 at a time; their softmax; and the sum of the values.
//
// Each time that a goal is decoded its cells lie elsewhere, and floats that are added in another order
// are rounded otherwise. So what is added up over cells are integers, multiples of a power of two that
// depends on the set of cells alone: a goal gets the same answer whatever was asked before.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "simd.h"

namespace llmsuggest {

// One head of the cache. Strides are in bytes; the dimensions of a key and of a value are contiguous.
struct Head {
    const char *keys, *values;
    size_t key_stride, value_stride;
};

// The cells that a token sees, and what its mask adds to their scores. There is room for 16 more.
struct Seen {
    int count = 0;
    std::vector<int32_t> cells;
    std::vector<float> added;
};

AVX512 inline __m512 minus_infinity() { return _mm512_set1_ps(-std::numeric_limits<float>::infinity()); }

// Lists the cells whose mask, float16 of shape (cells,), is not minus infinity. Most cells of a batch of
// candidates are other candidates', or free.
AVX512 inline void look(const uint16_t *mask, int cells, Seen &seen) {
    if (seen.cells.size() < size_t(cells) + 16) {
        seen.cells.resize(cells + 16);
        seen.added.resize(cells + 16);
    }
    int count = 0;
    __m512i numbers = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int cell = 0; cell < cells; cell += 16, numbers = _mm512_add_epi32(numbers, _mm512_set1_epi32(16))) {
        const __mmask16 here = __mmask16((1u << std::min(16, cells - cell)) - 1);
        const __m512 added = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(here, mask + cell));
        const __mmask16 sees = _mm512_mask_cmp_ps_mask(here, added, minus_infinity(), _CMP_NEQ_OQ);
        _mm512_storeu_si512(&seen.cells[count], _mm512_maskz_compress_epi32(sees, numbers));
        _mm512_storeu_ps(&seen.added[count], _mm512_maskz_compress_ps(sees, added));
        count += __builtin_popcount(sees);
    }
    seen.count = count;
}

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

// The larger of 32 pairs of float16, of which the signs are left out.
AVX512 inline __m512i larger(__m512i one, __m512i other) {
    return _mm512_max_epu16(one, _mm512_and_si512(other, _mm512_set1_epi16(0x7fff)));
}

AVX512 inline float largest(__m512i halves) {
    return _mm512_reduce_max_ps(_mm512_max_ps(_mm512_cvtph_ps(_mm512_castsi512_si256(halves)),
                                              _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1))));
}

struct Largest {
    float score, value;  // the value without its sign
};

// Scores of the cells that are seen, for a query of D vectors. Looks at the values too: their loads cost
// less here than by themselves. Behind the last score there is minus infinity.
template <int D>
AVX512 Largest score(const Head &head, const Seen &seen, const __m512 *query, float *scores) {
    __m512 highest = minus_infinity();
    __m512i even = _mm512_setzero_si512(), odd = even;
    for (int first = 0; first < seen.count; first += 16) {
        const int here = std::min(16, seen.count - first);
        __m512 dot[16];
        for (int i = 0; i < 16; i++) dot[i] = _mm512_setzero_ps();
        for (int i = 0; i < here; i++) {
            const size_t cell = seen.cells[first + i];
            const __m256i *key = (const __m256i *)(head.keys + cell * head.key_stride);
            const __m256i *value = (const __m256i *)(head.values + cell * head.value_stride);
            for (int d = 0; d < D; d++)
                dot[i] = _mm512_fmadd_ps(_mm512_cvtph_ps(_mm256_loadu_si256(key + d)), query[d], dot[i]);
            for (int d = 0; d + 1 < D; d += 2) even = larger(even, _mm512_loadu_si512(value + d));
            if (D % 2) odd = larger(odd, _mm512_zextsi256_si512(_mm256_loadu_si256(value + D - 1)));
        }
        const __m512 all = _mm512_mask_add_ps(minus_infinity(), __mmask16((1u << here) - 1), sum_each(dot, 1),
                                              _mm512_loadu_ps(&seen.added[first]));
        highest = _mm512_max_ps(highest, all);
        _mm512_storeu_ps(scores + first, all);
    }
    return {_mm512_reduce_max_ps(highest), largest(_mm512_max_epu16(even, odd))};
}

// Turns scores into weights, of which the highest is 1; returns their sum.
AVX512 inline float weigh(float *scores, int count, float highest) {
    const float whole = 1 << 30;  // parts of a weight of 1
    __m512i total = _mm512_setzero_si512();
    for (int first = 0; first < count; first += 16) {
        const __m512 weight = exponential(_mm512_sub_ps(_mm512_loadu_ps(scores + first), _mm512_set1_ps(highest)));
        const __m512i parts = _mm512_cvtps_epi32(_mm512_mul_ps(weight, _mm512_set1_ps(whole)));
        total = _mm512_add_epi64(total, _mm512_cvtepi32_epi64(_mm512_castsi512_si256(parts)));
        total = _mm512_add_epi64(total, _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(parts, 1)));
        _mm512_storeu_ps(scores + first, weight);
    }
    return float(double(_mm512_reduce_add_epi64(total)) / whole);
}

// The largest power of two that is at most x; 0 for 0.
inline float power_of_two(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits &= 0x7f800000;  // the exponent alone
    std::memcpy(&x, &bits, sizeof bits);
    return x;
}

// The mean of the values that are seen, by their weights, of which `total` is the sum; `out` has D
// vectors. No product of a value and its weight is more than `most`, nor are all together more than 2^8
// times that.
//
// A product is less than twice the power of two just below `most`. Added to six times that power, it
// makes a float between four and eight times the power, whose last bit is worth a 2^21st of the power:
// the bits of the float, taken as an integer, count these. Their sum stays below 2^31.
template <int D>
AVX512 void average(const Head &head, const Seen &seen, const float *weights, float most, float total, float *out) {
    const float power = power_of_two(most);
    const __m512 six = _mm512_set1_ps(6 * power);
    __m512i sum[D];
    for (int d = 0; d < D; d++) sum[d] = _mm512_setzero_si512();
    for (int i = 0; i < seen.count; i++) {
        const __m256i *value = (const __m256i *)(head.values + seen.cells[i] * head.value_stride);
        const __m512 weight = _mm512_set1_ps(weights[i]);
        for (int d = 0; d < D; d++) {
            const __m512 counted = _mm512_fmadd_ps(_mm512_cvtph_ps(_mm256_loadu_si256(value + d)), weight, six);
            sum[d] = _mm512_add_epi32(sum[d], _mm512_castps_si512(counted));
        }
    }
    const float unit = total > 0 ? power * 0x1p-21f / total : 0;
    const __m512i sixes = _mm512_mullo_epi32(_mm512_castps_si512(six), _mm512_set1_epi32(seen.count));
    for (int d = 0; d < D; d++)
        _mm512_storeu_ps(out + 16 * d, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(sum[d], sixes)),
                                                     _mm512_set1_ps(unit)));
}

// D vectors of 16 dimensions: `query` and `out` have shape (16 * D,). `scores` is room for as many as are
// seen, and 16 more.
template <int D>
AVX512 void attend(const Head &head, const Seen &seen, const float *query, float scale, float *scores, float *out) {
    __m512 q[D];
    for (int d = 0; d < D; d++) q[d] = _mm512_mul_ps(_mm512_loadu_ps(query + 16 * d), _mm512_set1_ps(scale));
    const Largest most = score<D>(head, seen, q, scores);
    const float total = weigh(scores, seen.count, most.score);
    average<D>(head, seen, scores, most.value * std::max(1.f, total * 0x1p-8f), total, out);
}

}  // namespace llmsuggest
