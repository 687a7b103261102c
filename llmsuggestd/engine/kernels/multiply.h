// Quantised weights times activations. Nearly all of a decode's time is spent here.
//
// llama.cpp's own kernels are made for one token (a chat) and for hundreds (a prompt). A beam
// search decodes five tokens together. llama.cpp then takes 1.7 to 2.3 times as long as for one,
// although a step reads the same weights. With these kernels, one token is limited by reading the
// weights, and five by arithmetic (docs/benchmarks.md).
//
// The weights are used as the file has them, mapped and not repacked. A block is 256 weights of a
// row. Each weight is `d * scale * w - min`, where scale and min are shared by a group of 32 (Q4_K,
// Q5_K) or 16 (Q6_K). The activations are rounded to 8 bits in blocks of 256, as ggml does. A block
// of weights is unpacked to four vectors of 64 bytes. Each 32-bit lane has bytes of one group only,
// the same group in all four vectors. So four multiply-adds of bytes leave one sum per lane, which
// is scaled once. The activations are put in the same order beforehand. A register of 32 bytes
// holds the lower or the upper eight lanes of a vector: the two parts of a block are processed one
// after the other.
#pragma once

#include "simd.h"

namespace llmsuggest {
namespace {

// Blocks of activations, of 320 bytes each, that fit into the first-level cache beside weights.
constexpr int CACHED_BLOCKS = 80;

// The weights of one part of a block.
struct Unpacked {
    Ints w[4];  // unsigned bytes
    Scales scales;
};

// Unpacks the scales and mins of 8 groups, 6 bits each in 12 bytes, to 8 bytes each.
SIMD inline __m128i scales_and_mins(const uint8_t *packed) {
    const __m128i x = _mm_loadu_si128((const __m128i *)packed);
    // the first eight bytes hold groups 0 to 3, and two bits each of groups 4 to 7
    const __m128i first = _mm_and_si128(x, _mm_set1_epi8(0x3f));
    const __m128i high = _mm_and_si128(_mm_srli_epi32(x, 2), _mm_set1_epi8(0x30));
    const __m128i low =
        _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(x, 0x0a), _mm_setr_epi32(0, 4, 0, 0)),
                      _mm_set1_epi8(0x0f));
    return _mm_unpacklo_epi32(first, _mm_or_si128(low, high));
}

// Unpacks four bits per weight. A byte has a weight of group 2i and one of group 2i + 1. Vector k
// gets weights 8k to 8k + 7 of groups 0, 2, 4, 6, then of 1, 3, 5, 7.
SIMD inline void unpack_nibbles(const uint8_t *qs, [[maybe_unused]] int part, Ints w[4]) {
#if WIDTH == 512
    const Ints front = load(qs), back = load(qs + 64);
    const Ints shift = _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4);
    for (int k = 0; k < 4; k++) {
        const Ints order = _mm512_setr_epi64(k, k + 4, k + 8, k + 12, k, k + 4, k + 8, k + 12);
        w[k] =
            both(right_longs(_mm512_permutex2var_epi64(front, order, back), shift), all_bytes(15));
    }
#else
    const auto two = [&](int first) SIMD {  // 16 bytes from `first` on, and 16 from 64 later
        return _mm256_inserti128_si256(
            _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(qs + first))),
            _mm_loadu_si128((const __m128i *)(qs + first + 64)), 1);
    };
    for (int k = 0; k < 4; k += 2) {
        const Ints even = two(8 * k), odd = two(8 * k + 32);
        const Ints low = low_longs(even, odd), high = high_longs(even, odd);
        w[k] = both(part ? right(low, 4) : low, all_bytes(15));
        w[k + 1] = both(part ? right(high, 4) : high, all_bytes(15));
    }
#endif
}

// The group of each 64-bit lane of a vector; and the first of the four consecutive weights of a
// 32-bit lane.
alignas(64) constexpr int64_t GROUPS[] = {0, 2, 4, 6, 1, 3, 5, 7};
constexpr int eights_weight(int vector, int lane) {
    return 32 * int(GROUPS[lane / 2]) + 8 * vector + 4 * (lane % 2);
}

// The common part of Q4_K and Q5_K: scales and mins.
template <class Block>
struct WithMins {
    // The mins times the sums of the groups' activations are subtracted from a token's total.
    struct Mins {
        Eight min;
        SIMD Mins(const Block &block) {
            const __m128i bytes = _mm_srli_si128(scales_and_mins(block.scales), 8);
            min = _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                                _mm256_set1_ps(from_half(block.dmin)));
        }
        SIMD Eight taken_off(Eight sum, const Activations &y) const {
            return _mm256_fnmadd_ps(min, _mm256_load_ps((const float *)y.more), sum);
        }
    };

    static SIMD inline Scales scales(const Block &block, int part) {
        const __m128i lanes = _mm_setr_epi8(0, 0, 2, 2, 4, 4, 6, 6, 1, 1, 3, 3, 5, 5, 7, 7);
        return scales_of(_mm_shuffle_epi8(scales_and_mins(block.scales), lanes), part);
    }

    static SIMD inline Sums start(const Activations &, int) { return all_ints(0); }

    static SIMD inline void add_more(Activations &y, float scale) {
        const Ints ones[4] = {all_bytes(1), all_bytes(1), all_bytes(1), all_bytes(1)};
        alignas(64) int32_t sums[16];
        for (int part = 0; part < PARTS; part++)
            store(sums + LANES * part, lanes(dot(all_ints(0), ones, y.q[0] + 4 * LANES * part)));
        float groups[8];
        for (int i = 0; i < 8; i++)
            groups[GROUPS[i]] = float(sums[2 * i] + sums[2 * i + 1]) * scale;
        std::memcpy(y.more, groups, sizeof groups);
    }

    // The first of the four consecutive weights in a lane of a vector.
    static constexpr int weight(int vector, int lane) { return eights_weight(vector, lane); }
};

struct Q4K : WithMins<Q4KBlock> {
    using Block = Q4KBlock;

    static SIMD inline Unpacked unpack(const Block &block, int part) {
        Unpacked out;
        unpack_nibbles(block.qs, part, out.w);
        out.scales = scales(block, part);
        return out;
    }
};

struct Q5K : WithMins<Q5KBlock> {
    using Block = Q5KBlock;

    static SIMD inline Unpacked unpack(const Block &block, int part) {
        Unpacked out;
        unpack_nibbles(block.qs, part, out.w);
        const Ints group = load(GROUPS + LANES / 2 * part);
        for (int k = 0; k < 4; k++) {
            int64_t bits;
            std::memcpy(&bits, block.qh + 8 * k, sizeof bits);
            const Ints fifth = both(right_longs(all_longs(bits), group), all_bytes(1));
            out.w[k] = either(out.w[k], left(fifth, 4));
        }
        out.scales = scales(block, part);
        return out;
    }
};

struct Q6K {
    using Block = Q6KBlock;

    static SIMD inline Unpacked unpack(const Block &block, int part) {
        const Ints low4 = all_bytes(0x0f), bits45 = all_bytes(0x30);
        Ints w[4];  // each has the part's lanes of 64 consecutive weights, which are four groups
        for (int half = 0; half < 2; half++) {
            const Ints ql = load(block.ql + 64 * half + 32 * part);
#if WIDTH == 512
            const Ints qh =
                _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(block.qh + 32 * half)));
            const Ints first = _mm512_sllv_epi64(qh, _mm512_setr_epi64(4, 4, 4, 4, 2, 2, 2, 2));
            const Ints second = right_longs(qh, _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2));
#else
            const Ints qh = load(block.qh + 32 * half);
            const Ints first = left(qh, part ? 2 : 4), second = part ? right(qh, 2) : qh;
#endif
            w[2 * half] = either(both(ql, low4), both(first, bits45));
            w[2 * half + 1] = either(both(right(ql, 4), low4), both(second, bits45));
        }
        // a group has 16 bytes, four lanes: its k-th lane goes to vector k
        const Ints a = low_ints(w[0], w[1]), b = high_ints(w[0], w[1]);
        const Ints c = low_ints(w[2], w[3]), d = high_ints(w[2], w[3]);
        const __m128i lanes = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const __m128i scales =
            _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)block.scales), lanes);
        return {{low_longs(a, c), high_longs(a, c), low_longs(b, d), high_longs(b, d)},
                scales_of(scales, part)};
    }

    // The weights -32 to 31 are unpacked to unsigned bytes 0 to 63. So each sum starts from -32
    // times the sum of the activations.
    struct Mins {
        SIMD Mins(const Block &) {}
        SIMD Eight taken_off(Eight sum, const Activations &) const { return sum; }
    };

    static SIMD inline Sums start(const Activations &y, int part) {
        return load(y.more + 4 * LANES * part);
    }

    static SIMD inline void add_more(Activations &y, float) {
        const Ints ones[4] = {all_bytes(1), all_bytes(1), all_bytes(1), all_bytes(1)};
        for (int part = 0; part < PARTS; part++)
            store(y.more + 4 * LANES * part,
                  minus_32_times(dot(all_ints(0), ones, y.q[0] + 4 * LANES * part)));
    }

    static constexpr int weight(int vector, int lane) {
        return 16 * (4 * (lane % 4) + lane / 4) + 4 * vector;
    }
};

// Rounds the activations of one token and puts them in a weight type's order. `x` has shape
// (blocks * 256,). The results are every `stride`-th element of `y` and `scales`.
template <class Format>
SIMD void quantize(const float *x, Activations *y, float *scales, int stride, int blocks) {
    for (int b = 0; b < blocks; b++, x += BLOCK, y += stride, scales += stride) {
        Eight most = _mm256_setzero_ps();
        for (int i = 0; i < BLOCK; i += 8)
            most =
                _mm256_max_ps(most, _mm256_andnot_ps(_mm256_set1_ps(-0.f), _mm256_loadu_ps(x + i)));
        const float high = largest_of(most);
        const Floats up = all(high > 0 ? 127.f / high : 0.f);
        alignas(64) int8_t q[BLOCK];
        for (int i = 0; i < BLOCK; i += LANES) store_bytes(q + i, to_ints(times(load(x + i), up)));
        *scales = high / 127.f;
        for (int k = 0; k < 4; k++)
            for (int lane = 0; lane < 16; lane++)
                std::memcpy(&y->q[k][4 * lane], q + Format::weight(k, lane), 4);
        Format::add_more(*y, *scales);
    }
}

// Computes the scaled products of a token and one part of a block. The second part's are added to
// the first part's.
template <class Format, int PART>
SIMD inline void multiply_part(const Unpacked &weights, const Activations &y, Scaled &products) {
    const Sums sums = dot(Format::start(y, PART), weights.w, y.q[0] + 4 * LANES * PART);
    products = PART ? scaled_plus(sums, weights.scales, products) : scaled(sums, weights.scales);
}

// Multiplies the scales of N tokens by a block's `d`. They are read eight at a time.
template <int N>
SIMD inline void multiply_scales(float d, const float *scales, int columns, float (&out)[N]) {
    for (int c = 0; c < columns; c += 8)
        _mm256_storeu_ps(out + c, _mm256_mul_ps(_mm256_set1_ps(d), _mm256_loadu_ps(scales + c)));
}

// Adds the scaled products of a block and a token to the token's total.
template <class Format>
SIMD inline Eight add_block(Eight total, Scaled products, const typename Format::Mins &mins,
                            const Activations &y, float scale) {
    return _mm256_fmadd_ps(eight(products), _mm256_set1_ps(scale), mins.taken_off(total, y));
}

// Multiplies blocks `from` to `to` of one row by N tokens, and adds the products to `totals`, shape
// (N,). `y` and `scales` have shape (blocks, N). There are not enough registers for both parts of a
// block, so one part is unpacked and multiplied after the other. For each block, as many bytes are
// prefetched from `ahead` on, into the cache of this level.
template <class Format, int N>
SIMD void multiply_row(const typename Format::Block *row, const char *ahead, int level, int from,
                       int to, const Activations *y, const float *scales, Eight *totals) {
    Eight total[N];
    for (int c = 0; c < N; c++) total[c] = totals[c];
    for (int b = from; b < to; b++) {
        const char *p = ahead + (b - from) * sizeof row[b];
        level == 1 ? prefetch<1>(p, sizeof row[b]) : prefetch<2>(p, sizeof row[b]);
        Scaled products[N];
        const Unpacked first = Format::unpack(row[b], 0);
        for (int c = 0; c < N; c++) multiply_part<Format, 0>(first, y[b * N + c], products[c]);
        if constexpr (PARTS == 2) {
            const Unpacked second = Format::unpack(row[b], 1);
            for (int c = 0; c < N; c++) multiply_part<Format, 1>(second, y[b * N + c], products[c]);
        }
        const typename Format::Mins mins(row[b]);
        const float d = from_half(row[b].d);
        for (int c = 0; c < N; c++)
            total[c] =
                add_block<Format>(total[c], products[c], mins, y[b * N + c], d * scales[b * N + c]);
    }
    for (int c = 0; c < N; c++) totals[c] = total[c];
}

// Stores the lanes' sum of each element of `totals`, which has shape (ROWS, columns) and `width`
// elements from one row to the next. `out` has shape (columns, stride) and gets `rows` rows.
SIMD inline void store_sums(const Eight *totals, int width, int rows, int columns, float *out,
                            size_t stride) {
    alignas(32) float sums[ROWS];
    for (int c = 0; c < columns; c++) {
        for (int r = 0; r < ROWS; r += 8)
            _mm256_store_ps(sums + r, sum_each(totals + r * width + c, width));
        std::memcpy(out + c * stride, sums, rows * sizeof(float));
    }
}

// Some rows and columns of a product, with rounded activations of shape (blocks, columns).
struct Tile {
    const char *weights;
    size_t row_bytes;
    int rows, blocks;
    const Activations *y;
    const float *scales;
    int columns;
    float *out;
    size_t out_stride;
};

// Multiplies at most ROWS rows by N tokens, row after row. The totals are in registers.
template <class Format, int N>
SIMD void multiply_few(const Tile &t) {
    Eight totals[ROWS][N];
    for (auto &row : totals)
        for (auto &total : row) total = _mm256_setzero_ps();
    // All rows use the same activations. If these do not fit into the first-level cache, the rows
    // are cut into pieces: the first piece of each row, then the second, and so on. Memory is
    // fastest when it is read in its own order, so the next tile is prefetched in that order.
    using Block = typename Format::Block;
    const int pieces = (t.blocks * N + CACHED_BLOCKS - 1) / CACHED_BLOCKS;
    const int step = (t.blocks + pieces - 1) / pieces;
    // the level and the distance that were fastest on Zen 4
    const int level = pieces == 1 && std::is_same_v<Format, Q4K> ? 1 : 2;
    const char *ahead =
        t.weights + (pieces > 1 ? t.rows * t.row_bytes : size_t(level == 1 ? 2048 : 8192));
    for (int from = 0; from < t.blocks; from += step) {
        const int to = std::min(from + step, t.blocks);
        for (int r = 0; r < t.rows; r++, ahead += (to - from) * sizeof(Block))
            multiply_row<Format, N>((const Block *)(t.weights + r * t.row_bytes), ahead, level,
                                    from, to, t.y, t.scales, totals[r]);
    }
    store_sums(totals[0], N, t.rows, N, t.out, t.out_stride);
}

// Multiplies at most ROWS rows by at most GROUP tokens, block after block. A block is unpacked once
// for all tokens. A block's activations stay in the first-level cache, and the totals in the
// second.
template <class Format>
SIMD void multiply_many(const Tile &t) {
    Eight totals[ROWS][GROUP];
    for (int r = 0; r < t.rows; r++)
        for (int c = 0; c < t.columns; c++) totals[r][c] = _mm256_setzero_ps();
    const Activations *y = t.y;
    const float *scales = t.scales;
    for (int b = 0; b < t.blocks; b++, y += t.columns, scales += t.columns)
        for (int r = 0; r < t.rows; r++) {
            const auto &block = ((const typename Format::Block *)(t.weights + r * t.row_bytes))[b];
            prefetch<2>((const char *)&block + ROWS * t.row_bytes, sizeof block);
            Unpacked parts[PARTS];
            for (int part = 0; part < PARTS; part++) parts[part] = Format::unpack(block, part);
            const typename Format::Mins mins(block);
            alignas(32) float by_d[GROUP];
            multiply_scales(from_half(block.d), scales, t.columns, by_d);
            for (int c = 0; c < t.columns; c++) {
                Scaled products;
                multiply_part<Format, 0>(parts[0], y[c], products);
                if constexpr (PARTS == 2) multiply_part<Format, 1>(parts[1], y[c], products);
                totals[r][c] = add_block<Format>(totals[r][c], products, mins, y[c], by_d[c]);
            }
        }
    store_sums(totals[0], GROUP, t.rows, t.columns, t.out, t.out_stride);
}

// Calls the function for the tile's number of tokens.
template <class Format, int N = FEW>
void multiply_tile(const Tile &t) {
    if (t.columns > FEW) return multiply_many<Format>(t);
    if (t.columns == N) return multiply_few<Format, N>(t);
    if constexpr (N > 1) multiply_tile<Format, N - 1>(t);
}

template <class Format>
void multiply(const Product &p, int row, const Activations *y, const float *scales) {
    multiply_tile<Format>({p.weights + row * p.row_bytes, p.row_bytes, std::min(ROWS, p.rows - row),
                           p.blocks, y, scales, p.columns, p.out + row, p.out_stride});
}

}  // namespace
}  // namespace llmsuggest
