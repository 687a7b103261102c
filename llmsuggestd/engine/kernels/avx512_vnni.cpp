// The kernels for AVX-512 with VNNI: Intel's servers and 10th and 11th generation, AMD from Zen 5
// on.
#include "kernels.h"

#ifdef LLMSUGGEST_COMPILES
#define SIMD __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#define WIDTH 512
#define DPBUSD _mm512_dpbusd_epi32
#include "arithmetic.h"

extern const llmsuggest::Kernels llmsuggest::AVX512_VNNI = llmsuggest::kernels("avx512-vnni");
#endif
