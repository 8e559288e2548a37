
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdlib.h>

#include <sodium.h>

#include "otpreg_password.h"
#include "otpreg_unicode.h"
#include "tap.h"


#define EMOJI                    "\xf0\x9f\x98\x80"
#define FAMILY                   "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9"

/* the hash is as slow as it is told to be: the least here */
#define PASSWORD_TEST_MEMORY     8192


static const otpreg_password_policy_t  password_test_policy = { 15, 128, NULL };


static otpreg_outcome_t
password_test_repeat(const char *unit, size_t n, otpreg_password_t *out)
{
    char              in[OTPREG_PASSWORD_CHARS_MAX * 32];
    size_t            i, len;
    otpreg_str_t      str;

    len = strlen(unit);

    for (i = 0; i < n; i++) {
        memcpy(in + i * len, unit, len);
    }

    str.data = (uint8_t *) in;
    str.len = n * len;

    return otpreg_password_check(str, &password_test_policy, NULL, 0, out);
}


static void
password_test_lengths(void)
{
    static const struct {
        const char        *unit;
        size_t             n;
        otpreg_outcome_t   rc;
        const char        *name;
    } cases[] = {
        { "a", 0, OTPREG_REQUIRED, "empty" },
        { "a", 1, OTPREG_PASSWORD_TOO_SHORT, "1 character" },
        { "a", 14, OTPREG_PASSWORD_TOO_SHORT, "14 characters" },
        { "a", 15, OTPREG_OK, "15 characters" },
        { "a", 64, OTPREG_OK, "64 characters" },
        { "a", 128, OTPREG_OK, "128 characters" },
        { "a", 129, OTPREG_PASSWORD_TOO_LONG, "129 characters" },
        { "a", 4096, OTPREG_PASSWORD_TOO_LONG, "4096 characters" },
        { " ", 14, OTPREG_PASSWORD_TOO_SHORT, "14 blanks" },
        { " ", 15, OTPREG_OK, "15 blanks" },
        { EMOJI, 14, OTPREG_PASSWORD_TOO_SHORT, "14 emoji" },
        { EMOJI, 15, OTPREG_OK, "15 emoji" },
        { EMOJI, 32, OTPREG_OK, "32 emoji, 128 bytes" },
        { EMOJI, 128, OTPREG_OK, "128 emoji" },
        { EMOJI, 129, OTPREG_PASSWORD_TOO_LONG, "129 emoji" },
        { FAMILY, 4, OTPREG_PASSWORD_TOO_SHORT, "4 joined emoji: 12" },
        { FAMILY, 5, OTPREG_OK, "5 joined emoji: 15" },
        { "\xc3\xa4", 15, OTPREG_OK, "15 a-umlauts" },
        { "a\xcc\x88", 14, OTPREG_PASSWORD_TOO_SHORT, "14 a-umlauts, NFD" },
        { "a\xcc\x88", 15, OTPREG_OK, "15 a-umlauts, NFD" },
        { "a\xcc\x88", 128, OTPREG_OK, "128 a-umlauts, NFD" },
        { "a\xcc\x88", 129, OTPREG_PASSWORD_TOO_LONG, "129 a-umlauts, NFD" },

        /* U+1F82, which takes four code points in NFD: the most there is */
        { "\xce\xb1\xcc\x93\xcc\x80\xcd\x85", 128, OTPREG_OK, "128 of four" },
        { "\xce\xb1\xcc\x93\xcc\x80\xcd\x85", 129, OTPREG_PASSWORD_TOO_LONG,
          "129 of four" },

        /* U+1D160, which NFC makes longer: 12 bytes for 4 */
        { "\xf0\x9d\x85\xa0", 42, OTPREG_OK, "42 that become 126" },
        { "\xf0\x9d\x85\xa0", 43, OTPREG_PASSWORD_TOO_LONG,
          "43 that become 129" },
    };

    size_t             i;
    otpreg_password_t  out;

    for (i = 0; i < tap_items(cases); i++) {
        memset(&out, 'x', sizeof(out));

        tap_is(password_test_repeat(cases[i].unit, cases[i].n, &out),
               cases[i].rc, "%s", cases[i].name);

        tap_ok(sodium_is_zero((uint8_t *) &out, sizeof(out))
               == (cases[i].rc != OTPREG_OK),
               "and it is %s", cases[i].rc == OTPREG_OK ? "there" : "wiped");
    }
}


static void
password_test_characters(void)
{
    static const struct {
        otpreg_str_t       in;
        otpreg_outcome_t   rc;
        const char        *name;
    } cases[] = {
#define C(in, rc, name)                                                       \
        { { (const uint8_t *) (in), sizeof(in) - 1 }, rc, name }

        C("a normal passphrase", OTPREG_OK, "blanks inside"),
        C("\xc2\xa0 no-break space \xc2\xa0", OTPREG_OK, "U+00A0 is no C1"),
        C("fifteen\0 chars!!", OTPREG_PASSWORD_CONTROL, "NUL inside"),
        C("fifteen chars!!\0", OTPREG_PASSWORD_CONTROL, "NUL at the end"),
        C("fifteen\t chars!!", OTPREG_PASSWORD_CONTROL, "tab"),
        C("fifteen chars!!\r\n", OTPREG_PASSWORD_CONTROL, "CR LF"),
        C("fifteen chars!!\x1f", OTPREG_PASSWORD_CONTROL, "U+001F"),
        C("fifteen chars!!\x7f", OTPREG_PASSWORD_CONTROL, "DEL"),
        C("fifteen chars!!\xc2\x80", OTPREG_PASSWORD_CONTROL, "U+0080"),
        C("fifteen chars!!\xc2\x9f", OTPREG_PASSWORD_CONTROL, "U+009F"),
        C("\x01", OTPREG_PASSWORD_CONTROL, "only a control"),
        C("fifteen chars!!\xff", OTPREG_NOT_UTF8, "0xff"),
        C("fifteen chars!!\xc3", OTPREG_NOT_UTF8, "cut character"),
        C("fifteen chars!!\xc2", OTPREG_NOT_UTF8, "cut C1"),
        C("fifteen chars!!\xc0\x80", OTPREG_NOT_UTF8, "overlong NUL"),
        C("fifteen chars!!\xed\xa0\x80", OTPREG_NOT_UTF8, "surrogate"),
        C("fifteen chars!!\xf4\x90\x80\x80", OTPREG_NOT_UTF8, "U+110000"),
        C("fifteen chars!!\xe4", OTPREG_NOT_UTF8, "Latin-1"),
#undef C
    };

    size_t             i;
    otpreg_password_t  out;

    for (i = 0; i < tap_items(cases); i++) {
        tap_is(otpreg_password_check(cases[i].in, &password_test_policy, NULL,
                                     0, &out),
               cases[i].rc, "%s", cases[i].name);

        tap_ok(cases[i].rc != OTPREG_OK
               || (out.len == cases[i].in.len
                   && memcmp(out.data, cases[i].in.data, out.len) == 0),
               "and kept as it is if good");
    }
}


static void
password_test_normal_form(void)
{
    otpreg_password_t  nfc, nfd;

    tap_ok(otpreg_password_check(S("\xc3\xa4ngstlicher K\xc3\xb6nig"),
                                 &password_test_policy, NULL, 0, &nfc)
           == OTPREG_OK
           && otpreg_password_check(S("a\xcc\x88ngstlicher Ko\xcc\x88nig"),
                                    &password_test_policy, NULL, 0, &nfd)
              == OTPREG_OK
           && memcmp(&nfc, &nfd, sizeof(nfc)) == 0,
           "NFC and NFD give the same bytes");

    otpreg_password_check(S("\xef\xbd\x81 fifteen chars"),
                          &password_test_policy, NULL, 0, &nfc);
    tap_ok(memcmp(nfc.data, "\xef\xbd\x81 fifteen", 11) == 0,
           "compatibility characters are kept: NFC, not NFKC");

    otpreg_password_check(S("  fifteen chars  "), &password_test_policy, NULL,
                          0, &nfc);
    tap_ok(nfc.len == 17 && memcmp(nfc.data, "  fifteen chars  ", 18) == 0,
           "blanks at both ends are kept");

    otpreg_password_check(S("Fifteen CHARS!!"), &password_test_policy, NULL, 0,
                          &nfc);
    tap_is_text(nfc.data, "Fifteen CHARS!!", "the case is kept");
}


static void
password_test_personal(void)
{
    static const struct {
        const char        *in;
        otpreg_outcome_t   rc;
    } cases[] = {
        { "annabell.example", OTPREG_PASSWORD_PERSONAL },
        { "ANNABELL.Example", OTPREG_PASSWORD_PERSONAL },
        { "annabell@example.com", OTPREG_PASSWORD_PERSONAL },
        { "\xc3\x84nnabell von M\xc3\xbc", OTPREG_PASSWORD_PERSONAL },
        { "a\xcc\x88nnabell von mu\xcc\x88", OTPREG_PASSWORD_PERSONAL },
        { "annabell.example ", OTPREG_OK },
        { "xannabell.example", OTPREG_OK },
        { "annabell@example.com1", OTPREG_OK },
        { "annabell@example.org", OTPREG_OK },
    };

    size_t              i;
    otpreg_str_t        personal[5];
    otpreg_password_t   out;

    personal[0] = S("");
    personal[1] = S("Annabell.example");
    personal[2] = S("\xff\xfe");
    personal[3] = S("annabell@example.com");
    personal[4] = S("\xc3\xa4nnabell von m\xc3\xbc");

    for (i = 0; i < tap_items(cases); i++) {
        tap_is(otpreg_password_check(tap_str(cases[i].in),
                                     &password_test_policy, personal,
                                     tap_items(personal), &out),
               cases[i].rc, "personal words, case %zu", i);
        tap_ok(cases[i].rc == OTPREG_OK
               || sodium_is_zero((uint8_t *) &out, sizeof(out)), "wiped");
    }
}


static void
password_test_policy_limits(void)
{
    char                      *in;
    otpreg_str_t               str;
    otpreg_password_t          out;
    otpreg_password_policy_t   policy;

    policy = (otpreg_password_policy_t) { 1, OTPREG_PASSWORD_CHARS_MAX, NULL };

    in = malloc(OTPREG_PASSWORD_SIZE + 3);
    memset(in, 0, OTPREG_PASSWORD_SIZE + 3);

    for (str.len = 0; str.len < OTPREG_PASSWORD_SIZE - 1; str.len += 4) {
        memcpy(in + str.len, EMOJI, 4);
    }

    str.data = (uint8_t *) in;
    tap_ok(otpreg_password_check(str, &policy, NULL, 0, &out) == OTPREG_OK
           && out.len == OTPREG_PASSWORD_SIZE - 1
           && out.data[out.len] == '\0',
           "1024 emoji fill the buffer");

    memcpy(in + str.len, EMOJI, 4);
    str.len += 4;
    tap_is(otpreg_password_check(str, &policy, NULL, 0, &out),
           OTPREG_PASSWORD_TOO_LONG, "1025 are too long");

    policy.chars_max = 100000;
    tap_is(otpreg_password_check(str, &policy, NULL, 0, &out),
           OTPREG_PASSWORD_TOO_LONG, "whatever the policy says");

    policy = (otpreg_password_policy_t) { 0, 0, NULL };
    tap_is(otpreg_password_check(S("a"), &policy, NULL, 0, &out),
           OTPREG_PASSWORD_TOO_LONG, "a policy of nothing");

    free(in);
}


static void
password_test_hash(void)
{
    char               phc[OTPREG_PHC_SIZE], other[OTPREG_PHC_SIZE];
    otpreg_password_t  nfc, nfd;

    otpreg_password_check(S(" \xc3\xa4 correct horse battery "),
                          &password_test_policy, NULL, 0, &nfc);
    otpreg_password_check(S(" a\xcc\x88 correct horse battery "),
                          &password_test_policy, NULL, 0, &nfd);

    tap_ok(otpreg_password_hash(&nfc, PASSWORD_TEST_MEMORY, 1, phc), "hashed");
    tap_ok(strncmp(phc, "$argon2id$v=19$m=8,t=1,p=1$", 27) == 0,
           "a PHC string of Argon2id");
    tap_ok(strlen(phc) < OTPREG_PHC_SIZE, "that ends");
    tap_is(crypto_pwhash_str_verify(phc, nfc.data, nfc.len), 0, "verifies");
    tap_is(crypto_pwhash_str_verify(phc, nfd.data, nfd.len), 0,
           "verifies what came as NFD");
    tap_ok(crypto_pwhash_str_verify(phc, nfc.data, nfc.len - 1) != 0,
           "not without the last blank");
    tap_ok(crypto_pwhash_str_verify(phc, nfc.data + 1, nfc.len - 1) != 0,
           "not without the first blank");

    otpreg_password_hash(&nfc, PASSWORD_TEST_MEMORY, 1, other);
    tap_ok(strcmp(phc, other) != 0, "another salt each time");

    tap_ok(otpreg_password_hash(&nfc, 19 * 1024 * 1024, 2, phc)
           && strncmp(phc, "$argon2id$v=19$m=19456,t=2,p=1$", 31) == 0,
           "memory and operations are in it");

    password_test_repeat(EMOJI, 128, &nfc);
    nfd = nfc;
    nfd.data[nfd.len - 1] ^= 1;
    tap_ok(otpreg_password_hash(&nfc, PASSWORD_TEST_MEMORY, 1, phc)
           && crypto_pwhash_str_verify(phc, nfc.data, nfc.len) == 0
           && crypto_pwhash_str_verify(phc, nfd.data, nfd.len) != 0,
           "nothing of 512 bytes is cut off");

    tap_ok(!otpreg_password_hash(&nfc, SIZE_MAX / 2 + 1, 1, phc),
           "memory that is not there");
}


int
main(void)
{
    if (sodium_init() < 0) {
        return 1;
    }

    password_test_lengths();
    password_test_characters();
    password_test_normal_form();
    password_test_personal();
    password_test_policy_limits();
    password_test_hash();

    return tap_done();
}
