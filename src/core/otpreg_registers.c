
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_registers.h"


/*
 * No clobbers are named: to the callers of a function that is not inlined all
 * of these are lost anyway, and the names of some are known to a compiler for
 * newer processors only.
 */

#if defined(__x86_64__)

#define OTPREG_ZMM(n)                                                         \
    "vpxord %%zmm" #n ", %%zmm" #n ", %%zmm" #n "\n"

#define OTPREG_XMM(n)  "pxor %%xmm" #n ", %%xmm" #n "\n"


__attribute__((noinline))
void
otpreg_registers_wipe(void)
{
    if (__builtin_cpu_supports("avx512f")) {
        __asm__ volatile (OTPREG_ZMM(16) OTPREG_ZMM(17) OTPREG_ZMM(18)
                          OTPREG_ZMM(19) OTPREG_ZMM(20) OTPREG_ZMM(21)
                          OTPREG_ZMM(22) OTPREG_ZMM(23) OTPREG_ZMM(24)
                          OTPREG_ZMM(25) OTPREG_ZMM(26) OTPREG_ZMM(27)
                          OTPREG_ZMM(28) OTPREG_ZMM(29) OTPREG_ZMM(30)
                          OTPREG_ZMM(31) : :);
    }

    if (__builtin_cpu_supports("avx")) {
        __asm__ volatile ("vzeroall" : :);
        return;
    }

    __asm__ volatile (OTPREG_XMM(0) OTPREG_XMM(1) OTPREG_XMM(2) OTPREG_XMM(3)
                      OTPREG_XMM(4) OTPREG_XMM(5) OTPREG_XMM(6) OTPREG_XMM(7)
                      OTPREG_XMM(8) OTPREG_XMM(9) OTPREG_XMM(10)
                      OTPREG_XMM(11) OTPREG_XMM(12) OTPREG_XMM(13)
                      OTPREG_XMM(14) OTPREG_XMM(15) : :);
}

#elif defined(__aarch64__)

#define OTPREG_V(n)  "movi v" #n ".2d, #0\n"


/* the lower halves of v8 to v15 belong to the caller */

__attribute__((noinline))
void
otpreg_registers_wipe(void)
{
    __asm__ volatile (OTPREG_V(0) OTPREG_V(1) OTPREG_V(2) OTPREG_V(3)
                      OTPREG_V(4) OTPREG_V(5) OTPREG_V(6) OTPREG_V(7)
                      OTPREG_V(16) OTPREG_V(17) OTPREG_V(18) OTPREG_V(19)
                      OTPREG_V(20) OTPREG_V(21) OTPREG_V(22) OTPREG_V(23)
                      OTPREG_V(24) OTPREG_V(25) OTPREG_V(26) OTPREG_V(27)
                      OTPREG_V(28) OTPREG_V(29) OTPREG_V(30) OTPREG_V(31)
                      : :);
}

#else

void
otpreg_registers_wipe(void)
{
}

#endif
