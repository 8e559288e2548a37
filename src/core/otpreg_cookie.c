
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_cookie.h"


bool
otpreg_cookie_find(otpreg_str_t header, const char *name, otpreg_str_t *value)
{
    size_t          len;
    otpreg_str_t    pair;
    const uint8_t  *end;

    len = strlen(name);

    while (header.len != 0) {

        end = memchr(header.data, ';', header.len);

        pair.data = header.data;
        pair.len = end != NULL ? (size_t) (end - header.data) : header.len;

        header.data += pair.len;
        header.len -= pair.len;

        if (end != NULL) {
            header.data++;
            header.len--;
        }

        pair = otpreg_str_trim(pair);

        if (pair.len > len
            && pair.data[len] == '='
            && memcmp(pair.data, name, len) == 0)
        {
            value->data = pair.data + len + 1;
            value->len = pair.len - len - 1;

            return true;
        }
    }

    return false;
}
