
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>
#include <string.h>

#include "otpreg_binding.h"
#include "otpreg_template.h"


static void
otpreg_binding_add(crypto_generichash_state *state, const void *data,
    size_t len)
{
    uint64_t  n = len;

    crypto_generichash_update(state, (const uint8_t *) &n, sizeof(n));
    crypto_generichash_update(state, data, len);
}


void
otpreg_binding_tag(const uint8_t key[OTPREG_BINDING_KEY_LEN],
    const otpreg_binding_t *parts, uint8_t tag[OTPREG_BINDING_LEN])
{
    uint8_t                   kind[2];
    crypto_generichash_state  state;

    kind[0] = (uint8_t) parts->purpose;
    kind[1] = (uint8_t) parts->channel;

    crypto_generichash_init(&state, key, OTPREG_BINDING_KEY_LEN,
                            OTPREG_BINDING_LEN);

    otpreg_binding_add(&state, parts->id, OTPREG_ID_LEN);
    otpreg_binding_add(&state, kind, sizeof(kind));
    otpreg_binding_add(&state, parts->template, strlen(parts->template));
    otpreg_binding_add(&state, parts->address, strlen(parts->address));
    otpreg_binding_add(&state, parts->code, strlen(parts->code));

    crypto_generichash_final(&state, tag, OTPREG_BINDING_LEN);

    sodium_memzero(&state, sizeof(state));
}


bool
otpreg_binding_verify(const uint8_t key[OTPREG_BINDING_KEY_LEN],
    const otpreg_binding_t *parts, const char *text,
    const uint8_t tag[OTPREG_BINDING_LEN])
{
    uint8_t       own[OTPREG_BINDING_LEN];
    otpreg_str_t  part;

    otpreg_binding_tag(key, parts, own);

    if (sodium_memcmp(own, tag, OTPREG_BINDING_LEN) != 0) {
        return false;
    }

    if (text == NULL) {
        return true;
    }

    part.data = (const uint8_t *) text;
    part.len = strlen(text);

    return otpreg_template_has_code(part, parts->code);
}
