// Attention of the tokens of a batch to the cells of the cache, which are float16.
//
// llama.cpp's own goes from cell to cell and computes one exponential at a time; with five
// candidates after a goal of 150 tokens it takes a third of a step. Here one head of one token is a
// task: the scores of all cells that the token sees, 16 at a time; their softmax; and the sum of
// the values.
//
// Each time that a goal is decoded its cells lie elsewhere, and floats that are added in another
// order are rounded otherwise. So what is added up over cells are integers, multiples of a power of
// two that depends on the set of cells alone: a goal gets the same answer whatever was asked
// before.
#pragma once

#include <cmath>
#include <limits>

#include "simd.h"

namespace llmsuggest {
namespace {

constexpr float INFINITE = std::numeric_limits<float>::infinity();

// e^x of x at most 0; what float32 cannot hold is 0. Relative error below 1e-6 (a polynomial of
// degree 6 around 0, on half of ln 2 to either side).
SIMD inline Floats exponential(Floats x) {
    const Floats n = rounded(times(x, all(1.44269504f)));
    // ln 2 in two parts, the first of which times n is exact
    const Floats r = minus_times(minus_times(x, n, all(0.693359375f)), n, all(-2.12194440e-4f));
    Floats y = all(1 / 720.f);
    for (const float factorial : {120.f, 24.f, 6.f, 2.f, 1.f, 1.f})
        y = times_plus(y, r, all(1 / factorial));
    const Floats power = bits_to_floats(left(add(to_ints(n), all_ints(127)), 23));  // 2^n
    return where_above(x, -87, times(y, power));
}

// The larger of 16 pairs of float16, of which the signs are left out.
SIMD inline __m256i larger_halves(__m256i one, __m256i other) {
    return _mm256_max_epu16(one, _mm256_and_si256(other, _mm256_set1_epi16(0x7fff)));
}

SIMD inline float largest_of_halves(__m256i halves) {
    return largest_of(_mm256_max_ps(_mm256_cvtph_ps(_mm256_castsi256_si128(halves)),
                                    _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1))));
}

struct Largest {
    float score, value;  // the value without its sign
};

// Scores of the cells that are seen, for a query of D sixteens. Looks at the values too: their
// loads cost less here than by themselves. Behind the last score there is minus infinity.
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

// Turns scores into weights, of which the highest is 1; returns their sum.
SIMD inline float weigh(float *scores, int count, float highest) {
    const float whole = 1 << 30;  // parts of a weight of 1
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

// The mean of the values that are seen, by their weights, of which `total` is the sum; `out` has D
// sixteens. No product of a value and its weight is more than `most`, nor are all together more
// than 2^8 times that.
//
// A product is less than twice the power of two just below `most`. Added to six times that power,
// it makes a float between four and eight times the power, whose last bit is worth a 2^21st of the
// power: the bits of the float, taken as an integer, count these. Their sum stays below 2^31.
//
// Registers from FIRST on, as many as there are besides those that a sum needs.
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
