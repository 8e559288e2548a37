
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <sodium.h>

#include "otpreg_form.h"
#include "otpreg_media.h"
#include "otpreg_unicode.h"


/*
 * The memory stays plain malloc()'s, without a header of ours, because
 * jansson's functions are one set for the whole process: another module may
 * hold JSON that was made before, and call free() itself.
 */
static void
otpreg_form_wiping_free(void *p)
{
    if (p != NULL) {
        sodium_memzero(p, malloc_usable_size(p));
        free(p);
    }
}


void
otpreg_form_init(void)
{
    json_set_alloc_funcs(malloc, otpreg_form_wiping_free);

    /* else jansson opens /dev/urandom at the first object; 0 means that too */

    json_object_seed(randombytes_random() | 1);
}


otpreg_form_type_t
otpreg_form_type(otpreg_str_t content_type)
{
    otpreg_media_t  media;

    if (!otpreg_media_next(&content_type, &media)
        || !media.valid
        || content_type.len != 0)
    {
        return OTPREG_FORM_UNKNOWN;
    }

    if (media.charset.len != 0
        && !otpreg_str_equal_nocase(media.charset, "utf-8")
        && !otpreg_str_equal_nocase(media.charset, "us-ascii"))
    {
        return OTPREG_FORM_UNKNOWN;
    }

    if (otpreg_str_equal_nocase(media.type,
                                "application/x-www-form-urlencoded"))
    {
        return OTPREG_FORM_URLENCODED;
    }

    if (otpreg_str_equal_nocase(media.type, "application/json")) {
        return OTPREG_FORM_JSON;
    }

    return OTPREG_FORM_UNKNOWN;
}


static int
otpreg_form_hex(uint8_t ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    return ch >= 'a' && ch <= 'f' ? ch - 'a' + 10 : -1;
}


/* Decode what lies between two pointers, in place. */

static bool
otpreg_form_decode(uint8_t *p, const uint8_t *last, otpreg_str_t *out)
{
    int       high, low;
    size_t    count;
    uint8_t  *to;

    out->data = p;

    for (to = p; p < last; p++) {

        if (*p != '%') {
            *to++ = *p == '+' ? ' ' : *p;
            continue;
        }

        if (last - p < 3) {
            return false;
        }

        high = otpreg_form_hex(p[1]);
        low = otpreg_form_hex(p[2]);

        if (high < 0 || low < 0) {
            return false;
        }

        *to++ = (uint8_t) (high << 4 | low);
        p += 2;
    }

    out->len = (size_t) (to - out->data);

    return memchr(out->data, '\0', out->len) == NULL
           && otpreg_unicode_count(*out, &count);
}


static otpreg_form_field_t *
otpreg_form_field(otpreg_str_t name, otpreg_form_field_t *fields, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {

        if (strlen(fields[i].name) == name.len
            && memcmp(fields[i].name, name.data, name.len) == 0)
        {
            return &fields[i];
        }
    }

    return NULL;
}


static otpreg_outcome_t
otpreg_form_pair(uint8_t *p, uint8_t *last, otpreg_form_field_t *fields,
    unsigned n)
{
    uint8_t              *equal;
    otpreg_str_t          name, value;
    otpreg_form_field_t  *field;

    equal = memchr(p, '=', (size_t) (last - p));

    if (!otpreg_form_decode(p, equal != NULL ? equal : last, &name)
        || !otpreg_form_decode(equal != NULL ? equal + 1 : last, last, &value))
    {
        return OTPREG_BODY_MALFORMED;
    }

    field = otpreg_form_field(name, fields, n);

    if (field == NULL) {
        return OTPREG_OK;
    }

    if (field->present) {
        return OTPREG_BODY_MALFORMED;
    }

    field->value = value;
    field->present = true;

    return OTPREG_OK;
}


/* WHATWG URL 5.1; pairs of no bytes at all are no pairs */

static otpreg_outcome_t
otpreg_form_urlencoded(uint8_t *body, size_t len, otpreg_form_field_t *fields,
    unsigned n)
{
    uint8_t           *p, *end, *last;
    unsigned           pairs;
    otpreg_outcome_t   rc;

    pairs = 0;
    last = body + len;

    for (p = body; p < last; p = end < last ? end + 1 : last) {

        end = memchr(p, '&', (size_t) (last - p));

        if (end == NULL) {
            end = last;
        }

        if (end == p) {
            continue;
        }

        if (++pairs > OTPREG_FORM_PAIRS_MAX) {
            return OTPREG_BODY_MALFORMED;
        }

        rc = otpreg_form_pair(p, end, fields, n);

        if (rc != OTPREG_OK) {
            return rc;
        }
    }

    return OTPREG_OK;
}


/*
 * Whether a text may be one flat object of not too many members: counted on
 * the bytes, before jansson takes memory and stack for what is refused anyway.
 * Whether it is JSON at all, jansson tells.
 */
static bool
otpreg_form_json_flat(const uint8_t *p, size_t len)
{
    bool      quoted;
    size_t    i;
    unsigned  opened, pairs;

    quoted = false;
    opened = 0;
    pairs = 1;

    for (i = 0; i < len; i++) {

        if (quoted) {

            if (p[i] == '\\') {
                i++;

            } else if (p[i] == '"') {
                quoted = false;
            }

            continue;
        }

        switch (p[i]) {

        case '"':
            quoted = true;
            break;

        case '{':
            opened++;
            break;

        case '[':
            return false;

        case ',':
            pairs++;
            break;
        }
    }

    return opened == 1 && pairs <= OTPREG_FORM_PAIRS_MAX;
}


/* Copy the wanted strings to the start of the body. */

static otpreg_outcome_t
otpreg_form_json_fields(const json_t *root, uint8_t *body,
    otpreg_form_field_t *fields, unsigned n)
{
    size_t         len;
    json_t        *value;
    unsigned       i;

    for (i = 0; i < n; i++) {
        value = json_object_get(root, fields[i].name);

        if (value == NULL || json_is_null(value)) {
            continue;
        }

        if (!json_is_string(value)) {
            return OTPREG_BODY_MALFORMED;
        }

        len = json_string_length(value);
        memcpy(body, json_string_value(value), len);

        fields[i].value.data = body;
        fields[i].value.len = len;
        fields[i].present = true;

        body += len;
    }

    return OTPREG_OK;
}


static otpreg_outcome_t
otpreg_form_json(uint8_t *body, size_t len, otpreg_form_field_t *fields,
    unsigned n)
{
    json_t            *root;
    json_error_t       error;
    otpreg_outcome_t   rc;

    if (!otpreg_form_json_flat(body, len)) {
        return OTPREG_BODY_MALFORMED;
    }

    root = json_loadb((const char *) body, len, JSON_REJECT_DUPLICATES,
                      &error);

    if (root != NULL) {
        rc = otpreg_form_json_fields(root, body, fields, n);
        json_decref(root);

    } else {
        rc = json_error_code(&error) == json_error_out_of_memory
             ? OTPREG_ERROR : OTPREG_BODY_MALFORMED;
    }

    /* it quotes the text */

    sodium_memzero(&error, sizeof(error));

    return rc;
}


static void
otpreg_form_clear(otpreg_form_field_t *fields, unsigned n)
{
    unsigned  i;

    for (i = 0; i < n; i++) {
        fields[i].value.data = NULL;
        fields[i].value.len = 0;
        fields[i].present = false;
    }
}


otpreg_outcome_t
otpreg_form_parse(otpreg_form_type_t type, uint8_t *body, size_t len,
    otpreg_form_field_t *fields, unsigned n)
{
    otpreg_outcome_t  rc;

    otpreg_form_clear(fields, n);

    switch (type) {

    case OTPREG_FORM_URLENCODED:
        rc = otpreg_form_urlencoded(body, len, fields, n);
        break;

    case OTPREG_FORM_JSON:
        rc = otpreg_form_json(body, len, fields, n);
        break;

    default:
        rc = OTPREG_BODY_MALFORMED;
    }

    if (rc != OTPREG_OK) {
        otpreg_form_clear(fields, n);
    }

    return rc;
}
