
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "fuzz.h"
#include "otpreg_otp.h"
#include "otpreg_unicode.h"


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;

    return sodium_init() < 0;
}


static void
fuzz_parse(otpreg_str_t typed, unsigned digits)
{
    char      code[OTPREG_CODE_DIGITS_MAX + 1];
    char      again[OTPREG_CODE_DIGITS_MAX + 1];
    int       digit;
    int32_t   point;
    unsigned  n;

    if (!otpreg_code_parse(typed, digits, code)) {
        fuzz_check(sodium_is_zero((uint8_t *) code, sizeof(code)));
        return;
    }

    fuzz_check(strlen(code) == digits);
    fuzz_check(strspn(code, "0123456789") == digits);

    /* its digits are the input's, in order, and nothing else */

    for (n = 0; otpreg_unicode_next(&typed, &point);) {
        digit = otpreg_unicode_digit(point);

        if (digit >= 0) {
            fuzz_check(n < digits && code[n++] == (char) ('0' + digit));
        }
    }

    fuzz_check(n == digits);

    fuzz_check(otpreg_code_parse(fuzz_str(code), digits, again));
    fuzz_check(otpreg_code_equal(code, again, digits));
}


static void
fuzz_derive(const uint8_t *data, size_t len)
{
    char          code[OTPREG_CODE_DIGITS_MAX + 1];
    char          parsed[OTPREG_CODE_DIGITS_MAX + 1];
    uint8_t       key[OTPREG_KEY_LEN];
    otpreg_otp_t  otp;

    memset(&otp, 0, sizeof(otp));
    memset(key, (int) len, sizeof(key));

    if (len > OTPREG_OTP_ADDRESS_MAX) {
        len = OTPREG_OTP_ADDRESS_MAX;
    }

    if (len != 0) {
        memcpy(otp.address, data, len);
    }

    otp.purpose = OTPREG_PURPOSE_SIGNUP;
    otp.channel = OTPREG_CHANNEL_EMAIL;
    otp.digits = OTPREG_CODE_DIGITS_MIN + (unsigned) len % 5;

    otpreg_code_derive(key, &otp, code);
    fuzz_check(otpreg_code_parse(fuzz_str(code), otp.digits, parsed));
    fuzz_check(otpreg_code_equal(code, parsed, otp.digits));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t   *copy;
    unsigned   digits;

    copy = fuzz_copy(data, len);

    for (digits = OTPREG_CODE_DIGITS_MIN; digits <= OTPREG_CODE_DIGITS_MAX;
         digits++)
    {
        fuzz_parse((otpreg_str_t) { copy, len }, digits);
    }

    fuzz_derive(copy, len);

    free(copy);

    return 0;
}
