
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_identity.h"


/* the length of a separator at the beginning of in, or 0 */

static size_t
otpreg_phone_separator(otpreg_str_t in)
{
    if (memchr(" .-()", in.data[0], 5) != NULL) {
        return 1;
    }

    if (in.len >= 2 && memcmp(in.data, "\xc2\xa0", 2) == 0) {
        return 2;                                       /* U+00A0 */
    }

    if (in.len >= 3 && memcmp(in.data, "\xe2\x80\xaf", 3) == 0) {
        return 3;                                       /* U+202F */
    }

    return 0;
}


otpreg_outcome_t
otpreg_phone_parse(otpreg_str_t in, otpreg_phone_t *out)
{
    size_t   n, skip;
    uint8_t  ch;

    memset(out, 0, sizeof(otpreg_phone_t));

    in = otpreg_str_trim(in);

    if (in.len == 0) {
        return OTPREG_REQUIRED;
    }

    for (n = 0; in.len != 0; in.data += skip, in.len -= skip) {

        skip = otpreg_phone_separator(in);
        if (skip != 0) {
            continue;
        }

        skip = 1;
        ch = in.data[0];

        if (n == 0 ? ch != '+'
                   : ch < '0' || ch > '9' || (n == 1 && ch == '0'))
        {
            goto invalid;
        }

        if (n == OTPREG_PHONE_MAX) {
            goto invalid;
        }

        out->number[n++] = (char) ch;
    }

    if (n < 1 + OTPREG_PHONE_DIGITS_MIN) {
        goto invalid;
    }

    return OTPREG_OK;

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
