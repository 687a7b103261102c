// The interface of the kernels, and the types that all instruction sets share.
//
// The arithmetic (multiply.h, attention.h) is written once, for registers of 8 or 16 lanes
// (simd.h), and compiled once for each instruction set (avx2.cpp, avx_vnni.cpp, avx512_vnni.cpp).
// All instruction sets add the same numbers in the same order, so they agree to the last bit.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && defined(_OPENMP)
#define LLMSUGGEST_COMPILES 1
#endif

namespace llmsuggest {

constexpr int BLOCK = 256;  // weights
constexpr int ROWS = 16;    // rows of weights per tile
constexpr int FEW = 8;      // limit of the tokens whose totals are held in registers
constexpr int GROUP = 64;   // limit of the tokens per product

// Blocks of weights, in the layout of the file.

struct Q4KBlock {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[128];
};

struct Q5KBlock {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];  // bit i of byte j is the fifth bit of weight j of group i
    uint8_t qs[128];
};

struct Q6KBlock {
    uint8_t ql[128];  // four bits of weights j and j + 64 of each half of the block
    uint8_t qh[64];   // two bits of weights j, j + 32, j + 64 and j + 96 of each half
    int8_t scales[16];
    uint16_t d;
};

// A block of a token's activations, in the order that a weight type needs.
struct alignas(64) Activations {
    int8_t q[4][64];
    char more[64];  // sums, in the form that the weight type needs
};

// weights (rows, blocks * 256) times x (columns, blocks * 256): out (columns, rows)
struct Product {
    const char *weights;
    size_t row_bytes;
    int rows, blocks;
    const char *x;
    size_t x_stride;  // bytes
    int columns;
    float *out;
    size_t out_stride;  // floats
};

// One head of the cache. Strides are in bytes; the dimensions of a key and of a value are
// contiguous.
struct Head {
    const char *keys, *values;
    size_t key_stride, value_stride;
};

constexpr uint16_t MINUS_INFINITY = 0xfc00;  // as float16

// The cells that a token sees, and the values (float16) that its mask adds to their scores. 16
// further elements follow, whose scores become minus infinity.
struct Seen {
    int count = 0;
    std::vector<int32_t> cells;
    std::vector<uint16_t> added;

    // Lists the cells whose mask, of shape (cells,), is not minus infinity. Most cells belong to
    // other candidates or are free.
    void look(const uint16_t *mask, int all) {
        if (cells.size() < size_t(all) + 16) {
            cells.resize(all + 16);
            added.resize(all + 16);
        }
        count = 0;
        for (int cell = 0; cell < all; cell++) {
            cells[count] = cell;
            added[count] = mask[cell];
            count += mask[cell] != MINUS_INFINITY;
        }
        std::fill_n(added.begin() + count, 16, MINUS_INFINITY);
    }
};

// Calls `f` with `dimensions / 16` as a constant, for the sizes of heads that models have. Returns
// whether `dimensions` is one of these.
template <class F>
bool with_sixteens(int64_t dimensions, F f) {
    switch (dimensions) {
        case 32: return f(std::integral_constant<int, 2>()), true;
        case 48: return f(std::integral_constant<int, 3>()), true;
        case 64: return f(std::integral_constant<int, 4>()), true;
        case 80: return f(std::integral_constant<int, 5>()), true;
        case 96: return f(std::integral_constant<int, 6>()), true;
        case 112: return f(std::integral_constant<int, 7>()), true;
        case 128: return f(std::integral_constant<int, 8>()), true;
        case 160: return f(std::integral_constant<int, 10>()), true;
        case 192: return f(std::integral_constant<int, 12>()), true;
        case 256: return f(std::integral_constant<int, 16>()), true;
        default: return false;
    }
}

// The kernels of one instruction set. `type` is ggml's number of a weight type.
struct Kernels {
    const char *name;

    // Rounds a token's activations, `x` of shape (blocks * 256,), into every `stride`-th of `y` and
    // `scales`.
    void (*quantize)(int type, const float *x, Activations *y, float *scales, int stride,
                     int blocks);

    // Computes the product's rows from `row` on, ROWS at most, for all columns, of which there are
    // GROUP at most. The rounded activations `y` and `scales` have shape (blocks, columns).
    void (*multiply)(int type, const Product &product, int row, const Activations *y,
                     const float *scales);

    // Computes one head of a token's attention. `query` and `out` have shape (dimensions,), a size
    // that `with_sixteens` knows. `scores` has room for the visible cells and 16 more.
    void (*attend)(int dimensions, const Head &head, const Seen &seen, const float *query,
                   float scale, float *scores, float *out);
};

extern const Kernels AVX2, AVX_VNNI, AVX512VL_VNNI, AVX512_VNNI;

}  // namespace llmsuggest
