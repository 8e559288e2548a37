
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include <sodium.h>

#include "otpreg_client.h"
#include "otpreg_subkey.h"


#define OTPREG_CLIENT_CONTEXT  "otpregN1"


_Static_assert(OTPREG_CLIENT_LEN >= crypto_generichash_KEYBYTES_MIN
               && OTPREG_CLIENT_LEN >= crypto_generichash_BYTES_MIN,
               "an id is a hash, and the key of another one");


void
otpreg_client_id(const uint8_t key[OTPREG_KEY_LEN], const void *network,
    size_t len, uint8_t id[OTPREG_CLIENT_LEN])
{
    uint8_t  subkey[crypto_generichash_KEYBYTES];

    otpreg_subkey(key, OTPREG_CLIENT_CONTEXT, 1, subkey, sizeof(subkey));

    (void) crypto_generichash(id, OTPREG_CLIENT_LEN, network, len, subkey,
                              sizeof(subkey));

    sodium_memzero(subkey, sizeof(subkey));
}


void
otpreg_client_tag(const uint8_t id[OTPREG_CLIENT_LEN],
    otpreg_channel_t channel, const char *address_key,
    uint8_t tag[OTPREG_CLIENT_LEN])
{
    uint8_t                   kind;
    crypto_generichash_state  state;

    kind = (uint8_t) channel;

    (void) crypto_generichash_init(&state, id, OTPREG_CLIENT_LEN,
                                   OTPREG_CLIENT_LEN);

    (void) crypto_generichash_update(&state, &kind, 1);
    (void) crypto_generichash_update(&state, (const uint8_t *) address_key,
                                     strlen(address_key));

    (void) crypto_generichash_final(&state, tag, OTPREG_CLIENT_LEN);
}
