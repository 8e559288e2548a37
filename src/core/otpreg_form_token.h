
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_FORM_TOKEN_H_INCLUDED_
#define _OTPREG_FORM_TOKEN_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_seal.h"


/*
 * What a hidden field of the form says: when the form was shown.  It is sealed,
 * so that nobody can make one up; the random bytes that seal it tell one form
 * from another.
 */


#define OTPREG_FORM_ID_LEN       24

/* the length of all tokens, with the NUL */
#define OTPREG_FORM_TOKEN_SIZE   88


typedef struct {
    uint8_t             id[OTPREG_FORM_ID_LEN];     /* random */
    int64_t             shown_at;                   /* Unix milliseconds */
} otpreg_form_token_t;


/*
 * Seal a token by keys->key[0].
 *
 * token  [out] base64url without padding, NUL-terminated
 *
 * Returns its length in bytes, always the same.  Thread: any.
 */
size_t otpreg_form_token_seal(const otpreg_keys_t *keys, int64_t shown_at,
    char token[OTPREG_FORM_TOKEN_SIZE]);


/*
 * Open a token.  False when it is not one, was altered, or its key is gone;
 * then form is zeroed.  Thread: any.
 */
bool otpreg_form_token_open(const otpreg_keys_t *keys, otpreg_str_t token,
    otpreg_form_token_t *form);


/*
 * Who sent a form: a hash of a channel and an address that nobody can guess
 * who has not seen the token.  Thread: any.
 */
#define OTPREG_FORM_SENDER_LEN   16

void otpreg_form_sender(const otpreg_form_token_t *form,
    const otpreg_otp_t *otp, uint8_t sender[OTPREG_FORM_SENDER_LEN]);


/*
 * What was sent in a form: a hash of its values, each with its length, under
 * a subkey of keys->key[0].  Who has not got the key can find out by it neither
 * a value, a password for example, nor whether two forms had the same.
 * Thread: any.
 */
#define OTPREG_FORM_VALUES_LEN   16

void otpreg_form_values(const otpreg_keys_t *keys,
    const otpreg_form_token_t *form, const otpreg_str_t *values, unsigned n,
    uint8_t hash[OTPREG_FORM_VALUES_LEN]);


#endif /* _OTPREG_FORM_TOKEN_H_INCLUDED_ */
