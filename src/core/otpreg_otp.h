
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_OTP_H_INCLUDED_
#define _OTPREG_OTP_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_str.h"


#define OTPREG_ID_LEN            16
#define OTPREG_KEY_LEN           32
#define OTPREG_KEY_NAME_MAX      16
#define OTPREG_CODE_DIGITS_MIN   6
#define OTPREG_CODE_DIGITS_MAX   10
#define OTPREG_OTP_ADDRESS_MAX   254


/* the numbers are in the database and in sealed tokens: never change one */

typedef enum {
    OTPREG_PURPOSE_SIGNUP = 1,
    OTPREG_PURPOSE_NONE = 255           /* a robot's: in tokens only */
} otpreg_purpose_t;


typedef enum {
    OTPREG_CHANNEL_EMAIL = 1,
    OTPREG_CHANNEL_SMS = 2
} otpreg_channel_t;


/*
 * All that a code is derived from, beside the key.  The address is the one
 * that the code is sent to, NUL-terminated.
 */
typedef struct {
    uint8_t             id[OTPREG_ID_LEN];
    otpreg_purpose_t    purpose;
    otpreg_channel_t    channel;
    unsigned            digits;         /* 6 .. 10 */
    char                key_name[OTPREG_KEY_NAME_MAX + 1];
    char                address[OTPREG_OTP_ADDRESS_MAX + 1];
} otpreg_otp_t;


/*
 * Make a time-ordered random id: 48 bits of milliseconds, big-endian, and 80
 * random bits (the layout of a UUIDv7, without its version bits).
 *
 * now_ms [in]  Unix milliseconds; only for the order of ids, never compared
 * id     [out] OTPREG_ID_LEN bytes
 *
 * Thread: any, after sodium_init().  Cannot fail.
 */
void otpreg_id_make(uint64_t now_ms, uint8_t id[OTPREG_ID_LEN]);


/*
 * Derive the code of an OTP: the first 128 bits of HMAC-SHA-256 under a subkey
 * of key, modulo 10^digits (bias below 2^-94), leading zeros kept.
 *
 * key    [in]  the key that otp->key_name names, OTPREG_KEY_LEN bytes
 * otp    [in]  every field counts
 * code   [out] otp->digits digits and a NUL; the caller wipes it
 *
 * Thread: any.  No failure for valid input; a bug (digits out of range) is
 * an assert().
 */
void otpreg_code_derive(const uint8_t key[OTPREG_KEY_LEN],
    const otpreg_otp_t *otp, char code[OTPREG_CODE_DIGITS_MAX + 1]);


/*
 * Take the digits out of what a person typed, those of any script (Unicode's
 * Nd: Arabic-Indic, Devanagari, full-width, ...): white space (ASCII, U+00A0,
 * U+2009, U+202F, U+3000) and hyphens (ASCII, U+2010 to U+2015, U+FF0D) are
 * skipped; everything else is refused.
 *
 * typed  [in]  any bytes
 * digits [in]  how many there must be
 * code   [out] the digits, ASCII, and a NUL; the caller wipes it
 *
 * Returns whether there were exactly so many digits.  Thread: any.
 */
bool otpreg_code_parse(otpreg_str_t typed, unsigned digits,
    char code[OTPREG_CODE_DIGITS_MAX + 1]);


/*
 * Compare two codes of the given number of digits in constant time.
 * Thread: any.
 */
bool otpreg_code_equal(const char *a, const char *b, unsigned digits);


#endif /* _OTPREG_OTP_H_INCLUDED_ */
