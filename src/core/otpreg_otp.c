
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "otpreg_otp.h"
#include "otpreg_subkey.h"
#include "otpreg_unicode.h"


/*
 * The message of the HMAC: every field has a fixed width or its length before
 * it, so that no two OTPs give the same bytes.  Changing anything here makes
 * the codes that are under way wrong: change the label with it.
 */
#define OTPREG_CODE_CONTEXT      "otpregC1"
#define OTPREG_CODE_LABEL        "otpreg code v1"
#define OTPREG_CODE_LABEL_LEN    16
#define OTPREG_CODE_HEAD_LEN                                                  \
    (OTPREG_CODE_LABEL_LEN + OTPREG_ID_LEN + 3 + OTPREG_KEY_NAME_MAX + 2)

/* bytes of the HMAC that become the code */
#define OTPREG_CODE_MAC_USED     16


static void
otpreg_code_head(const otpreg_otp_t *otp, size_t address_len,
    uint8_t head[OTPREG_CODE_HEAD_LEN])
{
    uint8_t  *p;

    memset(head, 0, OTPREG_CODE_HEAD_LEN);
    p = head;

    memcpy(p, OTPREG_CODE_LABEL, sizeof(OTPREG_CODE_LABEL) - 1);
    p += OTPREG_CODE_LABEL_LEN;

    memcpy(p, otp->id, OTPREG_ID_LEN);
    p += OTPREG_ID_LEN;

    *p++ = (uint8_t) otp->purpose;
    *p++ = (uint8_t) otp->channel;
    *p++ = (uint8_t) otp->digits;

    memcpy(p, otp->key_name, strnlen(otp->key_name, OTPREG_KEY_NAME_MAX));
    p += OTPREG_KEY_NAME_MAX;

    *p++ = (uint8_t) (address_len >> 8);
    *p = (uint8_t) address_len;
}


static void
otpreg_code_mac(const uint8_t key[OTPREG_KEY_LEN], const otpreg_otp_t *otp,
    uint8_t mac[crypto_auth_hmacsha256_BYTES])
{
    size_t                        len;
    uint8_t                       head[OTPREG_CODE_HEAD_LEN];
    uint8_t                       subkey[crypto_auth_hmacsha256_KEYBYTES];
    crypto_auth_hmacsha256_state  state;

    len = strnlen(otp->address, OTPREG_OTP_ADDRESS_MAX);

    otpreg_code_head(otp, len, head);

    otpreg_subkey(key, OTPREG_CODE_CONTEXT, 1, subkey, sizeof(subkey));

    /* not the one-call function: it leaves its state on the stack */

    crypto_auth_hmacsha256_init(&state, subkey, sizeof(subkey));
    crypto_auth_hmacsha256_update(&state, head, sizeof(head));
    crypto_auth_hmacsha256_update(&state, (const uint8_t *) otp->address, len);
    crypto_auth_hmacsha256_final(&state, mac);

    sodium_memzero(subkey, sizeof(subkey));
    sodium_memzero(&state, sizeof(state));
}


void
otpreg_id_make(uint64_t now_ms, uint8_t id[OTPREG_ID_LEN])
{
    unsigned  i;

    for (i = 0; i < 6; i++) {
        id[i] = (uint8_t) (now_ms >> (40 - 8 * i));
    }

    randombytes_buf(id + 6, OTPREG_ID_LEN - 6);
}


void
otpreg_code_derive(const uint8_t key[OTPREG_KEY_LEN], const otpreg_otp_t *otp,
    char code[OTPREG_CODE_DIGITS_MAX + 1])
{
    uint8_t   mac[crypto_auth_hmacsha256_BYTES];
    uint64_t  modulus, value;
    unsigned  i;

    assert(otp->digits >= OTPREG_CODE_DIGITS_MIN
           && otp->digits <= OTPREG_CODE_DIGITS_MAX);

    otpreg_code_mac(key, otp, mac);

    modulus = 1;

    for (i = 0; i < otp->digits; i++) {
        modulus *= 10;
    }

    /* a big-endian number, 8 bits at a time: value stays below 2^42 */

    value = 0;

    for (i = 0; i < OTPREG_CODE_MAC_USED; i++) {
        value = (value << 8 | mac[i]) % modulus;
    }

    code[otp->digits] = '\0';

    for (i = otp->digits; i != 0; i--) {
        code[i - 1] = (char) ('0' + value % 10);
        value /= 10;
    }

    sodium_memzero(mac, sizeof(mac));
    sodium_memzero(&value, sizeof(value));
}


/*
 * What may be ignored: people copy "123 456" and "123-456" out of mails, mail
 * programs make the blank or the hyphen a prettier one, and who types
 * full-width digits types full-width blanks, too.
 */
static bool
otpreg_code_skip(int32_t point)
{
    return point == ' ' || (point >= '\t' && point <= '\r') || point == '-'
           || point == 0x00a0 || point == 0x2009 || point == 0x202f
           || point == 0x3000                           /* blanks */
           || (point >= 0x2010 && point <= 0x2015)
           || point == 0xff0d;                          /* hyphens */
}


bool
otpreg_code_parse(otpreg_str_t typed, unsigned digits,
    char code[OTPREG_CODE_DIGITS_MAX + 1])
{
    int       digit;
    int32_t   point;
    unsigned  n;

    assert(digits <= OTPREG_CODE_DIGITS_MAX);

    n = 0;

    while (otpreg_unicode_next(&typed, &point)) {

        if (otpreg_code_skip(point)) {
            continue;
        }

        digit = otpreg_unicode_digit(point);

        if (digit < 0 || n == digits) {
            goto failed;
        }

        code[n++] = (char) ('0' + digit);
    }

    if (typed.len == 0 && n == digits) {
        code[n] = '\0';
        return true;
    }

failed:

    sodium_memzero(code, OTPREG_CODE_DIGITS_MAX + 1);

    return false;
}


bool
otpreg_code_equal(const char *a, const char *b, unsigned digits)
{
    return sodium_memcmp(a, b, digits) == 0;
}
