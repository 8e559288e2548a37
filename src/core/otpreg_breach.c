
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include <sodium.h>

#include "otpreg_breach.h"


static void
otpreg_breach_line(otpreg_breach_t *breach)
{
    breach->column = 0;
    breach->match = true;
    breach->wrong = false;
    breach->seen = false;
}


void
otpreg_breach_init(otpreg_breach_t *breach,
    const uint8_t hash[OTPREG_BREACH_HASH_LEN])
{
    char    hex[2 * OTPREG_BREACH_HASH_LEN + 1];
    size_t  i;

    sodium_bin2hex(hex, sizeof(hex), hash, OTPREG_BREACH_HASH_LEN);

    memset(breach, 0, sizeof(otpreg_breach_t));

    for (i = 0; i < OTPREG_BREACH_PREFIX_LEN; i++) {
        breach->prefix[i] = (char) ((hex[i] >= 'a') ? hex[i] & ~0x20 : hex[i]);
    }

    memcpy(breach->suffix, hex + OTPREG_BREACH_PREFIX_LEN,
           OTPREG_BREACH_SUFFIX_LEN);

    sodium_memzero(hex, sizeof(hex));

    otpreg_breach_line(breach);
}


static void
otpreg_breach_byte(otpreg_breach_t *breach, uint8_t ch)
{
    size_t  column;

    column = breach->column++;

    if (column < OTPREG_BREACH_SUFFIX_LEN) {
        ch = (ch >= 'A' && ch <= 'F') ? ch | 0x20 : ch;

        if ((ch < '0' || ch > '9') && (ch < 'a' || ch > 'f')) {
            breach->wrong = true;
        }

        if (ch != (uint8_t) breach->suffix[column]) {
            breach->match = false;
        }

    } else if (column == OTPREG_BREACH_SUFFIX_LEN) {
        breach->wrong |= (ch != ':');

    } else if (ch >= '0' && ch <= '9') {
        breach->seen |= (ch != '0');

    } else {
        breach->wrong = true;
    }
}


void
otpreg_breach_end(otpreg_breach_t *breach)
{
    /* at least one digit */

    if (breach->column > OTPREG_BREACH_SUFFIX_LEN + 1 && !breach->wrong) {
        breach->known = true;
        breach->found |= breach->match && breach->seen;
    }

    otpreg_breach_line(breach);
}


void
otpreg_breach_read(otpreg_breach_t *breach, otpreg_str_t piece)
{
    size_t  i;

    for (i = 0; i < piece.len; i++) {

        if (piece.data[i] == '\n') {
            otpreg_breach_end(breach);

        } else if (piece.data[i] != '\r') {
            otpreg_breach_byte(breach, piece.data[i]);
        }
    }
}
