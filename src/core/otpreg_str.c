
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_str.h"


static bool
otpreg_str_is_space(uint8_t ch)
{
    return ch == ' ' || (ch >= '\t' && ch <= '\r');
}


otpreg_str_t
otpreg_str_trim(otpreg_str_t in)
{
    while (in.len != 0 && otpreg_str_is_space(in.data[0])) {
        in.data++;
        in.len--;
    }

    while (in.len != 0 && otpreg_str_is_space(in.data[in.len - 1])) {
        in.len--;
    }

    return in;
}


bool
otpreg_str_line(otpreg_str_t *rest, otpreg_str_t *line)
{
    size_t          taken;
    const uint8_t  *end;

    if (rest->len == 0) {
        return false;
    }

    line->data = rest->data;

    end = memchr(rest->data, '\n', rest->len);

    if (end == NULL) {
        line->len = rest->len;
        taken = rest->len;

    } else {
        line->len = (size_t) (end - rest->data);
        taken = line->len + 1;
    }

    rest->data += taken;
    rest->len -= taken;

    if (line->len != 0 && line->data[line->len - 1] == '\r') {
        line->len--;
    }

    return true;
}


bool
otpreg_str_is_ascii(otpreg_str_t in)
{
    size_t  i;

    for (i = 0; i < in.len; i++) {

        if (in.data[i] >= 0x80) {
            return false;
        }
    }

    return true;
}


bool
otpreg_str_alnum_or(uint8_t ch, const char *also)
{
    return (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z')
           || (ch >= '0' && ch <= '9')
           || (ch != '\0' && strchr(also, ch) != NULL);
}


char
otpreg_str_lower(uint8_t ch)
{
    return (char) (ch >= 'A' && ch <= 'Z' ? ch | 0x20 : ch);
}


bool
otpreg_str_equal_nocase(otpreg_str_t in, const char *lower)
{
    size_t  i;

    if (in.len != strlen(lower)) {
        return false;
    }

    for (i = 0; i < in.len; i++) {
        if (otpreg_str_lower(in.data[i]) != lower[i]) {
            return false;
        }
    }

    return true;
}
