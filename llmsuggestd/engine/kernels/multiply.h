// Quantised weights times activations: the arithmetic that nearly all of a decode's time goes into.
//
// llama.cpp's own kernels are made for one token (a chat) and for hundreds (a prompt). A beam search
// decodes five together; theirs then need 1.7 times and more what they need for one, although a
// step has to read the same weights, and reading them is what takes the time. These need 1.4 times
// (docs/benchmarks.md).
//
// Weights are taken as the file has them, mapped and not repacked. A block is 256 weights of a row,
// of which each is `scale * w - min`; scale and min are shared by 32 (Q4_K, Q5_K) or 16 (Q6_K). The
// activations are rounded to 8 bits in blocks of 256, as ggml rounds them. A block of weights is
// unpacked to four vectors of 64 bytes so that each 32-bit lane has bytes of one scale only, the
// same in all four: then four multiply-adds of bytes (VNNI) leave one sum a lane, which is scaled
// once. The activations are put in the same order beforehand.
#pragma once

#include <cstring>

#include "simd.h"

namespace llmsuggest {

constexpr int BLOCK = 256;        // weights
constexpr int ROWS = 16;          // rows of weights that are done together
constexpr int MAX_COLUMNS = 8;    // tokens that are done together; 32 registers have room for 16,
                                  // the first-level cache has not
constexpr int CACHED_BLOCKS = 96; // of activations, 320 bytes each, that fit there

struct alignas(64) Activations {
    int8_t q[4][64];
    float sums[16];  // of each lane of q, in the activations' own scale
};

struct Unpacked {
    __m512i w[4];        // unsigned bytes
    __m512 scale, min;   // of each 32-bit lane
};

AVX512 inline float from_half(uint16_t half) { return _cvtsh_ss(half); }

// Scales and mins of 8 groups, 6 bits each, in 12 bytes, to the lanes of Q4_K and Q5_K.
AVX512 inline void unpack_scales(const uint8_t *packed, uint16_t d, uint16_t dmin, Unpacked &out) {
    uint32_t word[3];
    std::memcpy(word, packed, sizeof word);
    const uint32_t low6 = 0x3f3f3f3f, low4 = 0x0f0f0f0f, low2 = 0x03030303;
    const uint32_t scales_4_to_7 = (word[2] & low4) | ((word[0] >> 6 & low2) << 4);
    const uint32_t mins_4_to_7 = (word[2] >> 4 & low4) | ((word[1] >> 6 & low2) << 4);
    const uint64_t scales = (word[0] & low6) | uint64_t(scales_4_to_7) << 32;
    const uint64_t mins = (word[1] & low6) | uint64_t(mins_4_to_7) << 32;
    const __m128i lanes = _mm_setr_epi8(0, 0, 2, 2, 4, 4, 6, 6, 1, 1, 3, 3, 5, 5, 7, 7);
    const auto spread = [&](uint64_t eight, uint16_t half) AVX512 {
        const __m128i bytes = _mm_shuffle_epi8(_mm_cvtsi64_si128(int64_t(eight)), lanes);
        return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes)), _mm512_set1_ps(from_half(half)));
    };
    out.scale = spread(scales, d);
    out.min = spread(mins, dmin);
}

// Four bits a weight, in pairs of groups: a byte has one of group 2i and one of group 2i + 1. Vector k
// has weights 8k to 8k + 7 of groups 0, 2, 4, 6, then of 1, 3, 5, 7.
AVX512 inline void unpack_nibbles(const uint8_t *qs, __m512i w[4]) {
    const __m512i front = _mm512_loadu_si512(qs), back = _mm512_loadu_si512(qs + 64);
    const __m512i shift = _mm512_setr_epi64(0, 0, 0, 0, 4, 4, 4, 4);
    for (int k = 0; k < 4; k++) {
        const __m512i order = _mm512_setr_epi64(k, k + 4, k + 8, k + 12, k, k + 4, k + 8, k + 12);
        const __m512i both = _mm512_permutex2var_epi64(front, order, back);
        w[k] = _mm512_and_si512(_mm512_srlv_epi64(both, shift), _mm512_set1_epi8(15));
    }
}

constexpr int eights_lane(int vector, int lane) {
    constexpr int group[] = {0, 2, 4, 6, 1, 3, 5, 7};
    return 32 * group[lane / 2] + 8 * vector + 4 * (lane % 2);
}

struct Q4K {
    struct Block {
        uint16_t d, dmin;
        uint8_t scales[12];
        uint8_t qs[128];
    };

    static AVX512 inline Unpacked unpack(const Block &block) {
        Unpacked out;
        unpack_nibbles(block.qs, out.w);
        unpack_scales(block.scales, block.d, block.dmin, out);
        return out;
    }

    // The first of the four consecutive weights that a lane of a vector has.
    static constexpr int weight(int vector, int lane) { return eights_lane(vector, lane); }
};

struct Q5K {
    struct Block {
        uint16_t d, dmin;
        uint8_t scales[12];
        uint8_t qh[32];  // bit i of byte j is the fifth bit of weight j of group i
        uint8_t qs[128];
    };

    static AVX512 inline Unpacked unpack(const Block &block) {
        Unpacked out;
        unpack_nibbles(block.qs, out.w);
        const __m512i group = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
        for (int k = 0; k < 4; k++) {
            uint64_t bits;
            std::memcpy(&bits, block.qh + 8 * k, sizeof bits);
            const __m512i own = _mm512_srlv_epi64(_mm512_set1_epi64(int64_t(bits)), group);
            const __m512i fifth = _mm512_and_si512(own, _mm512_set1_epi8(1));
            out.w[k] = _mm512_or_si512(out.w[k], _mm512_slli_epi64(fifth, 4));
        }
        unpack_scales(block.scales, block.d, block.dmin, out);
        return out;
    }

    static constexpr int weight(int vector, int lane) { return eights_lane(vector, lane); }
};

struct Q6K {
    struct Block {
        uint8_t ql[128];  // four bits of weights j and j + 64 of each half of the block
        uint8_t qh[64];   // two bits of weights j, j + 32, j + 64 and j + 96 of each half
        int8_t scales[16];
        uint16_t d;
    };

    static AVX512 inline Unpacked unpack(const Block &block) {
        const __m512i low4 = _mm512_set1_epi8(0x0f), bits45 = _mm512_set1_epi8(0x30);
        const auto merged = [&](__m512i nibbles, __m512i high) AVX512 {
            return _mm512_or_si512(_mm512_and_si512(nibbles, low4), _mm512_and_si512(high, bits45));
        };
        __m512i w[4];  // 64 consecutive weights each: four groups
        for (int half = 0; half < 2; half++) {
            const __m512i ql = _mm512_loadu_si512(block.ql + 64 * half);
            const __m512i qh = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(block.qh + 32 * half)));
            const __m512i left = _mm512_setr_epi64(4, 4, 4, 4, 2, 2, 2, 2);
            const __m512i right = _mm512_setr_epi64(0, 0, 0, 0, 2, 2, 2, 2);
            w[2 * half] = merged(ql, _mm512_sllv_epi64(qh, left));
            w[2 * half + 1] = merged(_mm512_srli_epi64(ql, 4), _mm512_srlv_epi64(qh, right));
        }
        // a group is 16 bytes, four lanes: put its k-th lane into vector k
        const __m512i a = _mm512_unpacklo_epi32(w[0], w[1]), b = _mm512_unpackhi_epi32(w[0], w[1]);
        const __m512i c = _mm512_unpacklo_epi32(w[2], w[3]), d = _mm512_unpackhi_epi32(w[2], w[3]);
        Unpacked out;
        out.w[0] = _mm512_unpacklo_epi64(a, c);
        out.w[1] = _mm512_unpackhi_epi64(a, c);
        out.w[2] = _mm512_unpacklo_epi64(b, d);
        out.w[3] = _mm512_unpackhi_epi64(b, d);
        const __m128i lanes = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const __m128i scales = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)block.scales), lanes);
        out.scale = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(scales)), _mm512_set1_ps(from_half(block.d)));
        out.min = _mm512_mul_ps(out.scale, _mm512_set1_ps(32));
        return out;
    }

    static constexpr int weight(int vector, int lane) { return 16 * (4 * (lane % 4) + lane / 4) + 4 * vector; }
};

// Activations of one token, rounded and put in the order of a format. `x` has shape (blocks * 256,),
// `y` and `scales` shape (blocks,).
template <class Format>
AVX512 void quantize(const float *x, Activations *y, float *scales, int blocks) {
    __m512i order[4];
    for (int k = 0; k < 4; k++) {
        int32_t weight[16];
        for (int lane = 0; lane < 16; lane++) weight[lane] = Format::weight(k, lane);
        order[k] = _mm512_loadu_si512(weight);
    }
    for (int b = 0; b < blocks; b++, x += BLOCK) {
        __m512 most = _mm512_setzero_ps();
        for (int i = 0; i < BLOCK; i += 16) most = _mm512_max_ps(most, _mm512_abs_ps(_mm512_loadu_ps(x + i)));
        const float largest = _mm512_reduce_max_ps(most);
        const __m512 up = _mm512_set1_ps(largest > 0 ? 127.f / largest : 0.f);
        alignas(64) int8_t q[BLOCK];
        for (int i = 0; i < BLOCK; i += 16) {
            const __m512i rounded = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), up));
            _mm_store_si128((__m128i *)(q + i), _mm512_cvtsepi32_epi8(rounded));
        }
        scales[b] = largest / 127.f;
        __m512i sums = _mm512_setzero_si512();
        for (int k = 0; k < 4; k++) {
            const __m512i ordered = _mm512_i32gather_epi32(order[k], q, 1);
            _mm512_store_si512(y[b].q[k], ordered);
            sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), ordered);
        }
        _mm512_store_ps(y[b].sums, _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_set1_ps(scales[b])));
    }
}

// Blocks `from` to `to` of one row times N tokens, added to `sums`, shape (N,), a vector each.
// `y` and `scales` have shape (N, blocks).
template <class Format, int N>
AVX512 void multiply_row(const typename Format::Block *row, size_t ahead, int from, int to,
                         const Activations *y, const float *scales, int blocks, __m512 *sums) {
    __m512 sum[N];
    for (int c = 0; c < N; c++) sum[c] = sums[c];
    for (int b = from; b < to; b++) {
        for (size_t line = 0; line < sizeof row[b]; line += 64)
            _mm_prefetch((const char *)(row + b) + ahead + line, _MM_HINT_T0);
        const Unpacked block = Format::unpack(row[b]);
        for (int c = 0; c < N; c++) {
            const Activations &a = y[c * blocks + b];
            __m512i dot = _mm512_setzero_si512();
            for (int k = 0; k < 4; k++) dot = _mm512_dpbusd_epi32(dot, block.w[k], _mm512_load_si512(a.q[k]));
            const __m512 scale = _mm512_mul_ps(block.scale, _mm512_set1_ps(scales[c * blocks + b]));
            sum[c] = _mm512_fnmadd_ps(block.min, _mm512_load_ps(a.sums), sum[c]);
            sum[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, sum[c]);
        }
    }
    for (int c = 0; c < N; c++) sums[c] = sum[c];
}

// At most 16 rows times N tokens; `out` has shape (N, stride).
template <class Format, int N>
AVX512 void multiply_rows(const char *weights, size_t row_bytes, int rows, int blocks, const Activations *y,
                          const float *scales, float *out, size_t stride) {
    __m512 sums[ROWS][N];
    for (auto &row : sums)
        for (auto &sum : row) sum = _mm512_setzero_ps();
    // the activations that all rows need stay in the first-level cache meanwhile
    const int step = CACHED_BLOCKS / N;
    for (int from = 0; from < blocks; from += step)
        for (int r = 0; r < rows; r++)
            multiply_row<Format, N>((const typename Format::Block *)(weights + r * row_bytes),
                                    std::max<size_t>(2048, row_bytes), from, std::min(from + step, blocks),
                                    y, scales, blocks, sums[r]);
    const __mmask16 wanted = __mmask16((1u << rows) - 1);
    for (int c = 0; c < N; c++) _mm512_mask_storeu_ps(out + c * stride, wanted, sum_each(&sums[0][c], N));
}

}  // namespace llmsuggest
