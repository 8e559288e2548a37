
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "otpreg_otp.h"
#include "tap.h"


#define OTP_TEST_SAMPLES         200000


static void
otp_test_fill(otpreg_otp_t *otp, unsigned digits)
{
    unsigned  i;

    memset(otp, 0, sizeof(otpreg_otp_t));

    memcpy(otp->id, "\x01\x8b\xcf\xe5\x68\x00", 6);

    for (i = 6; i < OTPREG_ID_LEN; i++) {
        otp->id[i] = (uint8_t) (0xa0 + i - 6);
    }

    otp->purpose = OTPREG_PURPOSE_SIGNUP;
    otp->channel = OTPREG_CHANNEL_EMAIL;
    otp->digits = digits;
    strcpy(otp->key_name, "2026-11");
    strcpy(otp->address, "ann@example.com");
}


static void
otp_test_key(uint8_t key[OTPREG_KEY_LEN])
{
    unsigned  i;

    for (i = 0; i < OTPREG_KEY_LEN; i++) {
        key[i] = (uint8_t) i;
    }
}


/*
 * The expected codes were computed by Python's hashlib and hmac:
 *
 * subkey = blake2b(b'', digest_size=32, key=key, salt=pack('<Q8x', 1),
 *                  person=b'otpregC1'.ljust(16, b'\0')).digest()
 * mac = hmac.new(subkey, b'otpreg code v1'.ljust(16, b'\0') + id
 *                + bytes([purpose, channel, digits])
 *                + key_name.ljust(16, b'\0')
 *                + pack('>H', len(address)) + address, sha256).digest()
 * int.from_bytes(mac[:16], 'big') % 10 ** digits
 */
static void
otp_test_vectors(void)
{
    static const char  *expected[] = {
        "321855", "2637757", "97559948", "723319827", "8666400786"
    };

    char          code[OTPREG_CODE_DIGITS_MAX + 1];
    uint8_t       key[OTPREG_KEY_LEN];
    unsigned      digits;
    otpreg_otp_t  otp;

    otp_test_key(key);

    for (digits = 6; digits <= 10; digits++) {
        otp_test_fill(&otp, digits);
        otpreg_code_derive(key, &otp, code);
        tap_is_text(code, expected[digits - 6], "known vector, %u digits",
                    digits);
    }

    otp_test_fill(&otp, 6);
    memset(otp.id, 0, OTPREG_ID_LEN);
    otp.id[14] = 9182 >> 8;
    otp.id[15] = 9182 & 0xff;
    otpreg_code_derive(key, &otp, code);
    tap_is_text(code, "000005", "leading zeros are kept");

    otp_test_fill(&otp, 6);
    otp.key_name[0] = '\0';
    otp.address[0] = '\0';
    otpreg_code_derive(key, &otp, code);
    tap_is_text(code, "925011", "empty name and address");

    memset(key, 0xff, sizeof(key));
    memset(otp.id, 0xff, OTPREG_ID_LEN);
    memset(otp.key_name, 'a', OTPREG_KEY_NAME_MAX);
    memset(otp.address, 'b', OTPREG_OTP_ADDRESS_MAX);
    memcpy(otp.address + OTPREG_OTP_ADDRESS_MAX - 12, "@example.com", 12);
    otp.digits = 10;
    otpreg_code_derive(key, &otp, code);
    tap_is_text(code, "2224548892", "the longest name and address");
}


/* another code, for all the 10-digit ones these chances are 10^-10 */

static void
otp_test_every_field_counts(void)
{
    char          code[OTPREG_CODE_DIGITS_MAX + 1];
    char          other[OTPREG_CODE_DIGITS_MAX + 1];
    bool          differs;
    uint8_t       key[OTPREG_KEY_LEN];
    unsigned      i;
    otpreg_otp_t  otp;

    otp_test_key(key);
    otp_test_fill(&otp, 10);
    otpreg_code_derive(key, &otp, code);

    differs = true;

    for (i = 0; i < OTPREG_ID_LEN * 8; i++) {
        otp.id[i / 8] ^= (uint8_t) (1 << i % 8);
        otpreg_code_derive(key, &otp, other);
        otp.id[i / 8] ^= (uint8_t) (1 << i % 8);
        differs &= strcmp(code, other) != 0;
    }

    tap_ok(differs, "each bit of the id counts");

    differs = true;

    for (i = 0; i < OTPREG_KEY_LEN * 8; i++) {
        key[i / 8] ^= (uint8_t) (1 << i % 8);
        otpreg_code_derive(key, &otp, other);
        key[i / 8] ^= (uint8_t) (1 << i % 8);
        differs &= strcmp(code, other) != 0;
    }

    tap_ok(differs, "each bit of the key counts");

    otp.purpose = (otpreg_purpose_t) 2;
    otpreg_code_derive(key, &otp, other);
    tap_ok(strcmp(code, other) != 0, "the purpose counts");

    otp_test_fill(&otp, 10);
    otp.channel = (otpreg_channel_t) 2;
    otpreg_code_derive(key, &otp, other);
    tap_ok(strcmp(code, other) != 0, "the channel counts");

    otp_test_fill(&otp, 10);
    strcpy(otp.address, "ann@example.co");
    otpreg_code_derive(key, &otp, other);
    tap_ok(strcmp(code, other) != 0, "the address counts");

    otp_test_fill(&otp, 10);
    strcpy(otp.key_name, "2026-12");
    otpreg_code_derive(key, &otp, other);
    tap_ok(strcmp(code, other) != 0, "the key's name counts");

    otp_test_fill(&otp, 6);
    otpreg_code_derive(key, &otp, other);
    tap_ok(strcmp(code + 4, other) != 0, "the number of digits counts");

    otp_test_fill(&otp, 10);
    memset(otp.address, 'x', sizeof(otp.address));
    strcpy(otp.address, "ann@example.com");
    otpreg_code_derive(key, &otp, other);
    tap_is_text(other, code, "what is behind the address's NUL does not");
}


/*
 * 60 cells (6 places, 10 digits); mean 20000, sigma 134: seven sigma are never
 * seen, and the codes are the same in every run
 */
static void
otp_test_distribution(void)
{
    bool          lengths;
    char          code[OTPREG_CODE_DIGITS_MAX + 1];
    uint8_t       key[OTPREG_KEY_LEN];
    unsigned      i, place, worst;
    unsigned      seen[6][10];
    otpreg_otp_t  otp;

    otp_test_key(key);
    otp_test_fill(&otp, 6);
    memset(seen, 0, sizeof(seen));
    lengths = true;

    for (i = 0; i < OTP_TEST_SAMPLES; i++) {
        memcpy(otp.id, &i, sizeof(i));
        otpreg_code_derive(key, &otp, code);

        lengths &= strlen(code) == 6 && strspn(code, "0123456789") == 6;

        for (place = 0; place < 6; place++) {
            seen[place][code[place] - '0']++;
        }
    }

    worst = 0;

    for (i = 0; i < 60; i++) {
        place = seen[i / 10][i % 10];
        place = place > OTP_TEST_SAMPLES / 10 ? place - OTP_TEST_SAMPLES / 10
                                              : OTP_TEST_SAMPLES / 10 - place;
        worst = place > worst ? place : worst;
    }

    tap_ok(lengths, "every code has six digits");
    tap_ok(worst < 940, "digits are even (worst cell is off by %u)", worst);
}


static void
otp_test_parse(void)
{
    static const struct {
        const char  *typed;
        size_t       len;           /* 0: strlen() */
        unsigned     digits;
        const char  *code;          /* NULL: refused */
        const char  *name;
    } cases[] = {
        { "123456", 0, 6, "123456", "plain" },
        { "000000", 0, 6, "000000", "zeros" },
        { "1234567890", 0, 10, "1234567890", "ten digits" },
        { " 123 456\t\r\n", 0, 6, "123456", "ASCII white space" },
        { "1\v2\f3456", 0, 6, "123456", "rare ASCII white space" },
        { "123-456", 0, 6, "123456", "hyphen" },
        { "--1--2-3456-", 0, 6, "123456", "many hyphens" },
        { "123\xc2\xa0" "456", 0, 6, "123456", "U+00A0" },
        { "123\xe2\x80\xaf" "456", 0, 6, "123456", "U+202F" },
        { "123\xe2\x80\x89" "456", 0, 6, "123456", "U+2009" },
        { "123\xe2\x80\x90" "456", 0, 6, "123456", "U+2010" },
        { "123\xe2\x80\x91" "456", 0, 6, "123456", "U+2011" },
        { "123\xe2\x80\x95" "456", 0, 6, "123456", "U+2015" },
        { "123456\xe2\x80\x95", 0, 6, "123456", "U+2015 at the end" },
        { "", 0, 6, NULL, "nothing" },
        { " ", 0, 6, NULL, "a blank" },
        { "12345", 0, 6, NULL, "one short" },
        { "1234567", 0, 6, NULL, "one more" },
        { "12345678901234567890", 0, 10, NULL, "many more" },
        { "12345a", 0, 6, NULL, "a letter" },
        { "+12345", 0, 6, NULL, "a sign" },
        { "12345.6", 0, 6, NULL, "a point" },
        { "0x1234", 0, 6, NULL, "hexadecimal" },
        { "123456\0", 7, 6, NULL, "a NUL at the end" },
        { "123\0" "456", 7, 6, NULL, "a NUL inside" },
        { "123\xe2\x80\x96" "456", 0, 6, NULL, "U+2016" },
        { "123\xe2\x80\x8f" "456", 0, 6, NULL, "U+200F" },
        { "123\xe2\x80\x8b" "456", 0, 6, NULL, "U+200B" },
        { "123456\xe2\x80", 0, 6, NULL, "a cut character" },
        { "123456\xe2", 0, 6, NULL, "a cut character, one byte" },
        { "123456\xc2", 0, 6, NULL, "a cut U+00A0" },
        { "\xa0" "123456", 0, 6, NULL, "a bare continuation" },
        { "\xef\xbc\x90\xef\xbc\x99\xef\xbc\x8d\xe3\x80\x80" "3456", 0, 6,
          "093456", "full-width digits, hyphen and blank" },
        { "\xd9\xa0\xd9\xa9" "3456", 0, 6, "093456", "Arabic-Indic" },
        { "\xdb\xb0\xdb\xb9" "3456", 0, 6, "093456", "Persian" },
        { "\xe0\xa5\xa6\xe0\xa5\xaf" "3456", 0, 6, "093456", "Devanagari" },
        { "\xe0\xa7\xa6\xe0\xa7\xaf" "3456", 0, 6, "093456", "Bengali" },
        { "\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4\xd9\xa5\xd9\xa6\xd9\xa7", 0, 6,
          NULL, "one Arabic-Indic digit more" },
        { "\xc2\xb2" "23456", 0, 6, NULL, "a superscript" },
        { "\xe2\x91\xa0" "23456", 0, 6, NULL, "a circled digit" },
        { "\xe4\xb8\x80" "23456", 0, 6, NULL, "a numeral" },
        { "123456 OR 1=1", 0, 6, NULL, "SQL" },
    };

    char          code[OTPREG_CODE_DIGITS_MAX + 1];
    bool          ok, zero;
    size_t        i;
    otpreg_str_t  typed;

    for (i = 0; i < tap_items(cases); i++) {
        typed.data = (const uint8_t *) cases[i].typed;
        typed.len = cases[i].len ? cases[i].len : strlen(cases[i].typed);

        memset(code, 'x', sizeof(code));
        ok = otpreg_code_parse(typed, cases[i].digits, code);

        if (cases[i].code != NULL) {
            tap_ok(ok && strcmp(code, cases[i].code) == 0, "taken: %s",
                   cases[i].name);
            continue;
        }

        zero = sodium_is_zero((uint8_t *) code, sizeof(code));
        tap_ok(!ok && zero, "refused and wiped: %s", cases[i].name);
    }
}


static void
otp_test_id(void)
{
    uint8_t  a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];

    otpreg_id_make(0x018bcfe56801, a);
    otpreg_id_make(0x018bcfe56801, b);

    tap_ok(memcmp(a, "\x01\x8b\xcf\xe5\x68\x01", 6) == 0,
           "an id begins with the time, big-endian");
    tap_ok(memcmp(a, b, OTPREG_ID_LEN) != 0, "two ids of one time differ");

    otpreg_id_make(0x018bcfe56802, b);
    tap_ok(memcmp(a, b, OTPREG_ID_LEN) < 0, "a later id is greater");

    otpreg_id_make(UINT64_MAX, a);
    tap_ok(memcmp(a, "\xff\xff\xff\xff\xff\xff", 6) == 0, "the last time");
}


/* sanitizers have a stack of their own */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__     1
#endif
#endif

#if !defined(__SANITIZE_ADDRESS__)

#define OTP_TEST_STACK           16384


/* what is left below this frame by those that were called before */

__attribute__((noinline))
static void
otp_test_stack(uint8_t copy[OTP_TEST_STACK])
{
    size_t                   i;
    const volatile uint8_t  *p;

    p = (const volatile uint8_t *) __builtin_frame_address(0);

    for (i = 0; i < OTP_TEST_STACK; i++) {
        copy[i] = p[(ptrdiff_t) i - OTP_TEST_STACK];
    }
}


/* neither the key that a code is derived by nor the code is left behind */

static void
otp_test_wiped(void)
{
    char          code[OTPREG_CODE_DIGITS_MAX + 1];
    uint8_t       key[OTPREG_KEY_LEN], subkey[crypto_auth_hmacsha256_KEYBYTES];
    otpreg_otp_t  otp;

    static uint8_t  copy[OTP_TEST_STACK];

    otp_test_fill(&otp, 10);
    randombytes_buf(key, sizeof(key));

    otpreg_code_derive(key, &otp, code);
    otp_test_stack(copy);

    (void) crypto_kdf_derive_from_key(subkey, sizeof(subkey), 1, "otpregC1",
                                      key);

    tap_ok(memmem(copy, sizeof(copy), subkey, 16) == NULL,
           "attack 30: the subkey is not left on the stack");
    tap_ok(memmem(copy, sizeof(copy), code, 10) == NULL,
           "attack 30: nor is the code");
}

#else

#define otp_test_wiped()

#endif


int
main(void)
{
    if (sodium_init() < 0) {
        return 1;
    }

    otp_test_vectors();
    otp_test_every_field_counts();
    otp_test_distribution();
    otp_test_parse();
    otp_test_id();
    otp_test_wiped();

    tap_ok(otpreg_code_equal("123456", "123456", 6), "equal codes");
    tap_ok(!otpreg_code_equal("123456", "123457", 6), "the last digit counts");
    tap_ok(!otpreg_code_equal("023456", "123456", 6), "the first digit counts");
    tap_ok(otpreg_code_equal("123456x", "123456y", 6), "no more than digits");

    return tap_done();
}
