// The kernels for AVX-VNNI with AVX-512's encoding of its instruction: for AMD's Zen 4, which has
// only that one, and multiplies 512 bits in two halves.
#include "kernels.h"

#ifdef LLMSUGGEST_COMPILES
#define SIMD __attribute__((target("avx2,fma,f16c,avx512vl,avx512vnni")))
#define WIDTH 256
#define DPBUSD _mm256_dpbusd_epi32
#include "arithmetic.h"

extern const llmsuggest::Kernels llmsuggest::AVX512VL_VNNI = llmsuggest::kernels("avx-vnni");
#endif
