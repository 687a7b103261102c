// The kernels for AVX-VNNI: AVX2 with a product of bytes. Intel from the 12th generation on, AMD
// from Zen 5.
#include "kernels.h"

#ifdef LLMSUGGEST_COMPILES
#define SIMD __attribute__((target("avx2,fma,f16c,avxvnni")))
#define WIDTH 256
#define DPBUSD _mm256_dpbusd_avx_epi32
#include "arithmetic.h"

extern const llmsuggest::Kernels llmsuggest::AVX_VNNI = llmsuggest::kernels("avx-vnni");
#endif
