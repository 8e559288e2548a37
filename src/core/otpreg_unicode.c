
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
otpreg_unicode_count(otpreg_str_t in, size_t *count)
{
    utf8proc_int32_t  point;
    utf8proc_ssize_t  n;

    *count = 0;

    while (in.len != 0) {
        n = utf8proc_iterate(in.data, (utf8proc_ssize_t) in.len, &point);

        if (n <= 0) {
            return false;
        }

        in.data += n;
        in.len -= (size_t) n;
        (*count)++;
    }

    return true;
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
