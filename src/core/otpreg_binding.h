
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
 * What leaves the house is bound together: where a code is derived, the parts
 * of its message are tagged; where they are handed over to be sent the tag is
 * verified over what is really handed over.  A mistake in between, which mixes
 * two messages, then sends nothing, instead of a code to somebody else.
 */

typedef struct {
    const uint8_t      *id;             /* OTPREG_ID_LEN bytes */
    otpreg_purpose_t    purpose;
    otpreg_channel_t    channel;
    const char         *template;       /* all three NUL-terminated */
    const char         *address;        /* whom it is for */
    const char         *code;           /* that it carries; "" for none */
} otpreg_binding_t;


/*
 * Tag a message: keyed BLAKE2b of its parts, each with its length.
 *
 * key      [in]  OTPREG_BINDING_KEY_LEN random bytes of this process
 * parts    [in]  what belongs together, the caller's
 * tag      [out] OTPREG_BINDING_LEN bytes
 *
 * Thread: any.  Cannot fail.
 */
void otpreg_binding_tag(const uint8_t key[OTPREG_BINDING_KEY_LEN],
    const otpreg_binding_t *parts, uint8_t tag[OTPREG_BINDING_LEN]);


/*
 * Whether tag is that of parts, and the code stands in text, which may be
 * NULL: not known here.  Thread: any.
 */
bool otpreg_binding_verify(const uint8_t key[OTPREG_BINDING_KEY_LEN],
    const otpreg_binding_t *parts, const char *text,
    const uint8_t tag[OTPREG_BINDING_LEN]);


#endif /* _OTPREG_BINDING_H_INCLUDED_ */
