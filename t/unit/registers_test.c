
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdint.h>
#include <string.h>

#include "otpreg_registers.h"
#include "tap.h"


/* what is in a register before the call, and after it */

#if defined(__x86_64__)

#define REGISTERS_TEST_ONE(n)                                                 \
    memset(in, 'a', sizeof(in));                                              \
    __asm__ volatile ("movups %1, %%xmm" #n "\n\t"                            \
                      "call otpreg_registers_wipe\n\t"                        \
                      "movups %%xmm" #n ", %0"                                \
                      : "=m" (out) : "m" (in)                                 \
                      : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9",        \
                        "r10", "r11", "memory", "cc");                        \
    tap_ok(memcmp(out, zero, sizeof(out)) == 0, "xmm" #n)

#define REGISTERS_TEST_HIGH(n)                                                \
    if (__builtin_cpu_supports("avx512f")) {                                  \
        memset(in, 'a', sizeof(in));                                          \
        __asm__ volatile ("vmovups %1, %%zmm" #n "\n\t"                       \
                          "call otpreg_registers_wipe\n\t"                    \
                          "vmovups %%zmm" #n ", %0"                           \
                          : "=m" (wide) : "m" (in)                            \
                          : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9",    \
                            "r10", "r11", "memory", "cc");                    \
        tap_ok(memcmp(wide, zero, sizeof(wide)) == 0, "zmm" #n);              \
    }


int
main(void)
{
    char  in[64], out[16], wide[64];

    static const char  zero[64];

    REGISTERS_TEST_ONE(0);
    REGISTERS_TEST_ONE(1);
    REGISTERS_TEST_ONE(7);
    REGISTERS_TEST_ONE(8);
    REGISTERS_TEST_ONE(15);
    REGISTERS_TEST_HIGH(0);
    REGISTERS_TEST_HIGH(15);
    REGISTERS_TEST_HIGH(16);
    REGISTERS_TEST_HIGH(23);
    REGISTERS_TEST_HIGH(31);

    return tap_done();
}

#else

int
main(void)
{
    otpreg_registers_wipe();
    tap_ok(1, "may be called");

    return tap_done();
}

#endif
