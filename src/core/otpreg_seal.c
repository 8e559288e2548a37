
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "otpreg_seal.h"
#include "otpreg_subkey.h"


/*
 * A token is base64url of
 *
 *     version (1), name of the sealing key (16, zero-padded), nonce (24),
 *     ticket, encrypted, with its tag (16)
 *
 * where all before the nonce is authenticated as well, and then the purpose of
 * the flow (1) and the site, which are not in it; and a ticket is
 *
 *     id (16), purpose (1), channel (1), digits (1), sent_at (8),
 *     expires_at (8), name of the OTP's key (16, zero-padded),
 *     username (150, zero-padded),
 *     address length (1), address (zero-padded to a multiple of 64)
 */
#define OTPREG_SEAL_CONTEXT      "otpregS1"
#define OTPREG_SEAL_VERSION      3

#define OTPREG_SEAL_AD_LEN       (1 + OTPREG_KEY_NAME_MAX)
#define OTPREG_SEAL_AD_MAX       (OTPREG_SEAL_AD_LEN + 1 + OTPREG_SEAL_SITE_MAX)
#define OTPREG_SEAL_HEAD_LEN                                                  \
    (OTPREG_SEAL_AD_LEN + crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)
#define OTPREG_SEAL_TAG_LEN      crypto_aead_xchacha20poly1305_ietf_ABYTES

#define OTPREG_SEAL_PAD          64
#define OTPREG_SEAL_FIXED_LEN                                                 \
    (OTPREG_ID_LEN + 3 + 8 + 8 + OTPREG_KEY_NAME_MAX + OTPREG_USERNAME_MAX + 1)
#define OTPREG_SEAL_PLAIN_MAX    (OTPREG_SEAL_FIXED_LEN + 4 * OTPREG_SEAL_PAD)
#define OTPREG_SEAL_BINARY_MAX                                                \
    (OTPREG_SEAL_HEAD_LEN + OTPREG_SEAL_PLAIN_MAX + OTPREG_SEAL_TAG_LEN)

_Static_assert(OTPREG_OTP_ADDRESS_MAX <= 4 * OTPREG_SEAL_PAD
               && OTPREG_OTP_ADDRESS_MAX <= 255,
               "an address must fit into a ticket");

_Static_assert(sodium_base64_ENCODED_LEN(OTPREG_SEAL_BINARY_MAX,
                               sodium_base64_VARIANT_URLSAFE_NO_PADDING)
               <= OTPREG_TOKEN_SIZE,
               "the longest token must fit");


static uint8_t *
otpreg_seal_put_time(uint8_t *p, int64_t time)
{
    unsigned  i;

    for (i = 0; i < 8; i++) {
        *p++ = (uint8_t) ((uint64_t) time >> (56 - 8 * i));
    }

    return p;
}


static int64_t
otpreg_seal_get_time(const uint8_t *p)
{
    uint64_t  time;
    unsigned  i;

    time = 0;

    for (i = 0; i < 8; i++) {
        time = time << 8 | p[i];
    }

    return (int64_t) time;
}


static void
otpreg_seal_subkey(const otpreg_key_t *key,
    uint8_t subkey[crypto_aead_xchacha20poly1305_ietf_KEYBYTES])
{
    otpreg_subkey(key->key, OTPREG_SEAL_CONTEXT, 1, subkey,
                  crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
}


static size_t
otpreg_seal_pack(const otpreg_ticket_t *ticket,
    uint8_t plain[OTPREG_SEAL_PLAIN_MAX])
{
    size_t               len;
    uint8_t             *p;
    const otpreg_otp_t  *otp;

    memset(plain, 0, OTPREG_SEAL_PLAIN_MAX);
    otp = &ticket->otp;
    p = plain;

    memcpy(p, otp->id, OTPREG_ID_LEN);
    p += OTPREG_ID_LEN;

    *p++ = (uint8_t) otp->purpose;
    *p++ = (uint8_t) otp->channel;
    *p++ = (uint8_t) otp->digits;

    p = otpreg_seal_put_time(p, ticket->sent_at);
    p = otpreg_seal_put_time(p, ticket->expires_at);

    memcpy(p, otp->key_name, strnlen(otp->key_name, OTPREG_KEY_NAME_MAX));
    p += OTPREG_KEY_NAME_MAX;

    memcpy(p, ticket->username,
           strnlen(ticket->username, OTPREG_USERNAME_MAX));
    p += OTPREG_USERNAME_MAX;

    len = strnlen(otp->address, OTPREG_OTP_ADDRESS_MAX);

    *p++ = (uint8_t) len;
    memcpy(p, otp->address, len);

    /* an empty address takes a block too */

    return OTPREG_SEAL_FIXED_LEN
           + (len / OTPREG_SEAL_PAD + (len % OTPREG_SEAL_PAD != 0 || len == 0))
             * OTPREG_SEAL_PAD;
}


/*
 * What was packed by an older release may be refused here, but nothing is
 * taken on trust: a key is shared by nodes that may run different releases.
 */
static bool
otpreg_seal_unpack(const uint8_t *p, size_t len, otpreg_purpose_t purpose,
    otpreg_ticket_t *ticket)
{
    size_t         address_len;
    otpreg_otp_t  *otp;

    otp = &ticket->otp;

    memcpy(otp->id, p, OTPREG_ID_LEN);
    p += OTPREG_ID_LEN;

    otp->purpose = (otpreg_purpose_t) *p++;
    otp->channel = (otpreg_channel_t) *p++;
    otp->digits = *p++;

    ticket->sent_at = otpreg_seal_get_time(p);
    p += 8;

    ticket->expires_at = otpreg_seal_get_time(p);
    p += 8;

    memcpy(otp->key_name, p, strnlen((const char *) p, OTPREG_KEY_NAME_MAX));
    p += OTPREG_KEY_NAME_MAX;

    memcpy(ticket->username, p, strnlen((const char *) p,
                                        OTPREG_USERNAME_MAX));
    p += OTPREG_USERNAME_MAX;

    address_len = *p++;

    if (address_len > OTPREG_OTP_ADDRESS_MAX
        || address_len > len - OTPREG_SEAL_FIXED_LEN
        || memchr(p, '\0', address_len) != NULL)
    {
        return false;
    }

    memcpy(otp->address, p, address_len);

    return (otp->purpose == purpose || otp->purpose == OTPREG_PURPOSE_NONE)
           && (otp->channel == OTPREG_CHANNEL_EMAIL
               || otp->channel == OTPREG_CHANNEL_SMS)
           && otp->digits >= OTPREG_CODE_DIGITS_MIN
           && otp->digits <= OTPREG_CODE_DIGITS_MAX;
}


/* What is not in the token's plain text, but sealed with it; its length. */

static size_t
otpreg_seal_ad(const uint8_t *binary, const otpreg_seal_scope_t *scope,
    uint8_t ad[OTPREG_SEAL_AD_MAX])
{
    assert(scope->site.len <= OTPREG_SEAL_SITE_MAX);

    memcpy(ad, binary, OTPREG_SEAL_AD_LEN);
    ad[OTPREG_SEAL_AD_LEN] = (uint8_t) scope->purpose;

    if (scope->site.len != 0) {
        memcpy(ad + OTPREG_SEAL_AD_LEN + 1, scope->site.data, scope->site.len);
    }

    return OTPREG_SEAL_AD_LEN + 1 + scope->site.len;
}


size_t
otpreg_ticket_seal(const otpreg_keys_t *keys,
    const otpreg_seal_scope_t *scope, const otpreg_ticket_t *ticket,
    char token[OTPREG_TOKEN_SIZE])
{
    size_t                len, ad_len;
    uint8_t               ad[OTPREG_SEAL_AD_MAX];
    uint8_t               binary[OTPREG_SEAL_BINARY_MAX];
    uint8_t               plain[OTPREG_SEAL_PLAIN_MAX];
    uint8_t               subkey[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    uint8_t              *nonce, *sealed;
    unsigned long long    sealed_len;

    assert(keys->n != 0);

    nonce = binary + OTPREG_SEAL_AD_LEN;
    sealed = binary + OTPREG_SEAL_HEAD_LEN;

    memset(binary, 0, OTPREG_SEAL_AD_LEN);
    binary[0] = OTPREG_SEAL_VERSION;
    memcpy(binary + 1, keys->key[0].name,
           strnlen(keys->key[0].name, OTPREG_KEY_NAME_MAX));

    randombytes_buf(nonce, OTPREG_SEAL_HEAD_LEN - OTPREG_SEAL_AD_LEN);

    len = otpreg_seal_pack(ticket, plain);
    ad_len = otpreg_seal_ad(binary, scope, ad);

    otpreg_seal_subkey(&keys->key[0], subkey);

    (void) crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, &sealed_len,
                                                plain, len, ad, ad_len, NULL,
                                                nonce, subkey);

    sodium_bin2base64(token, OTPREG_TOKEN_SIZE, binary,
                      OTPREG_SEAL_HEAD_LEN + (size_t) sealed_len,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    sodium_memzero(subkey, sizeof(subkey));
    sodium_memzero(plain, sizeof(plain));

    return strlen(token);
}


/* Decrypt into plain; its length, or 0. */

static size_t
otpreg_seal_decrypt(const otpreg_keys_t *keys,
    const otpreg_seal_scope_t *scope, const uint8_t *binary, size_t len,
    uint8_t plain[OTPREG_SEAL_PLAIN_MAX])
{
    int                   rc;
    size_t                ad_len;
    uint8_t               ad[OTPREG_SEAL_AD_MAX];
    char                  name[OTPREG_KEY_NAME_MAX + 1];
    uint8_t               subkey[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    const otpreg_key_t   *key;
    unsigned long long    plain_len;

    if (len < OTPREG_SEAL_HEAD_LEN + OTPREG_SEAL_FIXED_LEN
              + OTPREG_SEAL_TAG_LEN
        || binary[0] != OTPREG_SEAL_VERSION)
    {
        return 0;
    }

    memcpy(name, binary + 1, OTPREG_KEY_NAME_MAX);
    name[OTPREG_KEY_NAME_MAX] = '\0';

    key = otpreg_keys_find(keys, name);

    if (key == NULL) {
        return 0;
    }

    otpreg_seal_subkey(key, subkey);
    ad_len = otpreg_seal_ad(binary, scope, ad);

    rc = crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &plain_len, NULL,
                                                binary + OTPREG_SEAL_HEAD_LEN,
                                                len - OTPREG_SEAL_HEAD_LEN,
                                                ad, ad_len,
                                                binary + OTPREG_SEAL_AD_LEN,
                                                subkey);

    sodium_memzero(subkey, sizeof(subkey));

    return rc == 0 ? (size_t) plain_len : 0;
}


bool
otpreg_ticket_open(const otpreg_keys_t *keys,
    const otpreg_seal_scope_t *scope, otpreg_str_t token,
    otpreg_ticket_t *ticket)
{
    bool     ok;
    size_t   len;
    uint8_t  binary[OTPREG_SEAL_BINARY_MAX];
    uint8_t  plain[OTPREG_SEAL_PLAIN_MAX];

    memset(ticket, 0, sizeof(otpreg_ticket_t));

    if (!otpreg_str_is_ascii(token)
        || sodium_base642bin(binary, sizeof(binary), (const char *) token.data,
                             token.len, NULL, &len, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING)
           != 0)
    {
        return false;
    }

    len = otpreg_seal_decrypt(keys, scope, binary, len, plain);

    ok = len != 0
         && otpreg_seal_unpack(plain, len, scope->purpose, ticket)
         && otpreg_keys_find(keys, ticket->otp.key_name) != NULL;

    if (!ok) {
        memset(ticket, 0, sizeof(otpreg_ticket_t));
    }

    sodium_memzero(plain, sizeof(plain));

    return ok;
}
