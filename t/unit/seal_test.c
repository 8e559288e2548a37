
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "otpreg_seal.h"
#include "tap.h"


/* any */
#define SCOPE(site, purpose)                                                  \
    (&(otpreg_seal_scope_t) { tap_str(site), (otpreg_purpose_t) (purpose) })
#define SITE  SCOPE("site", OTPREG_PURPOSE_SIGNUP)


static const char  seal_test_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";


static void
seal_test_keys(otpreg_keys_t *keys, unsigned n)
{
    unsigned  i;

    memset(keys, 0, sizeof(otpreg_keys_t));
    keys->n = n;

    for (i = 0; i < n; i++) {
        snprintf(keys->key[i].name, sizeof(keys->key[i].name), "k%u", i);
        memset(keys->key[i].key, (int) (17 * (i + 1)), OTPREG_KEY_LEN);
    }
}


static void
seal_test_ticket(otpreg_ticket_t *ticket, const char *key_name, size_t address)
{
    memset(ticket, 0, sizeof(otpreg_ticket_t));
    memset(ticket->otp.id, 0xa5, OTPREG_ID_LEN);
    ticket->otp.purpose = OTPREG_PURPOSE_SIGNUP;
    ticket->otp.channel = OTPREG_CHANNEL_EMAIL;
    ticket->otp.digits = 6;
    strcpy(ticket->otp.key_name, key_name);
    memset(ticket->username, 'u', address % (OTPREG_USERNAME_MAX + 1));
    memset(ticket->otp.address, 'a', address);
    ticket->sent_at = 1795382568;
    ticket->expires_at = 1795383168;
}


static bool
seal_test_equal(const otpreg_ticket_t *a, const otpreg_ticket_t *b)
{
    return memcmp(a->otp.id, b->otp.id, OTPREG_ID_LEN) == 0
           && a->otp.purpose == b->otp.purpose
           && a->otp.channel == b->otp.channel
           && a->otp.digits == b->otp.digits
           && strcmp(a->otp.key_name, b->otp.key_name) == 0
           && strcmp(a->otp.address, b->otp.address) == 0
           && strcmp(a->username, b->username) == 0
           && a->sent_at == b->sent_at
           && a->expires_at == b->expires_at;
}


static void
seal_test_round_trip(const otpreg_keys_t *keys)
{
    bool             same, lengths;
    char             token[OTPREG_TOKEN_SIZE];
    size_t           len, address, previous;
    otpreg_ticket_t  in, out;

    same = true;
    lengths = true;
    previous = 0;

    for (address = 0; address <= OTPREG_OTP_ADDRESS_MAX; address++) {
        seal_test_ticket(&in, "k0", address);
        len = otpreg_ticket_seal(keys, SITE, &in, token);

        same &= len == strlen(token) && len < OTPREG_TOKEN_SIZE
                && strspn(token, seal_test_alphabet) == len
                && otpreg_ticket_open(keys, SITE, tap_str(token), &out)
                && seal_test_equal(&in, &out);

        /* grows with the 65th, the 129th and the 193rd character */
        lengths &= address == 0
                   || (len != previous) == (address % 64 == 1 && address > 1);
        previous = len;
    }

    tap_ok(same, "every length of an address seals and opens");
    tap_ok(lengths, "the token's length hides the address's");

    seal_test_ticket(&in, "k0", 20);
    in.sent_at = INT64_MIN;
    in.expires_at = INT64_MAX;
    in.otp.digits = 10;
    otpreg_ticket_seal(keys, SITE, &in, token);
    tap_ok(otpreg_ticket_open(keys, SITE, tap_str(token), &out)
           && seal_test_equal(&in, &out),
           "extreme times seal and open");
}


static void
seal_test_altered(const otpreg_keys_t *keys)
{
    char             token[OTPREG_TOKEN_SIZE], good;
    size_t           i, len, opened, zeroed, tried;
    unsigned         j;
    otpreg_str_t     cut;
    otpreg_ticket_t  in, out;

    seal_test_ticket(&in, "k0", 15);
    len = otpreg_ticket_seal(keys, SITE, &in, token);

    opened = 0;
    zeroed = 0;
    tried = 0;

    /* all other characters at every place: that is every bit flip and more */

    for (i = 0; i < len; i++) {
        good = token[i];

        for (j = 0; j < 256; j++) {

            if ((char) j == good) {
                continue;
            }

            token[i] = (char) j;
            memset(&out, 'x', sizeof(out));
            tried++;
            opened += otpreg_ticket_open(keys, SITE,
                                  (otpreg_str_t) { (uint8_t *) token, len },
                                  &out);
            zeroed += sodium_is_zero((uint8_t *) &out, sizeof(out));
        }

        token[i] = good;
    }

    tap_is((long long) opened, 0, "none of %zu altered tokens opens", tried);
    tap_is((long long) zeroed, (long long) tried,
           "each leaves a zeroed ticket");

    cut.data = (uint8_t *) token;

    for (opened = 0, cut.len = 0; cut.len < len; cut.len++) {
        opened += otpreg_ticket_open(keys, SITE, cut, &out);
    }

    tap_is((long long) opened, 0, "no truncated token opens");

    cut.len = len + 1;
    tap_ok(!otpreg_ticket_open(keys, SITE, cut, &out),
           "nor one with a NUL behind");

    token[len] = 'A';
    tap_ok(!otpreg_ticket_open(keys, SITE, cut, &out),
           "nor one with more behind");

    token[len] = '=';
    tap_ok(!otpreg_ticket_open(keys, SITE, cut, &out),
           "nor one with padding");

    cut.len = len;
    tap_ok(otpreg_ticket_open(keys, SITE, cut, &out),
           "the token itself still opens");

    tap_ok(!otpreg_ticket_open(keys, SCOPE("sit", 1), cut, &out)
           && !otpreg_ticket_open(keys, SCOPE("site2", 1), cut, &out)
           && !otpreg_ticket_open(keys, SCOPE("", 1), cut, &out),
           "but not at another site");
    tap_ok(!otpreg_ticket_open(keys, SCOPE("site", 2), cut, &out),
           "nor in another flow");

    /* a robot's says so only inside */

    in.otp.purpose = OTPREG_PURPOSE_NONE;
    otpreg_ticket_seal(keys, SITE, &in, token);
    tap_ok(otpreg_ticket_open(keys, SITE, tap_str(token), &out)
           && out.otp.purpose == OTPREG_PURPOSE_NONE
           && !otpreg_ticket_open(keys, SCOPE("site", 2), tap_str(token), &out)
           && !otpreg_ticket_open(keys, SCOPE("site", 255), tap_str(token),
                                  &out),
           "a robot's opens in the flow that it was made for");
}


static void
seal_test_rotation(void)
{
    char             token[OTPREG_TOKEN_SIZE];
    otpreg_keys_t    keys, rotated;
    otpreg_ticket_t  in, out;

    seal_test_keys(&keys, 2);
    seal_test_ticket(&in, "k0", 15);
    otpreg_ticket_seal(&keys, SITE, &in, token);

    rotated = keys;
    rotated.key[0] = keys.key[1];
    rotated.key[1] = keys.key[0];
    tap_ok(otpreg_ticket_open(&rotated, SITE, tap_str(token), &out)
           && seal_test_equal(&in, &out),
           "a token of the previous key opens");

    /* a resend under a new key: the code is still the old key's */
    otpreg_ticket_seal(&rotated, SITE, &in, token);
    tap_ok(otpreg_ticket_open(&rotated, SITE, tap_str(token), &out)
           && strcmp(out.otp.key_name, "k0") == 0,
           "sealed by the new key, derived by the old one");

    rotated.n = 1;
    tap_ok(!otpreg_ticket_open(&rotated, SITE, tap_str(token), &out),
           "refused when the key of its OTP is gone");

    otpreg_ticket_seal(&keys, SITE, &in, token);
    tap_ok(!otpreg_ticket_open(&rotated, SITE, tap_str(token), &out),
           "refused when its own key is gone");

    rotated = keys;
    memset(rotated.key[0].key, 1, OTPREG_KEY_LEN);
    tap_ok(!otpreg_ticket_open(&rotated, SITE, tap_str(token), &out),
           "refused when the name has another key");

    keys.n = 0;
    tap_ok(!otpreg_ticket_open(&keys, SITE, tap_str(token), &out),
           "refused when there is no key");

    seal_test_keys(&keys, 1);
    memset(keys.key[0].name, 'n', OTPREG_KEY_NAME_MAX);
    seal_test_ticket(&in, keys.key[0].name, 254);
    tap_ok(otpreg_ticket_seal(&keys, SITE, &in, token) < OTPREG_TOKEN_SIZE
           && otpreg_ticket_open(&keys, SITE, tap_str(token), &out)
           && seal_test_equal(&in, &out),
           "a key name of 16 characters");
}


/* what only a holder of the key can make, and is refused all the same */

static void
seal_test_contents(const otpreg_keys_t *keys)
{
    static const struct {
        unsigned     purpose, channel, digits;
        const char  *key_name;
        bool         opens;
    } cases[] = {
        { 1, 1, 6, "k0", true },
        { 1, 1, 10, "k1", true },
        { 0, 1, 6, "k0", false },
        { 2, 1, 6, "k0", false },
        { 1, 0, 6, "k0", false },
        { 1, 2, 6, "k0", true },
        { 1, 3, 6, "k0", false },
        { 1, 1, 0, "k0", false },
        { 1, 1, 5, "k0", false },
        { 1, 1, 11, "k0", false },
        { 1, 1, 255, "k0", false },
        { 1, 1, 6, "gone", false },
        { 1, 1, 6, "", false },
    };

    char             token[OTPREG_TOKEN_SIZE];
    size_t           i;
    otpreg_ticket_t  in, out;

    for (i = 0; i < tap_items(cases); i++) {
        seal_test_ticket(&in, cases[i].key_name, 15);
        in.otp.purpose = (otpreg_purpose_t) cases[i].purpose;
        in.otp.channel = (otpreg_channel_t) cases[i].channel;
        in.otp.digits = cases[i].digits;
        otpreg_ticket_seal(keys, SITE, &in, token);
        tap_is(otpreg_ticket_open(keys, SITE, tap_str(token), &out), cases[i].opens,
               "contents, case %zu", i);
    }
}


/* a token of a later release, sealed as this one's are */

static void
seal_test_version(const otpreg_keys_t *keys, uint8_t version)
{
    char                 token[OTPREG_TOKEN_SIZE];
    size_t               len;
    uint8_t              binary[OTPREG_TOKEN_SIZE], plain[OTPREG_TOKEN_SIZE];
    uint8_t              ad[17 + 5], subkey[OTPREG_KEY_LEN];
    otpreg_ticket_t      in, out;
    unsigned long long   n;

    const size_t         head = 17;     /* version and name of the key */
    const size_t         nonce = 24;

    seal_test_ticket(&in, "k0", 15);
    otpreg_ticket_seal(keys, SITE, &in, token);

    sodium_base642bin(binary, sizeof(binary), token, strlen(token), NULL, &len,
                      NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    memcpy(ad, binary, head);
    memcpy(ad + head, "\1site", 5);

    crypto_kdf_derive_from_key(subkey, sizeof(subkey), 1, "otpregS1",
                               keys->key[0].key);
    tap_is(crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &n, NULL,
                                                   binary + head + nonce,
                                                   len - head - nonce, ad,
                                                   sizeof(ad), binary + head,
                                                   subkey),
           0, "the parts of a token are where they are expected");

    binary[0] = version;
    ad[0] = version;

    crypto_aead_xchacha20poly1305_ietf_encrypt(binary + head + nonce, &n,
                                               plain, n, ad, sizeof(ad), NULL,
                                               binary + head, subkey);
    sodium_bin2base64(token, sizeof(token), binary, len,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);

    tap_is(otpreg_ticket_open(keys, SITE, tap_str(token), &out), version == 3,
           "a token of version %u", version);
}


int
main(void)
{
    char             one[OTPREG_TOKEN_SIZE], two[OTPREG_TOKEN_SIZE];
    otpreg_keys_t    keys;
    otpreg_ticket_t  ticket;

    if (sodium_init() < 0) {
        return 1;
    }

    seal_test_keys(&keys, 2);
    seal_test_round_trip(&keys);
    seal_test_altered(&keys);
    seal_test_rotation();
    seal_test_contents(&keys);
    seal_test_version(&keys, 0);
    seal_test_version(&keys, 2);
    seal_test_version(&keys, 3);
    seal_test_version(&keys, 4);

    seal_test_ticket(&ticket, "k0", 15);
    otpreg_ticket_seal(&keys, SITE, &ticket, one);
    otpreg_ticket_seal(&keys, SITE, &ticket, two);
    tap_ok(strcmp(one, two) != 0, "two tokens of one ticket differ");

    tap_ok(!otpreg_ticket_open(&keys, SITE, (otpreg_str_t) { NULL, 0 }, &ticket),
           "nothing is no token");

    return tap_done();
}
