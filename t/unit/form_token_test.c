
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "otpreg_form_token.h"
#include "tap.h"


/* any */
#define SITE                                                                  \
    (&(otpreg_seal_scope_t) { tap_str("site"), OTPREG_PURPOSE_SIGNUP })


#define FORM_TOKEN_LEN  (OTPREG_FORM_TOKEN_SIZE - 1)


static otpreg_str_t
form_token_str(const char *text, size_t len)
{
    return (otpreg_str_t) { (const uint8_t *) text, len };
}


#define whole(token)  form_token_str(token, FORM_TOKEN_LEN)


static void
form_token_keys(otpreg_keys_t *keys, unsigned n, unsigned first)
{
    unsigned  i;

    memset(keys, 0, sizeof(otpreg_keys_t));
    keys->n = n;

    for (i = 0; i < n; i++) {
        snprintf(keys->key[i].name, sizeof(keys->key[i].name), "k%u",
                 (first + i) % n);
        memset(keys->key[i].key, (int) (17 * ((first + i) % n + 1)),
               OTPREG_KEY_LEN);
    }
}


static void
form_token_round_trip(void)
{
    char                 token[OTPREG_FORM_TOKEN_SIZE];
    char                 other[OTPREG_FORM_TOKEN_SIZE];
    unsigned             i;
    otpreg_keys_t        keys, rotated, strangers;
    otpreg_form_token_t  form, second;

    static const int64_t  times[] = { 0, 1, 1795382568123, INT64_MAX, -1 };

    form_token_keys(&keys, 2, 0);
    form_token_keys(&rotated, 2, 1);
    form_token_keys(&strangers, 1, 0);
    memset(strangers.key[0].key, 99, OTPREG_KEY_LEN);

    for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        tap_ok(otpreg_form_token_seal(&keys, times[i], token) == FORM_TOKEN_LEN
               && strlen(token) == FORM_TOKEN_LEN, "the length is the same");
        tap_ok(otpreg_form_token_open(&keys, whole(token),
                                      &form)
               && form.shown_at == times[i], "the time comes back");
    }

    otpreg_form_token_seal(&keys, 7, token);
    otpreg_form_token_seal(&keys, 7, other);

    tap_ok(otpreg_form_token_open(&keys, whole(token),
                                  &form)
           && otpreg_form_token_open(&keys, whole(other),
                                     &second)
           && memcmp(form.id, second.id, OTPREG_FORM_ID_LEN) != 0,
           "two forms have two ids");

    tap_ok(otpreg_form_token_open(&rotated, whole(token),
                                  &form),
           "a key that was rotated still opens");
    tap_ok(!otpreg_form_token_open(&strangers,
                                   whole(token), &form)
           && form.shown_at == 0,
           "another key of the same name does not");
}


static void
form_token_forged(void)
{
    char                 token[OTPREG_FORM_TOKEN_SIZE];
    char                 ticket[OTPREG_TOKEN_SIZE];
    size_t               i, len;
    unsigned             opened;
    otpreg_keys_t        keys;
    otpreg_ticket_t      cookie;
    otpreg_form_token_t  form;

    form_token_keys(&keys, 1, 0);
    otpreg_form_token_seal(&keys, 1795382568123, token);

    opened = 0;

    for (i = 0; i < FORM_TOKEN_LEN; i++) {
        token[i] ^= 1;
        opened += otpreg_form_token_open(&keys,
                                   whole(token),
                                   &form);
        token[i] ^= 1;
    }

    tap_ok(opened == 0, "attack 38: no altered token opens");

    opened = 0;

    for (len = 0; len < FORM_TOKEN_LEN; len++) {
        opened += otpreg_form_token_open(&keys, form_token_str(token, len),
                                         &form);
    }

    tap_ok(opened == 0, "attack 38: no shortened token opens");
    tap_ok(!otpreg_form_token_open(&keys, form_token_str("\xff\xfe", 2), &form),
           "nor do other bytes");

    memset(&cookie, 0, sizeof(cookie));
    cookie.otp.purpose = OTPREG_PURPOSE_SIGNUP;
    cookie.otp.channel = OTPREG_CHANNEL_EMAIL;
    cookie.otp.digits = 6;
    strcpy(cookie.otp.key_name, "k0");

    len = otpreg_ticket_seal(&keys, SITE, &cookie, ticket);

    tap_ok(!otpreg_form_token_open(&keys, form_token_str(ticket, len), &form),
           "attack 38: a cookie is no token");
    tap_ok(!otpreg_ticket_open(&keys, SITE, whole(token),
                               &cookie),
           "and a token is no cookie");
}


static void
form_token_sender(void)
{
    uint8_t              a[OTPREG_FORM_SENDER_LEN], b[OTPREG_FORM_SENDER_LEN];
    otpreg_otp_t         otp;
    otpreg_form_token_t  form;

    memset(&form, 5, sizeof(form));
    memset(&otp, 0, sizeof(otp));
    otp.channel = OTPREG_CHANNEL_EMAIL;
    strcpy(otp.address, "bob@example.com");

    otpreg_form_sender(&form, &otp, a);
    otpreg_form_sender(&form, &otp, b);
    tap_ok(memcmp(a, b, sizeof(a)) == 0, "the same sender is the same");

    otp.channel = OTPREG_CHANNEL_SMS;
    otpreg_form_sender(&form, &otp, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "another channel is not");

    otp.channel = OTPREG_CHANNEL_EMAIL;
    otp.address[0] = 'r';
    otpreg_form_sender(&form, &otp, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "another address is not");

    otp.address[0] = 'b';
    form.id[0] ^= 1;
    otpreg_form_sender(&form, &otp, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "another form is not");
}


static void
form_token_values(void)
{
    uint8_t              a[OTPREG_FORM_VALUES_LEN], b[OTPREG_FORM_VALUES_LEN];
    otpreg_str_t         values[2];
    otpreg_keys_t        keys;
    otpreg_form_token_t  form;

    form_token_keys(&keys, 2, 0);
    memset(&form, 5, sizeof(form));
    values[0] = form_token_str("bob", 3);
    values[1] = form_token_str("secret", 6);

    otpreg_form_values(&keys, &form, values, 2, a);
    otpreg_form_values(&keys, &form, values, 2, b);
    tap_ok(memcmp(a, b, sizeof(a)) == 0, "the same values are the same");

    values[1] = form_token_str("secreT", 6);
    otpreg_form_values(&keys, &form, values, 2, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "another password is not");

    values[0] = form_token_str("bobs", 4);
    values[1] = form_token_str("ecret", 5);
    otpreg_form_values(&keys, &form, values, 2, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "nor one that is cut elsewhere");

    values[0] = form_token_str("bob", 3);
    values[1] = form_token_str("secret", 6);
    form.id[0] ^= 1;
    otpreg_form_values(&keys, &form, values, 2, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "nor those of another form");

    form.id[0] ^= 1;
    form_token_keys(&keys, 2, 1);
    otpreg_form_values(&keys, &form, values, 2, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "nor those under another key");
}


int
main(void)
{
    if (sodium_init() == -1) {
        return 1;
    }

    form_token_round_trip();
    form_token_forged();
    form_token_sender();
    form_token_values();

    return tap_done();
}
