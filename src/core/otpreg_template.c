
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_template.h"


static size_t otpreg_template_skip(otpreg_str_t part, size_t i);


bool
otpreg_template_is_raw(otpreg_str_t part)
{
    size_t  i;

    static const char  command[] = { '<', '!', '-', '-', '#' };

    for (i = 0; i + sizeof(command) <= part.len; i++) {
        if (memcmp(part.data + i, command, sizeof(command)) == 0) {
            return true;
        }
    }

    return false;
}


const char *
otpreg_template_fault(otpreg_str_t part, const char *code)
{
    if (otpreg_template_is_raw(part)) {
        return "holds \"<!--#\", so SSI is off there";
    }

    return otpreg_template_has_code(part, code) ? NULL : "lacks the code";
}


bool
otpreg_template_has_code(otpreg_str_t part, const char *code)
{
    size_t       i, next;
    const char  *digit;

    if (*code == '\0') {
        return true;
    }

    for (i = 0; i < part.len; i++) {
        next = i;

        for (digit = code; *digit != '\0'; digit++) {

            if (digit != code) {
                next = otpreg_template_skip(part, next);
            }

            if (next >= part.len || part.data[next] != (uint8_t) *digit) {
                break;
            }

            next++;
        }

        if (*digit == '\0') {
            return true;
        }
    }

    return false;
}


/* what may stand between two digits of a code; the index of what follows */

static size_t
otpreg_template_skip(otpreg_str_t part, size_t i)
{
    uint8_t         ch;
    const uint8_t  *p;

    for ( /* void */ ; i < part.len; i++) {
        ch = part.data[i];

        if (ch == '<' || ch == '&') {
            p = memchr(part.data + i, (ch == '<') ? '>' : ';', part.len - i);

            if (p == NULL) {
                return part.len;
            }

            i = p - part.data;
            continue;
        }

        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z')
            || (ch >= 'A' && ch <= 'Z'))
        {
            break;
        }
    }

    return i;
}
