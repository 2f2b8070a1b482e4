/* Libraries wipe what they calculated with, but not all of it: libsodium 1.0.18 leaves words of a BLAKE2b key on the
 * stack, and ChaCha20 of OpenSSL 3.0 its key in those registers that only AVX-512 has. */
#include <sodium.h>

#include "vault/secret.h"

enum { STACK = 128 << 10 }; /* bytes; more than any of our functions and what they call need */

#if defined(__x86_64__)
static void wipe_registers(void) {
    /* The compiler was not told that there are more than 16 registers, so it keeps nothing in the others. */
    if (__builtin_cpu_supports("avx512f"))
        __asm__ volatile("vpxord %zmm16, %zmm16, %zmm16\n\tvpxord %zmm17, %zmm17, %zmm17\n\t"
                         "vpxord %zmm18, %zmm18, %zmm18\n\tvpxord %zmm19, %zmm19, %zmm19\n\t"
                         "vpxord %zmm20, %zmm20, %zmm20\n\tvpxord %zmm21, %zmm21, %zmm21\n\t"
                         "vpxord %zmm22, %zmm22, %zmm22\n\tvpxord %zmm23, %zmm23, %zmm23\n\t"
                         "vpxord %zmm24, %zmm24, %zmm24\n\tvpxord %zmm25, %zmm25, %zmm25\n\t"
                         "vpxord %zmm26, %zmm26, %zmm26\n\tvpxord %zmm27, %zmm27, %zmm27\n\t"
                         "vpxord %zmm28, %zmm28, %zmm28\n\tvpxord %zmm29, %zmm29, %zmm29\n\t"
                         "vpxord %zmm30, %zmm30, %zmm30\n\tvpxord %zmm31, %zmm31, %zmm31");
    if (__builtin_cpu_supports("avx"))
        __asm__ volatile("vzeroall" ::
                             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                               "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}
#else
static void wipe_registers(void) { /* what libraries leave in those of other processors was not looked into */
}
#endif

void wipe_traces(void) {
    sodium_stackzero(STACK);
    wipe_registers();
}
