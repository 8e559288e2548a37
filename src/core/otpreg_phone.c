
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_identity.h"
#include "otpreg_unicode.h"


/* blanks, dots, hyphens and brackets, the full-width ones, too */

static bool
otpreg_phone_separator(int32_t point)
{
    switch (point) {

    case ' ': case 0x00a0: case 0x202f: case 0x3000:
    case '.': case 0xff0e:
    case '-': case 0xff0d:
    case '(': case 0xff08:
    case ')': case 0xff09:
        return true;

    default:
        return false;
    }
}


otpreg_outcome_t
otpreg_phone_parse(otpreg_str_t in, otpreg_phone_t *out)
{
    int      digit;
    size_t   n;
    int32_t  point;

    memset(out, 0, sizeof(otpreg_phone_t));

    in = otpreg_str_trim(in);

    if (in.len == 0) {
        return OTPREG_REQUIRED;
    }

    n = 0;

    while (otpreg_unicode_next(&in, &point)) {

        if (otpreg_phone_separator(point)) {
            continue;
        }

        if (n == 0) {

            if (point != '+' && point != 0xff0b) {      /* full-width */
                goto invalid;
            }

            out->number[n++] = '+';
            continue;
        }

        digit = otpreg_unicode_digit(point);

        if (digit < 0 || (n == 1 && digit == 0) || n == OTPREG_PHONE_MAX) {
            goto invalid;
        }

        out->number[n++] = (char) ('0' + digit);
    }

    if (in.len == 0 && n >= 1 + OTPREG_PHONE_DIGITS_MIN) {
        return OTPREG_OK;
    }

invalid:

    memset(out, 0, sizeof(otpreg_phone_t));

    return OTPREG_PHONE_INVALID;
}


size_t
otpreg_phone_mask(const char *number, char *out)
{
    size_t  len;

    len = strlen(number);

    return (size_t) snprintf(out, OTPREG_PHONE_MAX + 1, "%.2s***%s", number,
                             number + (len < 2 ? 0 : len - 2));
}
