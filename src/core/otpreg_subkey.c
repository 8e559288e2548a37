
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "otpreg_subkey.h"


/* more than the KDF and what it calls need, bytes */
#define OTPREG_SUBKEY_STACK  4096


void
otpreg_subkey(const uint8_t key[OTPREG_KEY_LEN], const char *context,
    uint64_t number, uint8_t *subkey, size_t len)
{
    (void) crypto_kdf_derive_from_key(subkey, len, number, context, key);

    sodium_stackzero(OTPREG_SUBKEY_STACK);
}
