// The kernels of one instruction set, as a `Kernels`. See simd.h for the macros to define before.
#pragma once

#include "attention.h"
#include "ggml.h"
#include "multiply.h"

namespace llmsuggest {
namespace {

// Calls `f` with the weight type of ggml's number `type`.
template <class F>
void with_format(int type, F f) {
    switch (type) {
        case GGML_TYPE_Q4_K: return f(Q4K());
        case GGML_TYPE_Q5_K: return f(Q5K());
        case GGML_TYPE_Q6_K: return f(Q6K());
    }
}

constexpr Kernels kernels(const char *name) {
    return {
        name,
        [](int type, const float *x, Activations *y, float *scales, int stride, int blocks) {
            with_format(type, [&](auto format) {
                quantize<decltype(format)>(x, y, scales, stride, blocks);
            });
        },
        [](int type, const Product &product, int row, const Activations *y, const float *scales) {
            with_format(type,
                        [&](auto format) { multiply<decltype(format)>(product, row, y, scales); });
        },
        [](int dimensions, const Head &head, const Seen &seen, const float *query, float scale,
           float *scores, float *out) {
            with_sixteens(dimensions,
                          [&](auto d) { attend<d>(head, seen, query, scale, scores, out); });
        },
    };
}

}  // namespace
}  // namespace llmsuggest
