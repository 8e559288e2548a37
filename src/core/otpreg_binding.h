
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_BINDING_H_INCLUDED_
#define _OTPREG_BINDING_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_otp.h"


#define OTPREG_BINDING_KEY_LEN  32
#define OTPREG_BINDING_LEN      16


/*
 * What leaves the house is bound together: where a code is derived, message,
 * address and code are tagged; where they are handed over to be sent the tag
 * is verified over what is really handed over.  A mistake in between, which
 * mixes two messages, then sends nothing, instead of a code to somebody else.
 */


/*
 * Tag a message: keyed BLAKE2b of id, address and code, each with its length.
 *
 * key      [in]  OTPREG_BINDING_KEY_LEN random bytes of this process
 * id       [in]  of the message, OTPREG_ID_LEN bytes
 * address  [in]  whom it is for, NUL-terminated
 * code     [in]  that it carries, NUL-terminated; "" for none
 * tag      [out] OTPREG_BINDING_LEN bytes
 *
 * Thread: any.  Cannot fail.
 */
void otpreg_binding_tag(const uint8_t key[OTPREG_BINDING_KEY_LEN],
    const uint8_t id[OTPREG_ID_LEN], const char *address, const char *code,
    uint8_t tag[OTPREG_BINDING_LEN]);


/*
 * Whether tag is that of id, address and code, and the code stands in text,
 * which may be NULL: not known here.  Thread: any.
 */
bool otpreg_binding_verify(const uint8_t key[OTPREG_BINDING_KEY_LEN],
    const uint8_t id[OTPREG_ID_LEN], const char *address, const char *code,
    const char *text, const uint8_t tag[OTPREG_BINDING_LEN]);


#endif /* _OTPREG_BINDING_H_INCLUDED_ */
