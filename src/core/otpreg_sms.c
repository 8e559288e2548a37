
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include <utf8proc.h>

#include "otpreg_sms.h"


/* beside ASCII; TS 23.038, 6.2.1 */

static const uint16_t  otpreg_sms_more[] = {
    0xa1, 0xa3, 0xa4, 0xa5, 0xa7, 0xbf, 0xc4, 0xc5, 0xc6, 0xc7, 0xc9, 0xd1,
    0xd6, 0xd8, 0xdc, 0xdf, 0xe0, 0xe4, 0xe5, 0xe6, 0xe8, 0xe9, 0xec, 0xf1,
    0xf2, 0xf6, 0xf8, 0xf9, 0xfc, 0x393, 0x394, 0x398, 0x39b, 0x39e, 0x3a0,
    0x3a3, 0x3a6, 0x3a8, 0x3a9
};


/* septets of a character, 0 when it has none */

static unsigned
otpreg_sms_septets(utf8proc_int32_t c)
{
    size_t  i;

    if (c == '\n' || c == '\r') {
        return 1;
    }

    if (c >= ' ' && c < 0x7f) {

        if (c == '`') {
            return 0;
        }

        return strchr("^{}\\[~]|", (int) c) ? 2 : 1;
    }

    if (c == 0x20ac) {
        return 2;                               /* euro */
    }

    for (i = 0; i < sizeof(otpreg_sms_more) / sizeof(uint16_t); i++) {
        if (otpreg_sms_more[i] == c) {
            return 1;
        }
    }

    return 0;
}


static unsigned
otpreg_sms_parts(size_t units, size_t single, size_t each)
{
    return (units <= single) ? 1 : (unsigned) ((units + each - 1) / each);
}


unsigned
otpreg_sms_segments(otpreg_str_t text)
{
    bool                gsm;
    size_t              septets, units;
    unsigned            n;
    utf8proc_int32_t    c;
    utf8proc_ssize_t    len;

    gsm = true;
    septets = 0;
    units = 0;

    for ( /* void */ ; text.len != 0; text.data += len, text.len -= len) {

        len = utf8proc_iterate(text.data, (utf8proc_ssize_t) text.len, &c);
        if (len <= 0) {
            return 0;
        }

        n = otpreg_sms_septets(c);
        gsm = gsm && n != 0;
        septets += n;
        units += (c > 0xffff) ? 2 : 1;
    }

    return gsm ? otpreg_sms_parts(septets, 160, 153)
               : otpreg_sms_parts(units, 70, 67);
}


size_t
otpreg_sms_compose(otpreg_str_t text, otpreg_str_t host, const char *code,
    char *out, size_t size)
{
    int  n;

    while (text.len != 0
           && memchr(" \t\r\n", text.data[text.len - 1], 4) != NULL)
    {
        text.len--;
    }

    if (text.len + host.len + 16 > size) {
        return 0;
    }

    n = (host.len != 0 && code[0] != '\0')
        ? snprintf(out, size, "%.*s\n@%.*s #%s", (int) text.len,
                   (const char *) text.data, (int) host.len,
                   (const char *) host.data, code)
        : snprintf(out, size, "%.*s", (int) text.len,
                   (const char *) text.data);

    return (n > 0 && (size_t) n < size) ? (size_t) n : 0;
}
