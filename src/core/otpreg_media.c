
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_media.h"


static bool
otpreg_media_is_tchar(uint8_t ch)
{
    return otpreg_str_alnum_or(ch, "!#$%&'*+-.^_`|~");
}


static void
otpreg_media_skip(otpreg_str_t *rest, size_t n)
{
    rest->data += n;
    rest->len -= n;
}


static void
otpreg_media_space(otpreg_str_t *rest)
{
    while (rest->len != 0 && (rest->data[0] == ' ' || rest->data[0] == '\t')) {
        otpreg_media_skip(rest, 1);
    }
}


static bool
otpreg_media_char(otpreg_str_t *rest, uint8_t ch)
{
    if (rest->len == 0 || rest->data[0] != ch) {
        return false;
    }

    otpreg_media_skip(rest, 1);

    return true;
}


/* A token; empty when there is none. */

static otpreg_str_t
otpreg_media_token(otpreg_str_t *rest)
{
    otpreg_str_t  token;

    token.data = rest->data;
    token.len = 0;

    while (rest->len != 0 && otpreg_media_is_tchar(rest->data[0])) {
        otpreg_media_skip(rest, 1);
        token.len++;
    }

    return token;
}


/*
 * What is between the quotes, escapes as they are: nothing that we compare
 * with has one.  The opening quote was taken.
 */
static bool
otpreg_media_quoted(otpreg_str_t *rest, otpreg_str_t *value)
{
    value->data = rest->data;

    while (rest->len != 0) {

        if (rest->data[0] == '"') {
            value->len = (size_t) (rest->data - value->data);
            otpreg_media_skip(rest, 1);
            return true;
        }

        if (rest->data[0] == '\\' && rest->len > 1) {
            otpreg_media_skip(rest, 1);
        }

        otpreg_media_skip(rest, 1);
    }

    return false;
}


/* RFC 9110 12.4.2: "0", "1", and up to three digits after a point */

bool
otpreg_media_quality(otpreg_str_t in, unsigned *quality)
{
    size_t    i;
    unsigned  unit;

    if (in.len == 0 || in.len > 5 || (in.data[0] != '0' && in.data[0] != '1')
        || (in.len > 1 && in.data[1] != '.'))
    {
        return false;
    }

    unit = OTPREG_QUALITY_MAX;
    *quality = (in.data[0] - '0') * unit;

    for (i = 2; i < in.len; i++) {

        if (in.data[i] < '0' || in.data[i] > '9') {
            return false;
        }

        unit /= 10;
        *quality += (in.data[i] - '0') * unit;
    }

    return *quality <= OTPREG_QUALITY_MAX;
}


static bool
otpreg_media_parameter(otpreg_str_t *rest, otpreg_media_t *media)
{
    otpreg_str_t  name, value;

    name = otpreg_media_token(rest);

    if (name.len == 0) {
        /* RFC 9110 5.6.6 allows nothing between two semicolons */
        return true;
    }

    if (!otpreg_media_char(rest, '=')) {
        return false;
    }

    if (otpreg_media_char(rest, '"')) {

        if (!otpreg_media_quoted(rest, &value)) {
            return false;
        }

    } else {
        value = otpreg_media_token(rest);
    }

    if (value.len == 0) {
        return false;
    }

    if (otpreg_str_equal_nocase(name, "charset")) {

        /* given twice: which one would another parser believe? */

        if (media->charset.len != 0) {
            return false;
        }

        media->charset = value;
    }

    if (otpreg_str_equal_nocase(name, "q")) {
        return otpreg_media_quality(value, &media->quality);
    }

    return true;
}


static bool
otpreg_media_parse(otpreg_str_t *rest, otpreg_media_t *media)
{
    otpreg_str_t  type, subtype;

    type = otpreg_media_token(rest);

    if (type.len == 0 || !otpreg_media_char(rest, '/')) {
        return false;
    }

    subtype = otpreg_media_token(rest);

    if (subtype.len == 0) {
        return false;
    }

    media->type.data = type.data;
    media->type.len = type.len + 1 + subtype.len;

    for ( ;; ) {
        otpreg_media_space(rest);

        if (!otpreg_media_char(rest, ';')) {
            return rest->len == 0 || rest->data[0] == ',';
        }

        otpreg_media_space(rest);

        if (!otpreg_media_parameter(rest, media)) {
            return false;
        }
    }
}


static void
otpreg_media_resync(otpreg_str_t *rest)
{
    otpreg_str_t  ignored;

    while (rest->len != 0 && rest->data[0] != ',') {

        if (otpreg_media_char(rest, '"')) {
            (void) otpreg_media_quoted(rest, &ignored);
            continue;
        }

        otpreg_media_skip(rest, 1);
    }
}


bool
otpreg_media_next(otpreg_str_t *rest, otpreg_media_t *media)
{
    memset(media, 0, sizeof(otpreg_media_t));
    media->quality = OTPREG_QUALITY_MAX;

    do {
        otpreg_media_space(rest);
    } while (otpreg_media_char(rest, ','));

    if (rest->len == 0) {
        return false;
    }

    media->valid = otpreg_media_parse(rest, media);

    if (!media->valid) {
        otpreg_media_resync(rest);
    }

    return true;
}
