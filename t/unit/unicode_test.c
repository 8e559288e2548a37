
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_unicode.h"
#include "tap.h"


static void
unicode_test_count(void)
{
    static const struct {
        const char  *in;
        bool         utf8;
        size_t       count;
    } cases[] = {
        { "", true, 0 },
        { "abc", true, 3 },
        { "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf", true, 5 },
        { "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", true, 2 },
        { "\xed\x9f\xbf\xee\x80\x80", true, 2 },
        { "\x80", false, 0 },
        { "\xc0\xaf", false, 0 },
        { "\xc1\xbf", false, 0 },
        { "\xc2", false, 0 },
        { "\xc2\x41", false, 0 },
        { "\xe0\x9f\xbf", false, 0 },
        { "\xe2\x82", false, 0 },
        { "\xed\xa0\x80", false, 0 },
        { "\xed\xbf\xbf", false, 0 },
        { "\xf0\x8f\xbf\xbf", false, 0 },
        { "\xf0\x9f\x98", false, 0 },
        { "\xf4\x90\x80\x80", false, 0 },
        { "\xf8\x88\x80\x80\x80", false, 0 },
        { "\xfe", false, 0 },
        { "\xff", false, 0 },
    };

    size_t  i, count;

    for (i = 0; i < tap_items(cases); i++) {
        tap_is(otpreg_unicode_count(tap_str(cases[i].in), &count),
               cases[i].utf8, "UTF-8, case %zu", i);

        if (cases[i].utf8) {
            tap_is((long long) count, (long long) cases[i].count, "count");
        }
    }

    tap_ok(otpreg_unicode_count(S("a\0b"), &count) && count == 3,
           "a NUL is a code point");
}


/* a script has ten, in order, and no two zeros without nine between them */

static void
unicode_test_digits(void)
{
    static const int32_t  zeros[] = {
        '0', 0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0e50, 0x17e0, 0x1810,
        0xff10, 0x104a0, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6
    };

    int      digit, next;
    bool     order;
    size_t   i, n;
    int32_t  point;

    for (i = 0; i < tap_items(zeros); i++) {
        tap_ok(otpreg_unicode_digit(zeros[i]) == 0
               && otpreg_unicode_digit(zeros[i] + 7) == 7
               && otpreg_unicode_digit(zeros[i] + 9) == 9,
               "the digits from U+%04X on", (unsigned) zeros[i]);
    }

    n = 0;
    next = 0;
    order = true;

    for (point = 0; point <= 0x110000; point++) {
        digit = otpreg_unicode_digit(point);

        if (digit >= 0) {
            order &= digit == next;
            n++;

        } else {
            order &= next == 0;
        }

        next = digit < 0 ? 0 : (digit + 1) % 10;
    }

    tap_ok(order, "ten each, in order");
    tap_ok(n >= 610 && n % 10 == 0, "of all scripts (%zu)", n);
    tap_ok(otpreg_unicode_digit(-1) == -1 && otpreg_unicode_digit(0xb2) == -1
           && otpreg_unicode_digit(INT32_MAX) == -1, "what is none");
}


static void
unicode_test_forms(void)
{
    static const struct {
        const char  *in;
        const char  *nfc;
        const char  *fold;
    } cases[] = {
        { "", "", "" },
        { "aBc", "aBc", "abc" },
        { "\xc3\x84", "\xc3\x84", "\xc3\xa4" },
        { "A\xcc\x88", "\xc3\x84", "\xc3\xa4" },
        { "\xc3\x9f", "\xc3\x9f", "ss" },
        { "\xe1\xba\x9e", "\xe1\xba\x9e", "ss" },
        { "\xe2\x84\xab", "\xc3\x85", "\xc3\xa5" },
        { "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c",
          "\xed\x95\x9c" },
        { "\xce\xa3\xcf\x82", "\xce\xa3\xcf\x82", "\xcf\x83\xcf\x83" },

        /* marks in another order are the same text */
        { "a\xcc\x88\xcc\xa3", "\xe1\xba\xa1\xcc\x88", "\xe1\xba\xa1\xcc\x88" },
        { "a\xcc\xa3\xcc\x88", "\xe1\xba\xa1\xcc\x88", "\xe1\xba\xa1\xcc\x88" },
    };

    size_t         i;
    otpreg_text_t  text;

    for (i = 0; i < tap_items(cases); i++) {
        tap_ok(otpreg_unicode_nfc(tap_str(cases[i].in), &text) == OTPREG_OK
               && tap_same(text.str, tap_str(cases[i].nfc)),
               "NFC, case %zu", i);
        otpreg_text_free(&text);

        tap_ok(otpreg_unicode_fold(tap_str(cases[i].in), &text) == OTPREG_OK
               && tap_same(text.str, tap_str(cases[i].fold)),
               "folded, case %zu", i);
        otpreg_text_free(&text);
        otpreg_text_free(&text);
    }
}


int
main(void)
{
    otpreg_text_t  text;

    unicode_test_count();
    unicode_test_digits();
    unicode_test_forms();

    tap_is(otpreg_unicode_nfc(S("a\xff"), &text), OTPREG_NOT_UTF8,
           "NFC of what is not UTF-8");
    otpreg_text_free(&text);

    tap_is(otpreg_unicode_fold(S("a\xed\xa0\x80"), &text), OTPREG_NOT_UTF8,
           "folding what is not UTF-8");
    otpreg_text_free(&text);

    tap_ok(otpreg_unicode_nfc(S("a\0b"), &text) == OTPREG_OK
           && tap_same(text.str, S("a\0b")),
           "NFC keeps a NUL");
    otpreg_text_free(&text);

    return tap_done();
}
