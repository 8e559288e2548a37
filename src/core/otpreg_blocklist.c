
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "otpreg_password.h"
#include "otpreg_unicode.h"


/*
 * No more than this becomes a password: one code point in NFC comes from
 * 16 bytes at most
 */
#define OTPREG_BLOCKLIST_LINE_MAX    (OTPREG_PASSWORD_CHARS_MAX * 16)


struct otpreg_blocklist_s {
    uint8_t             key[crypto_shorthash_KEYBYTES];
    size_t              n;
    uint64_t            hash[];
};


static uint64_t
otpreg_blocklist_hash(const otpreg_blocklist_t *list, otpreg_str_t folded)
{
    uint64_t  hash;
    uint8_t   bytes[crypto_shorthash_BYTES];

    (void) crypto_shorthash(bytes, folded.data, folded.len, list->key);
    memcpy(&hash, bytes, sizeof(hash));

    return hash;
}


static int
otpreg_blocklist_compare(const void *one, const void *two)
{
    uint64_t  a, b;

    a = *(const uint64_t *) one;
    b = *(const uint64_t *) two;

    return (a > b) - (a < b);
}


static otpreg_outcome_t
otpreg_blocklist_add(otpreg_blocklist_t *list, otpreg_str_t line)
{
    size_t            count;
    otpreg_text_t     folded;
    otpreg_outcome_t  rc;

    if (!otpreg_unicode_count(line, &count)) {
        return OTPREG_NOT_UTF8;
    }

    if (line.len == 0 || line.len > OTPREG_BLOCKLIST_LINE_MAX) {
        return OTPREG_OK;
    }

    rc = otpreg_unicode_fold(line, &folded);

    if (rc == OTPREG_OK) {
        list->hash[list->n++] = otpreg_blocklist_hash(list, folded.str);
    }

    otpreg_text_free(&folded);

    return rc;
}


static void
otpreg_blocklist_sort(otpreg_blocklist_t *list)
{
    size_t  i, n;

    if (list->n == 0) {
        return;
    }

    qsort(list->hash, list->n, sizeof(uint64_t), otpreg_blocklist_compare);

    n = 1;

    for (i = 1; i < list->n; i++) {

        if (list->hash[i] != list->hash[n - 1]) {
            list->hash[n++] = list->hash[i];
        }
    }

    list->n = n;
}


static otpreg_blocklist_t *
otpreg_blocklist_create(otpreg_str_t text)
{
    size_t               lines;
    otpreg_str_t         line;
    otpreg_blocklist_t  *list;

    lines = 0;

    while (otpreg_str_line(&text, &line)) {
        lines++;
    }

    list = malloc(sizeof(otpreg_blocklist_t) + lines * sizeof(uint64_t));

    if (list != NULL) {
        crypto_shorthash_keygen(list->key);
        list->n = 0;
    }

    return list;
}


otpreg_blocklist_t *
otpreg_blocklist_parse(otpreg_str_t text, unsigned *line)
{
    unsigned             number;
    otpreg_str_t         one;
    otpreg_outcome_t     rc;
    otpreg_blocklist_t  *list;

    *line = 0;

    if (text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        text.data += 3;
        text.len -= 3;
    }

    list = otpreg_blocklist_create(text);

    if (list == NULL) {
        return NULL;
    }

    for (number = 1; otpreg_str_line(&text, &one); number++) {

        rc = otpreg_blocklist_add(list, one);

        if (rc != OTPREG_OK) {
            *line = rc == OTPREG_NOT_UTF8 ? number : 0;
            otpreg_blocklist_free(list);
            return NULL;
        }
    }

    otpreg_blocklist_sort(list);

    return list;
}


void
otpreg_blocklist_free(otpreg_blocklist_t *list)
{
    free(list);
}


size_t
otpreg_blocklist_count(const otpreg_blocklist_t *list)
{
    return list->n;
}


bool
otpreg_blocklist_has(const otpreg_blocklist_t *list, otpreg_str_t folded)
{
    uint64_t  hash;

    hash = otpreg_blocklist_hash(list, folded);

    return bsearch(&hash, list->hash, list->n, sizeof(uint64_t),
                   otpreg_blocklist_compare)
           != NULL;
}
