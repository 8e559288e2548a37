
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _TAP_H_INCLUDED_
#define _TAP_H_INCLUDED_


#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "otpreg_str.h"


/* a byte string from a literal, NULs and all */
#define S(literal)                                                            \
    ((otpreg_str_t) { (const uint8_t *) (literal), sizeof(literal) - 1 })

#define tap_items(array)         (sizeof(array) / sizeof((array)[0]))


/* one of each in a program, of however many files */

__attribute__((weak)) unsigned  tap_run;
__attribute__((weak)) unsigned  tap_failed;


__attribute__((format(printf, 2, 3)))
static inline bool
tap_ok(bool passed, const char *format, ...)
{
    va_list  args;

    tap_run++;
    tap_failed += !passed;

    printf("%sok %u - ", passed ? "" : "not ", tap_run);

    va_start(args, format);
    vprintf(format, args);
    va_end(args);

    printf("\n");

    return passed;
}


__attribute__((format(printf, 3, 4)))
static inline bool
tap_is(long long got, long long expected, const char *format, ...)
{
    char     name[256];
    va_list  args;

    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);

    if (!tap_ok(got == expected, "%s", name)) {
        printf("#      got: %lld\n# expected: %lld\n", got, expected);
        return false;
    }

    return true;
}


__attribute__((format(printf, 3, 4)))
static inline bool
tap_is_text(const char *got, const char *expected, const char *format, ...)
{
    char     name[256];
    va_list  args;

    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);

    if (!tap_ok(strcmp(got, expected) == 0, "%s", name)) {
        printf("#      got: \"%s\"\n# expected: \"%s\"\n", got, expected);
        return false;
    }

    return true;
}


static inline bool
tap_same(otpreg_str_t a, otpreg_str_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


static inline otpreg_str_t
tap_str(const char *text)
{
    return (otpreg_str_t) { (const uint8_t *) text, strlen(text) };
}


static inline int
tap_done(void)
{
    printf("1..%u\n", tap_run);

    return tap_failed != 0;
}


#endif /* _TAP_H_INCLUDED_ */
