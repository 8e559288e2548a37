
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_sms.h"
#include "tap.h"


static void
sms_test_segments(void)
{
    char      text[400];
    unsigned  n;

    static const struct {
        const char  *ch;
        unsigned     single;        /* so many of it fit one part */
    } cases[] = {
        { "a", 160 }, { "@", 160 }, { "\n", 160 }, { "$", 160 }, { "_", 160 },
        { "\xc3\xbc", 160 },        /* u umlaut */
        { "\xc3\xa9", 160 },        /* e acute */
        { "\xce\xa9", 160 },        /* Omega */
        { "[", 80 }, { "~", 80 }, { "\xe2\x82\xac", 80 },   /* euro */
        { "`", 70 }, { "\xc3\xa7", 70 },                    /* c cedilla */
        { "\xe4\xb8\xad", 70 },    /* Chinese */
        { "\xf0\x9f\x98\x80", 35 }                        /* an emoji */
    };

    for (size_t i = 0; i < tap_items(cases); i++) {
        size_t  len = strlen(cases[i].ch);

        for (n = 0; n < cases[i].single; n++) {
            memcpy(text + n * len, cases[i].ch, len);
        }

        tap_ok(otpreg_sms_segments((otpreg_str_t) { (uint8_t *) text, n * len })
               == 1, "case %zu: %u fit one part", i, n);

        memcpy(text + n * len, cases[i].ch, len);

        tap_ok(otpreg_sms_segments((otpreg_str_t) { (uint8_t *) text,
                                                    (n + 1) * len })
               == 2, "case %zu: one more does not", i);
    }

    tap_ok(otpreg_sms_segments(S("")) == 1, "nothing is one part");
    tap_ok(otpreg_sms_segments(S("a\xff")) == 0, "not UTF-8");
}


static void
sms_test_compose(void)
{
    char  out[128];

    tap_ok(otpreg_sms_compose(S("Your code is 123456.\r\n \n"),
                              S("www.example.com"), "123456", out,
                              sizeof(out)) == strlen(out)
           && strcmp(out, "Your code is 123456.\n@www.example.com #123456")
              == 0, "the last line is bound to the domain");

    tap_ok(otpreg_sms_compose(S("Hello"), S(""), "123456", out, sizeof(out))
           == 5 && strcmp(out, "Hello") == 0, "no host, no line");

    tap_ok(otpreg_sms_compose(S("Hello"), S("a.example"), "", out, sizeof(out))
           == 5 && strcmp(out, "Hello") == 0, "no code, no line");

    tap_ok(otpreg_sms_compose(S("Hello"), S("a.example"), "1234567890", out, 29)
           == 0, "too little room");
    tap_ok(otpreg_sms_compose(S("Hello"), S("a.example"), "1234567890", out, 30)
           == 28, "just enough");
}


int
main(void)
{
    sms_test_segments();
    sms_test_compose();

    return tap_done();
}
