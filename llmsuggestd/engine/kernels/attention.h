// Attention of a batch's tokens to the cells of the cache, which are float16.
//
// llama.cpp's own attention visits one cell after the other and computes one exponential at a time.
// With five candidates after a goal of 150 tokens, it takes a third of a step. Here a task is one
// head of one token: it computes the scores of all visible cells, 16 at a time, then their softmax,
// then the weighted sum of the values.
//
// A goal's cells lie in other places each time that it is decoded, and a sum of floats depends on
// their order. So the sums over cells are sums of integers: multiples of a power of two that
// depends only on the set of cells. A goal therefore gets the same answer whatever was asked
// before.
#pragma once

#include <cmath>
#include <limits>

#include "simd.h"

namespace llmsuggest {
namespace {

constexpr float INFINITE = std::numeric_limits<float>::infinity();

// e^x for x <= 0, with 0 for results below float32's range. The relative error is below 1e-6: a
// polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2].
SIMD inline Floats exponential(Floats x) {
    const Floats n = rounded(times(x, all(1.44269504f)));
    // ln 2 in two parts: n times the first part is exact
    const Floats r = minus_times(minus_times(x, n, all(0.693359375f)), n, all(-2.12194440e-4f));
    Floats y = all(1 / 720.f);
    for (const float factorial : {120.f, 24.f, 6.f, 2.f, 1.f, 1.f})
        y = times_plus(y, r, all(1 / factorial));
    const Floats power = bits_to_floats(left(add(to_ints(n), all_ints(127)), 23));  // 2^n
    return where_above(x, -87, times(y, power));
}

// The larger absolute value of each of 16 pairs of float16. `one` has no signs.
SIMD inline __m256i larger_halves(__m256i one, __m256i other) {
    return _mm256_max_epu16(one, _mm256_and_si256(other, _mm256_set1_epi16(0x7fff)));
}

SIMD inline float largest_of_halves(__m256i halves) {
    return largest_of(_mm256_max_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
                                    _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))));
}

struct Largest {
    float score, value;  // of the values, the largest absolute one
};

// Computes the scores of the visible cells for a query of D sixteens, and the largest value, whose
// loads cost less here than in a loop of their own. Minus infinity follows the last score.
template <int D>
SIMD Largest score(const Head &head, const Seen &seen, const Floats *query, float *scores) {
    Eight highest = _mm256_set1_ps(-INFINITE);
    __m256i most = _mm256_setzero_si256();
    for (int first = 0; first < seen.count; first += 16) {
        const int here = std::min(16, seen.count - first);
        Eight dots[16];
        for (auto &dot : dots) dot = _mm256_setzero_ps();
        for (int i = 0; i < here; i++) {
            const size_t cell = seen.cells[first + i];
            const uint16_t *key = (const uint16_t *)(head.keys + cell * head.key_stride);
            const __m256i *value = (const __m256i *)(head.values + cell * head.value_stride);
            Floats sum[PARTS];
            for (auto &part : sum) part = all(0.f);
            for (int d = 0; d < D * PARTS; d++)
                sum[d % PARTS] = times_plus(halves(key + LANES * d), query[d], sum[d % PARTS]);
            dots[i] = eight(sum[0]);
            if (PARTS == 2) dots[i] = _mm256_add_ps(dots[i], eight(sum[PARTS - 1]));
            for (int d = 0; d < D; d++) most = larger_halves(most, _mm256_loadu_si256(value + d));
        }
        for (int half = 0; half < 16; half += 8) {
            const __m128i added = _mm_loadu_si128((const __m128i *)&seen.added[first + half]);
            const Eight sums = _mm256_add_ps(sum_each(dots + half, 1), _mm256_cvtph_ps(added));
            highest = _mm256_max_ps(highest, sums);
            _mm256_storeu_ps(scores + first + half, sums);
        }
    }
    return {largest_of(highest), largest_of_halves(most)};
}

// Turns scores into weights, the highest of which is 1. Returns their sum.
SIMD inline float weigh(float *scores, int count, float highest) {
    const float whole = 1 << 30;  // a weight of 1 as an integer
    Ints total = all_ints(0);
    for (int first = 0; first < count; first += LANES) {
        const Floats weight = exponential(subtract(load(scores + first), all(highest)));
        total = add_to_longs(total, to_ints(times(weight, all(whole))));
        store(scores + first, weight);
    }
    return float(double(sum_of_longs(total)) / whole);
}

// The largest power of two that is at most x; 0 for 0.
inline float power_of_two(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    bits &= 0x7f800000;  // the exponent alone
    std::memcpy(&x, &bits, sizeof bits);
    return x;
}

// The weighted mean of the visible values. `total` is the sum of the weights, and `out` has D
// sixteens. `most` is a bound of each product of a value and its weight, and 2^8 * `most` one of
// the sum of all products' absolute values.
//
// Let p be the largest power of two up to `most`. A product is below 2p, so 6p plus the product is
// a float between 4p and 8p, whose last bit is worth p / 2^21. The float's bits, read as an
// integer, thus count the product in units of p / 2^21. Their sum stays below 2^31.
//
// One call handles as many registers of `out` as fit into the processor's, from FIRST on.
template <int D, int FIRST = 0>
SIMD void average(const Head &head, const Seen &seen, const float *weights, float most, float total,
                  float *out) {
    constexpr int ROOM = LANES == 16 ? 24 : 12, TILES = (D * PARTS + ROOM - 1) / ROOM;
    constexpr int COUNT = std::min((D * PARTS + TILES - 1) / TILES, D * PARTS - FIRST);
    const float power = power_of_two(most);
    const Floats six = all(6 * power);
    Ints sum[COUNT];
    for (int d = 0; d < COUNT; d++) sum[d] = all_ints(0);
    for (int i = 0; i < seen.count; i++) {
        const uint16_t *value =
            (const uint16_t *)(head.values + seen.cells[i] * head.value_stride) + LANES * FIRST;
        const Floats weight = all(weights[i]);
        for (int d = 0; d < COUNT; d++)
            sum[d] = add(sum[d], bits_to_ints(times_plus(halves(value + LANES * d), weight, six)));
    }
    const float unit = total > 0 ? power * 0x1p-21f / total : 0;
    const Ints sixes = times(bits_to_ints(six), all_ints(seen.count));
    for (int d = 0; d < COUNT; d++)
        store(out + LANES * (FIRST + d), times(to_floats(subtract(sum[d], sixes)), all(unit)));
    if constexpr (FIRST + COUNT < D * PARTS)
        average<D, FIRST + COUNT>(head, seen, weights, most, total, out);
}

// `query` and `out` have D sixteens.
template <int D>
SIMD void attend(const Head &head, const Seen &seen, const float *query, float scale, float *scores,
                 float *out) {
    Floats q[D * PARTS];
    for (int d = 0; d < D * PARTS; d++) q[d] = times(load(query + LANES * d), all(scale));
    const Largest most = score<D>(head, seen, q, scores);
    const float total = weigh(scores, seen.count, most.score);
    average<D>(head, seen, scores, most.value * std::max(1.f, total * 0x1p-8f), total, out);
}

}  // namespace
}  // namespace llmsuggest
