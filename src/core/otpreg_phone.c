
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_identity.h"
#include "otpreg_unicode.h"


/* digits of a country code, ITU-T E.164 */
#define OTPREG_PHONE_COUNTRY_MAX 3


/*
 * Blanks, dots and hyphens become ' ', brackets '(' and ')', of full width,
 * too; what is no separator becomes 0.
 */
static char
otpreg_phone_separator(int32_t point)
{
    switch (point) {

    case ' ': case 0x00a0: case 0x202f: case 0x3000:
    case '.': case 0xff0e:
    case '-': case 0xff0d:
        return ' ';

    case '(': case 0xff08:
        return '(';

    case ')': case 0xff09:
        return ')';

    default:
        return 0;
    }
}


/*
 * Whether a zero in brackets would be the one that is dialled within the
 * country only: behind a country code, but not Italy's, where numbers begin
 * with a zero.
 */
static bool
otpreg_phone_trunk(const char *number, size_t n)
{
    return n > 1 && n <= 1 + OTPREG_PHONE_COUNTRY_MAX
           && memcmp(number, "+39", 3) != 0;
}


otpreg_outcome_t
otpreg_phone_parse(otpreg_str_t in, otpreg_phone_t *out)
{
    int      digit;
    bool     trunk, zero;
    char     separator;
    size_t   n;
    int32_t  point;

    memset(out, 0, sizeof(otpreg_phone_t));

    in = otpreg_str_trim(in);

    if (in.len == 0) {
        return OTPREG_REQUIRED;
    }

    n = 0;
    trunk = false;          /* a bracket is open that may hold the zero */
    zero = false;           /* and it does: nothing else may follow */

    while (otpreg_unicode_next(&in, &point)) {

        separator = otpreg_phone_separator(point);

        if (separator != 0) {

            if (separator != ' ') {
                trunk = separator == '(' && otpreg_phone_trunk(out->number, n);
                zero = false;
            }

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

        if (trunk && !zero && digit == 0) {
            zero = true;
            continue;
        }

        if (digit < 0 || zero || (n == 1 && digit == 0)
            || n == OTPREG_PHONE_MAX)
        {
            goto invalid;
        }

        trunk = false;

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
