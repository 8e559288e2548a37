
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "fuzz.h"
#include "otpreg_seal.h"


/* any */
#define SITE                                                                  \
    (&(otpreg_seal_scope_t) { fuzz_str("site"), OTPREG_PURPOSE_SIGNUP })


/* version, key name, nonce: as otpreg_seal.c has them */
#define FUZZ_AD_LEN              17
#define FUZZ_HEAD_LEN            (FUZZ_AD_LEN + 24)
#define FUZZ_PLAIN_MAX           600


static uint8_t        fuzz_version;
static otpreg_keys_t  fuzz_keys;


static bool fuzz_plain(const uint8_t *data, size_t len);


/* what is sealed with a ticket: its head, and the site */

static const uint8_t *
fuzz_ad(const uint8_t *binary)
{
    static uint8_t  ad[FUZZ_AD_LEN + 5];

    memcpy(ad, binary, FUZZ_AD_LEN);
    memcpy(ad + FUZZ_AD_LEN, "\1site", 5);

    return ad;
}


/*
 * What a real ticket is, unsealed, opens when it is sealed here: else nothing
 * would come as far as unpacking, after a change of the format.
 */

static void
fuzz_real(void)
{
    char                 token[OTPREG_TOKEN_SIZE];
    size_t               len;
    uint8_t              subkey[32], binary[1024], plain[1024];
    otpreg_ticket_t      ticket;
    unsigned long long   plain_len;

    memset(&ticket, 0, sizeof(otpreg_ticket_t));
    ticket.otp.purpose = OTPREG_PURPOSE_SIGNUP;
    ticket.otp.channel = OTPREG_CHANNEL_EMAIL;
    ticket.otp.digits = 6;
    strcpy(ticket.otp.key_name, "k0");
    strcpy(ticket.otp.address, "a@example.com");

    len = otpreg_ticket_seal(&fuzz_keys, SITE, &ticket, token);

    fuzz_check(sodium_base642bin(binary, sizeof(binary), token, len, NULL,
                                 &len, NULL,
                                 sodium_base64_VARIANT_URLSAFE_NO_PADDING)
               == 0);

    fuzz_version = binary[0];

    crypto_kdf_derive_from_key(subkey, sizeof(subkey), 1, "otpregS1",
                               fuzz_keys.key[0].key);
    fuzz_check(crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &plain_len,
                                          NULL, binary + FUZZ_HEAD_LEN,
                                          len - FUZZ_HEAD_LEN,
                                          fuzz_ad(binary), FUZZ_AD_LEN + 5,
                                          binary + FUZZ_AD_LEN, subkey)
               == 0);
    fuzz_check(plain_len <= FUZZ_PLAIN_MAX);
    fuzz_check(fuzz_plain(plain, plain_len));
}


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;

    if (sodium_init() < 0) {
        return 1;
    }

    fuzz_keys.n = 2;
    strcpy(fuzz_keys.key[0].name, "k0");
    strcpy(fuzz_keys.key[1].name, "k1");
    memset(fuzz_keys.key[0].key, 0x11, OTPREG_KEY_LEN);
    memset(fuzz_keys.key[1].key, 0x22, OTPREG_KEY_LEN);

    fuzz_real();

    return 0;
}


/* A ticket that opened is sound, and seals and opens to the same. */

static void
fuzz_opened(const otpreg_ticket_t *ticket)
{
    char             token[OTPREG_TOKEN_SIZE];
    size_t           len;
    otpreg_ticket_t  again;

    fuzz_check(ticket->otp.purpose == OTPREG_PURPOSE_SIGNUP
               || ticket->otp.purpose == OTPREG_PURPOSE_NONE);
    fuzz_check(ticket->otp.channel == OTPREG_CHANNEL_EMAIL
               || ticket->otp.channel == OTPREG_CHANNEL_SMS);
    fuzz_check(ticket->otp.digits >= OTPREG_CODE_DIGITS_MIN
               && ticket->otp.digits <= OTPREG_CODE_DIGITS_MAX);
    fuzz_check(otpreg_keys_find(&fuzz_keys, ticket->otp.key_name) != NULL);
    fuzz_check(strnlen(ticket->otp.address, sizeof(ticket->otp.address))
               <= OTPREG_OTP_ADDRESS_MAX);

    len = otpreg_ticket_seal(&fuzz_keys, SITE, ticket, token);
    fuzz_check(len < OTPREG_TOKEN_SIZE);
    fuzz_check(otpreg_ticket_open(&fuzz_keys, SITE, fuzz_str(token), &again));
    fuzz_check(memcmp(ticket, &again, sizeof(again)) == 0);
}


/* Any token: one that opens must be in the corpus, nobody else can make it. */

static void
fuzz_token(const uint8_t *data, size_t len)
{
    uint8_t          *copy;
    otpreg_ticket_t   ticket;

    copy = fuzz_copy(data, len);

    if (otpreg_ticket_open(&fuzz_keys, SITE, (otpreg_str_t) { copy, len }, &ticket)) {
        fuzz_opened(&ticket);

    } else {
        fuzz_check(sodium_is_zero((uint8_t *) &ticket, sizeof(ticket)));
    }

    free(copy);
}


/* Any ticket, properly sealed, to come as far as unpacking it. */

static bool
fuzz_plain(const uint8_t *data, size_t len)
{
    char                 token[2048];
    uint8_t              subkey[32];
    uint8_t              binary[FUZZ_HEAD_LEN + FUZZ_PLAIN_MAX + 16];
    otpreg_ticket_t      ticket;
    unsigned long long   sealed;

    if (len > FUZZ_PLAIN_MAX) {
        len = FUZZ_PLAIN_MAX;
    }

    memset(binary, 0, sizeof(binary));
    binary[0] = fuzz_version;
    memcpy(binary + 1, "k1", 2);

    crypto_kdf_derive_from_key(subkey, sizeof(subkey), 1, "otpregS1",
                               fuzz_keys.key[1].key);
    crypto_aead_xchacha20poly1305_ietf_encrypt(binary + FUZZ_HEAD_LEN, &sealed,
                                               data, len, fuzz_ad(binary),
                                               FUZZ_AD_LEN + 5, NULL,
                                               binary + FUZZ_AD_LEN, subkey);

    sodium_bin2base64(token, sizeof(token), binary, FUZZ_HEAD_LEN + sealed,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    if (!otpreg_ticket_open(&fuzz_keys, SITE, fuzz_str(token), &ticket)) {
        return false;
    }

    fuzz_opened(&ticket);

    return true;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_token(data, len);
    (void) fuzz_plain(data, len);

    return 0;
}
