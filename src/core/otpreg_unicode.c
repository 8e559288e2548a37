
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <utf8proc.h>

#include "otpreg_unicode.h"


/*
 * The steps of utf8proc_map(), in memory of our own: utf8proc's own functions
 * free passwords without wiping them.
 */
static otpreg_outcome_t
otpreg_unicode_map(otpreg_str_t in, utf8proc_option_t options,
    otpreg_text_t *text)
{
    utf8proc_int32_t  *points;
    utf8proc_ssize_t   n, len;

    memset(text, 0, sizeof(otpreg_text_t));

    options |= UTF8PROC_STABLE | UTF8PROC_COMPOSE;

    n = utf8proc_decompose(in.data, (utf8proc_ssize_t) in.len, NULL, 0,
                           options);

    if (n < 0) {
        return n == UTF8PROC_ERROR_INVALIDUTF8 ? OTPREG_NOT_UTF8
                                               : OTPREG_ERROR;
    }

    /* utf8proc_reencode() ends its result with a NUL: one more */

    text->size = ((size_t) n + 1) * sizeof(utf8proc_int32_t);
    text->memory = malloc(text->size);

    if (text->memory == NULL) {
        return OTPREG_ERROR;
    }

    points = text->memory;

    (void) utf8proc_decompose(in.data, (utf8proc_ssize_t) in.len, points, n,
                              options);

    len = utf8proc_reencode(points, n, options);

    if (len < 0) {
        return OTPREG_ERROR;
    }

    text->str.data = text->memory;
    text->str.len = (size_t) len;

    return OTPREG_OK;
}


bool
otpreg_unicode_next(otpreg_str_t *in, int32_t *point)
{
    utf8proc_ssize_t  n;

    if (in->len == 0) {
        return false;
    }

    n = utf8proc_iterate(in->data, (utf8proc_ssize_t) in->len, point);

    if (n <= 0) {
        return false;
    }

    in->data += n;
    in->len -= (size_t) n;

    return true;
}


/*
 * The digits of a script follow one another from its zero on (a promise of
 * Unicode's stability policy), so the value is the distance to the begin of
 * the run; the longest run is that of the mathematical digits, five times ten.
 */
int
otpreg_unicode_digit(int32_t point)
{
    int32_t  zero;

    if (utf8proc_category(point) != UTF8PROC_CATEGORY_ND) {
        return -1;
    }

    zero = point;

    while (utf8proc_category(zero - 1) == UTF8PROC_CATEGORY_ND) {
        zero--;
    }

    return (point - zero) % 10;
}


bool
otpreg_unicode_count(otpreg_str_t in, size_t *count)
{
    int32_t  point;

    *count = 0;

    while (otpreg_unicode_next(&in, &point)) {
        (*count)++;
    }

    return in.len == 0;
}


otpreg_outcome_t
otpreg_unicode_nfc(otpreg_str_t in, otpreg_text_t *text)
{
    return otpreg_unicode_map(in, 0, text);
}


otpreg_outcome_t
otpreg_unicode_fold(otpreg_str_t in, otpreg_text_t *text)
{
    otpreg_text_t     nfc;
    otpreg_outcome_t  rc;

    /*
     * utf8proc folds what it reads, not what it decomposed, so canonically
     * equal texts fold alike only when they have the same form before
     */

    rc = otpreg_unicode_map(in, 0, &nfc);

    if (rc == OTPREG_OK) {
        rc = otpreg_unicode_map(nfc.str, UTF8PROC_CASEFOLD, text);

    } else {
        memset(text, 0, sizeof(otpreg_text_t));
    }

    otpreg_text_free(&nfc);

    return rc;
}


void
otpreg_text_free(otpreg_text_t *text)
{
    if (text->memory != NULL) {
        sodium_memzero(text->memory, text->size);
        free(text->memory);
    }

    memset(text, 0, sizeof(otpreg_text_t));
}
