
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_identity.h"
#include "tap.h"


static void
phone_test_parse(void)
{
    static const struct {
        const char        *in;
        otpreg_outcome_t   rc;
        const char        *number;
    } cases[] = {
        { "+14155550123", OTPREG_OK, "+14155550123" },
        { " +1 (415) 555-0123 ", OTPREG_OK, "+14155550123" },
        { "+49.30.901820", OTPREG_OK, "+4930901820" },
        { "+44\xc2\xa0" "20\xe2\x80\xaf" "79460018", OTPREG_OK,
          "+442079460018" },
        { "( +1 ) 4155550123", OTPREG_OK, "+14155550123" },
        { "+1234567", OTPREG_OK, "+1234567" },
        { "+123456789012345", OTPREG_OK, "+123456789012345" },
        { "", OTPREG_REQUIRED, "" },
        { " \t ", OTPREG_REQUIRED, "" },
        { "+123456", OTPREG_PHONE_INVALID, "" },
        { "+1234567890123456", OTPREG_PHONE_INVALID, "" },
        { "4155550123", OTPREG_PHONE_INVALID, "" },
        { "0014155550123", OTPREG_PHONE_INVALID, "" },
        { "+04155550123", OTPREG_PHONE_INVALID, "" },
        { "++4155550123", OTPREG_PHONE_INVALID, "" },
        { "+1415555O123", OTPREG_PHONE_INVALID, "" },
        { "+1/4155550123", OTPREG_PHONE_INVALID, "" },
        { "+14155550123;ext=1", OTPREG_PHONE_INVALID, "" },
        { "+14155550123,+14155550124", OTPREG_PHONE_INVALID, "" },
        { "+1415555\n0123", OTPREG_PHONE_INVALID, "" },
        { "+1\xc2", OTPREG_PHONE_INVALID, "" },
        { "+\xef\xbc", OTPREG_PHONE_INVALID, "" },
        { "\xef\xbc\x8b\xef\xbc\x98\xef\xbc\x91\xef\xbc\x88" "90"
          "\xef\xbc\x89\xef\xbc\x8d" "1234\xe3\x80\x80" "5678\xef\xbc\x8e",
          OTPREG_OK, "+819012345678" },
        { "+\xd9\xa9\xd9\xa6\xd9\xa6 501234567", OTPREG_OK,
          "+966501234567" },
        { "+\xdb\xb9\xdb\xb8 9123456789", OTPREG_OK, "+989123456789" },
        { "+\xe0\xa5\xaf\xe0\xa5\xa7 9812345678", OTPREG_OK,
          "+919812345678" },
        { "+44 (0)20 7946 0018", OTPREG_OK, "+442079460018" },
        { "+44(0)2079460018", OTPREG_OK, "+442079460018" },
        { "+353 ( 0 ) 1 234 5678", OTPREG_OK, "+35312345678" },
        { "+7 (0) 4951234567", OTPREG_OK, "+74951234567" },
        { "+\xd9\xa4\xd9\xa4 \xef\xbc\x88\xd9\xa0\xef\xbc\x89 2079460018",
          OTPREG_OK, "+442079460018" },
        { "+44 (020) 7946 0018", OTPREG_PHONE_INVALID, "" },
        { "+44 (0 20) 7946 0018", OTPREG_PHONE_INVALID, "" },
        { "+44 (00) 2079460018", OTPREG_PHONE_INVALID, "" },
        { "+44 (0 2079460018", OTPREG_PHONE_INVALID, "" },
        { "+44 (20) 7946 0018", OTPREG_OK, "+442079460018" },
        { "+44 (20 0) 7946018", OTPREG_OK, "+442007946018" },
        { "+1 (415) (0)550123", OTPREG_OK, "+14150550123" },
        { "+39 (0)6 1234567", OTPREG_OK, "+39061234567" },
        { "+39 (06) 1234567", OTPREG_OK, "+39061234567" },
        { "+242 06 612 3456", OTPREG_OK, "+242066123456" },
        { "(+44) (0)20 7946 0018", OTPREG_OK, "+442079460018" },
        { "+44 (0)", OTPREG_PHONE_INVALID, "" },
        { "+(0)442079460018", OTPREG_PHONE_INVALID, "" },
        { "+\xd9\xa0" "4155550123", OTPREG_PHONE_INVALID, "" },
        { "+1\xc2\xb2" "4155550123", OTPREG_PHONE_INVALID, "" },
        { "+", OTPREG_PHONE_INVALID, "" },
        { "-", OTPREG_PHONE_INVALID, "" },
    };

    size_t          i;
    otpreg_phone_t  phone;

    for (i = 0; i < tap_items(cases); i++) {
        tap_ok(otpreg_phone_parse(tap_str(cases[i].in), &phone) == cases[i].rc
               && strcmp(phone.number, cases[i].number) == 0,
               "phone, case %zu", i);
    }

    tap_ok(otpreg_phone_parse(S("+1415555\0" "0123"), &phone)
           == OTPREG_PHONE_INVALID, "a NUL");
}


static void
phone_test_mask(void)
{
    char  out[OTPREG_PHONE_MAX + 1];

    tap_ok(otpreg_phone_mask("+14155550123", out) == 7
           && strcmp(out, "+1***23") == 0, "masked");
    tap_ok(otpreg_phone_mask("+123456789012345", out) == 7
           && strcmp(out, "+1***45") == 0, "the longest");
}


int
main(void)
{
    phone_test_parse();
    phone_test_mask();

    return tap_done();
}
