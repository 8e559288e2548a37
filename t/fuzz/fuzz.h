
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otpreg_str.h"


/* an invariant; never compiled out */
#define fuzz_check(condition)                                                 \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);   \
            abort();                                                          \
        }                                                                     \
    } while (0)


int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);


/* a copy of exactly its size, so that ASAN sees a byte too many; freed */

static inline uint8_t *
fuzz_copy(const uint8_t *data, size_t len)
{
    uint8_t  *copy;

    copy = malloc(len != 0 ? len : 1);
    fuzz_check(copy != NULL);

    if (len != 0) {
        memcpy(copy, data, len);
    }

    return copy;
}


static inline otpreg_str_t
fuzz_str(const char *text)
{
    return (otpreg_str_t) { (const uint8_t *) text, strlen(text) };
}


static inline bool
fuzz_same(otpreg_str_t a, otpreg_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


#endif /* _FUZZ_H_INCLUDED_ */
