
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SEAL_H_INCLUDED_
#define _OTPREG_SEAL_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_identity.h"
#include "otpreg_otp.h"


#define OTPREG_KEYS_MAX          16

/* the longest name of a site, without a NUL */
#define OTPREG_SEAL_SITE_MAX     64

/* the longest token, with its NUL */
#define OTPREG_TOKEN_SIZE        704


typedef struct {
    char                name[OTPREG_KEY_NAME_MAX + 1];
    uint8_t             key[OTPREG_KEY_LEN];
} otpreg_key_t;


/* the first key seals and derives, all of them open */

typedef struct {
    unsigned            n;
    otpreg_key_t        key[OTPREG_KEYS_MAX];
} otpreg_keys_t;


/* where a token opens, and nowhere else */

typedef struct {
    otpreg_str_t        site;           /* up to OTPREG_SEAL_SITE_MAX bytes */
    otpreg_purpose_t    purpose;        /* of the flow */
} otpreg_seal_scope_t;


/* what the cookie between the two steps says */

typedef struct {
    otpreg_otp_t        otp;
    char                username[OTPREG_USERNAME_MAX + 1];  /* or empty */
    int64_t             sent_at;        /* Unix seconds: the newest send */
    int64_t             expires_at;     /* Unix seconds: of the code */
} otpreg_ticket_t;


/*
 * Parse a key file: a line is "name base64" (standard alphabet, with padding,
 * of exactly 32 bytes); blank lines and lines that begin with # are skipped;
 * CRLF is accepted; names are [A-Za-z0-9_-]{1,16} and must differ.
 *
 * text   [in]  the file
 * keys   [out] wiped on failure.  The caller owns the memory (sodium_malloc)
 * error  [out] on failure what is wrong, without a byte of a key; static
 *
 * Returns 0, or the number of the wrong line (from 1; one past the last line
 * when there is no key at all).  Thread: any.
 */
unsigned otpreg_keys_parse(otpreg_str_t text, otpreg_keys_t *keys,
    const char **error);


/* The key of that name, or NULL.  Thread: any. */
const otpreg_key_t *otpreg_keys_find(const otpreg_keys_t *keys,
    const char *name);


/*
 * Seal a ticket with XChaCha20-Poly1305 under a subkey of keys->key[0].  The
 * token is base64url without padding; the length depends on nothing but the
 * lengths of address and key names (so pad the address to a multiple of 64).
 *
 * scope  [in]  where it opens
 * ticket [in]  its purpose is that of the scope, or OTPREG_PURPOSE_NONE
 * token  [out] NUL-terminated
 *
 * Returns its length in bytes.  Thread: any.
 */
size_t otpreg_ticket_seal(const otpreg_keys_t *keys,
    const otpreg_seal_scope_t *scope, const otpreg_ticket_t *ticket,
    char token[OTPREG_TOKEN_SIZE]);


/*
 * Open a token.  False when it is not one, is for another site or flow, was
 * altered, or its key is gone; then ticket is zeroed.  The key named in
 * ticket->otp.key_name is known to be in keys when true is returned.
 * Thread: any.
 */
bool otpreg_ticket_open(const otpreg_keys_t *keys,
    const otpreg_seal_scope_t *scope, otpreg_str_t token,
    otpreg_ticket_t *ticket);


#endif /* _OTPREG_SEAL_H_INCLUDED_ */
