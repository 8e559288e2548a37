
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include <sodium.h>

#include "otpreg_seal.h"


#define OTPREG_KEYS_BASE64_LEN                                                \
    (sodium_base64_ENCODED_LEN(OTPREG_KEY_LEN,                                \
                               sodium_base64_VARIANT_ORIGINAL) - 1)


/* Take the name off the line; NULL, or what is wrong with it. */

static const char *
otpreg_keys_parse_name(otpreg_str_t *line, char name[OTPREG_KEY_NAME_MAX + 1])
{
    size_t  len;

    len = 0;

    while (len < line->len && otpreg_str_alnum_or(line->data[len], "_-")) {
        len++;
    }

    if (len == line->len) {
        return "no key after the name";
    }

    if (len == 0 || (line->data[len] != ' ' && line->data[len] != '\t')) {
        return "a key name may hold only letters, digits, \"_\" and \"-\"";
    }

    if (len > OTPREG_KEY_NAME_MAX) {
        return "key name is longer than 16 characters";
    }

    memcpy(name, line->data, len);
    name[len] = '\0';

    line->data += len;
    line->len -= len;

    return NULL;
}


static const char *
otpreg_keys_parse_line(otpreg_str_t line, otpreg_keys_t *keys)
{
    size_t         len;
    const char    *error;
    otpreg_key_t  *key;

    if (keys->n == OTPREG_KEYS_MAX) {
        return "more than 16 keys";
    }

    key = &keys->key[keys->n];

    error = otpreg_keys_parse_name(&line, key->name);

    if (error != NULL) {
        return error;
    }

    if (otpreg_keys_find(keys, key->name) != NULL) {
        return "key name is given twice";
    }

    line = otpreg_str_trim(line);

    if (line.len != OTPREG_KEYS_BASE64_LEN
        || !otpreg_str_is_ascii(line)
        || sodium_base642bin(key->key, OTPREG_KEY_LEN,
                             (const char *) line.data, line.len, NULL, &len,
                             NULL, sodium_base64_VARIANT_ORIGINAL)
           != 0
        || len != OTPREG_KEY_LEN)
    {
        return "a key must be 32 bytes in base64";
    }

    keys->n++;

    return NULL;
}


unsigned
otpreg_keys_parse(otpreg_str_t text, otpreg_keys_t *keys, const char **error)
{
    unsigned      number;
    otpreg_str_t  line;

    sodium_memzero(keys, sizeof(otpreg_keys_t));
    *error = NULL;

    for (number = 1; otpreg_str_line(&text, &line); number++) {

        if (otpreg_str_trim(line).len == 0 || line.data[0] == '#') {
            continue;
        }

        *error = otpreg_keys_parse_line(line, keys);

        if (*error != NULL) {
            sodium_memzero(keys, sizeof(otpreg_keys_t));
            return number;
        }
    }

    if (keys->n == 0) {
        *error = "no key";
        return number;
    }

    return 0;
}


const otpreg_key_t *
otpreg_keys_find(const otpreg_keys_t *keys, const char *name)
{
    unsigned  i;

    for (i = 0; i < keys->n; i++) {

        if (strcmp(keys->key[i].name, name) == 0) {
            return &keys->key[i];
        }
    }

    return NULL;
}
