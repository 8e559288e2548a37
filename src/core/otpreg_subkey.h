
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SUBKEY_H_INCLUDED_
#define _OTPREG_SUBKEY_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "otpreg_otp.h"


/*
 * Derive the key of one use from the key of the key file, by libsodium's KDF,
 * which leaves a copy on its stack: that is wiped here.
 *
 * context  [in]  8 characters, of the use
 * number   [in]  of several keys of one use
 * subkey   [out] len bytes, 16 to 64; the caller wipes them
 *
 * Thread: any.
 */
void otpreg_subkey(const uint8_t key[OTPREG_KEY_LEN], const char *context,
    uint64_t number, uint8_t *subkey, size_t len);


#endif /* _OTPREG_SUBKEY_H_INCLUDED_ */
