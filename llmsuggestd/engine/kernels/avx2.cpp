// The kernels for AVX2: processors from 2013 on (Intel's Haswell, AMD's Zen).
#include "kernels.h"

#ifdef LLMSUGGEST_COMPILES
#define SIMD __attribute__((target("avx2,fma,f16c")))
#define WIDTH 256
#include "arithmetic.h"

extern const llmsuggest::Kernels llmsuggest::AVX2 = llmsuggest::kernels("avx2");
#endif
