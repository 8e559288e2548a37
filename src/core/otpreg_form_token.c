
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <assert.h>
#include <string.h>

#include <sodium.h>

#include "otpreg_form_token.h"
#include "otpreg_subkey.h"


/*
 * A token is base64url of
 *
 *     version (1), name of the key (16, zero-padded), nonce (24),
 *     shown_at (8), encrypted, with its tag (16)
 *
 * where all before the nonce is authenticated as well.
 */
#define OTPREG_FORM_CONTEXT      "otpregF1"
#define OTPREG_FORM_VERSION      1

#define OTPREG_FORM_SUBKEY       crypto_aead_xchacha20poly1305_ietf_KEYBYTES

/* numbers of the subkeys */
#define OTPREG_FORM_SEAL         1
#define OTPREG_FORM_HASH         2

#define OTPREG_FORM_AD_LEN       (1 + OTPREG_KEY_NAME_MAX)
#define OTPREG_FORM_HEAD_LEN     (OTPREG_FORM_AD_LEN + OTPREG_FORM_ID_LEN)
#define OTPREG_FORM_PLAIN_LEN    8
#define OTPREG_FORM_BINARY_LEN                                                \
    (OTPREG_FORM_HEAD_LEN + OTPREG_FORM_PLAIN_LEN                             \
     + crypto_aead_xchacha20poly1305_ietf_ABYTES)

_Static_assert(OTPREG_FORM_ID_LEN
               == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
               "the id of a form is the nonce");

_Static_assert(sodium_base64_ENCODED_LEN(OTPREG_FORM_BINARY_LEN,
                               sodium_base64_VARIANT_URLSAFE_NO_PADDING)
               == OTPREG_FORM_TOKEN_SIZE,
               "the size of a token");


static void
otpreg_form_subkey(const otpreg_key_t *key, uint64_t number,
    uint8_t subkey[OTPREG_FORM_SUBKEY])
{
    otpreg_subkey(key->key, OTPREG_FORM_CONTEXT, number, subkey,
                  OTPREG_FORM_SUBKEY);
}


size_t
otpreg_form_token_seal(const otpreg_keys_t *keys, int64_t shown_at,
    char token[OTPREG_FORM_TOKEN_SIZE])
{
    uint8_t             binary[OTPREG_FORM_BINARY_LEN];
    uint8_t             plain[OTPREG_FORM_PLAIN_LEN];
    uint8_t             subkey[OTPREG_FORM_SUBKEY];
    unsigned            i;
    unsigned long long  len;

    assert(keys->n != 0);

    memset(binary, 0, OTPREG_FORM_AD_LEN);
    binary[0] = OTPREG_FORM_VERSION;
    memcpy(binary + 1, keys->key[0].name,
           strnlen(keys->key[0].name, OTPREG_KEY_NAME_MAX));

    randombytes_buf(binary + OTPREG_FORM_AD_LEN, OTPREG_FORM_ID_LEN);

    for (i = 0; i < OTPREG_FORM_PLAIN_LEN; i++) {
        plain[i] = (uint8_t) ((uint64_t) shown_at >> (56 - 8 * i));
    }

    otpreg_form_subkey(&keys->key[0], OTPREG_FORM_SEAL, subkey);

    (void) crypto_aead_xchacha20poly1305_ietf_encrypt(
                                           binary + OTPREG_FORM_HEAD_LEN, &len,
                                           plain, sizeof(plain), binary,
                                           OTPREG_FORM_AD_LEN, NULL,
                                           binary + OTPREG_FORM_AD_LEN,
                                           subkey);

    sodium_memzero(subkey, sizeof(subkey));

    sodium_bin2base64(token, OTPREG_FORM_TOKEN_SIZE, binary, sizeof(binary),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    return OTPREG_FORM_TOKEN_SIZE - 1;
}


bool
otpreg_form_token_open(const otpreg_keys_t *keys, otpreg_str_t token,
    otpreg_form_token_t *form)
{
    int                  rc;
    char                 name[OTPREG_KEY_NAME_MAX + 1];
    size_t               len;
    uint8_t              binary[OTPREG_FORM_BINARY_LEN];
    uint8_t              plain[OTPREG_FORM_PLAIN_LEN];
    uint8_t              subkey[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
    unsigned             i;
    const otpreg_key_t  *key;

    memset(form, 0, sizeof(otpreg_form_token_t));

    if (!otpreg_str_is_ascii(token)
        || sodium_base642bin(binary, sizeof(binary), (const char *) token.data,
                             token.len, NULL, &len, NULL,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING)
           != 0
        || len != sizeof(binary)
        || binary[0] != OTPREG_FORM_VERSION)
    {
        return false;
    }

    memcpy(name, binary + 1, OTPREG_KEY_NAME_MAX);
    name[OTPREG_KEY_NAME_MAX] = '\0';

    key = otpreg_keys_find(keys, name);

    if (key == NULL) {
        return false;
    }

    otpreg_form_subkey(key, OTPREG_FORM_SEAL, subkey);

    rc = crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL,
                                           binary + OTPREG_FORM_HEAD_LEN,
                                           len - OTPREG_FORM_HEAD_LEN,
                                           binary, OTPREG_FORM_AD_LEN,
                                           binary + OTPREG_FORM_AD_LEN,
                                           subkey);

    sodium_memzero(subkey, sizeof(subkey));

    if (rc != 0) {
        return false;
    }

    memcpy(form->id, binary + OTPREG_FORM_AD_LEN, OTPREG_FORM_ID_LEN);

    for (i = 0; i < OTPREG_FORM_PLAIN_LEN; i++) {
        form->shown_at = (int64_t) ((uint64_t) form->shown_at << 8 | plain[i]);
    }

    return true;
}


void
otpreg_form_sender(const otpreg_form_token_t *form, const otpreg_otp_t *otp,
    uint8_t sender[OTPREG_FORM_SENDER_LEN])
{
    uint8_t  text[1 + OTPREG_OTP_ADDRESS_MAX];
    size_t   len;

    len = strnlen(otp->address, OTPREG_OTP_ADDRESS_MAX);

    text[0] = (uint8_t) otp->channel;
    memcpy(text + 1, otp->address, len);

    (void) crypto_generichash(sender, OTPREG_FORM_SENDER_LEN, text, 1 + len,
                              form->id, OTPREG_FORM_ID_LEN);
}


void
otpreg_form_values(const otpreg_keys_t *keys, const otpreg_form_token_t *form,
    const otpreg_str_t *values, unsigned n,
    uint8_t hash[OTPREG_FORM_VALUES_LEN])
{
    uint8_t                   subkey[OTPREG_FORM_SUBKEY];
    uint64_t                  len;
    unsigned                  i;
    crypto_generichash_state  state;

    otpreg_form_subkey(&keys->key[0], OTPREG_FORM_HASH, subkey);

    (void) crypto_generichash_init(&state, subkey, sizeof(subkey),
                                   OTPREG_FORM_VALUES_LEN);

    (void) crypto_generichash_update(&state, form->id, OTPREG_FORM_ID_LEN);

    for (i = 0; i < n; i++) {
        len = values[i].len;

        (void) crypto_generichash_update(&state, (uint8_t *) &len,
                                         sizeof(len));
        (void) crypto_generichash_update(&state, values[i].data,
                                         values[i].len);
    }

    (void) crypto_generichash_final(&state, hash, OTPREG_FORM_VALUES_LEN);

    sodium_memzero(&state, sizeof(state));
    sodium_memzero(subkey, sizeof(subkey));
}
