
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "tap.h"


static void
str_test_trim(void)
{
    static const struct {
        const char  *in;
        const char  *out;
    } cases[] = {
        { "", "" },
        { " ", "" },
        { "\t\n\v\f\r ", "" },
        { "a", "a" },
        { " a ", "a" },
        { "\r\na b\r\n", "a b" },
        { "\xc2\xa0" "a", "\xc2\xa0" "a" },
    };

    size_t  i;

    for (i = 0; i < tap_items(cases); i++) {
        tap_ok(tap_same(otpreg_str_trim(tap_str(cases[i].in)),
                        tap_str(cases[i].out)),
               "trim, case %zu", i);
    }

    tap_ok(tap_same(otpreg_str_trim(S(" \0 ")), S("\0")), "trim leaves a NUL");
}


static void
str_test_line(void)
{
    otpreg_str_t  line, rest;

    rest = S("one\ntwo\r\n\n\r\n\rlast\r");

    tap_ok(otpreg_str_line(&rest, &line) && tap_same(line, S("one")), "LF");
    tap_ok(otpreg_str_line(&rest, &line) && tap_same(line, S("two")), "CRLF");
    tap_ok(otpreg_str_line(&rest, &line) && line.len == 0, "empty line");
    tap_ok(otpreg_str_line(&rest, &line) && line.len == 0, "empty CRLF line");
    tap_ok(otpreg_str_line(&rest, &line) && tap_same(line, S("\rlast")),
           "last line without LF");
    tap_ok(!otpreg_str_line(&rest, &line), "the end");

    rest = S("");
    tap_ok(!otpreg_str_line(&rest, &line), "nothing has no line");

    rest = S("\n");
    tap_ok(otpreg_str_line(&rest, &line) && line.len == 0, "only LF: a line");
    tap_ok(!otpreg_str_line(&rest, &line), "only LF: one line");
}


/* how many of all bytes are letters, digits or in the string */

static unsigned
str_test_bytes(const char *also)
{
    unsigned  ch, n;

    n = 0;

    for (ch = 0; ch < 256; ch++) {
        n += otpreg_str_alnum_or((uint8_t) ch, also);
    }

    return n;
}


int
main(void)
{
    str_test_trim();
    str_test_line();

    tap_ok(otpreg_str_is_ascii(S("\0a\x7f")), "ASCII");
    tap_ok(!otpreg_str_is_ascii(S("a\x80")), "not ASCII");

    tap_is(str_test_bytes("_."), 26 + 26 + 10 + 2,
           "letters, digits and two others, no NUL and nothing beyond ASCII");
    tap_is(str_test_bytes(""), 26 + 26 + 10, "letters and digits");

    tap_ok(otpreg_str_lower('A') == 'a' && otpreg_str_lower('Z') == 'z',
           "lower case");
    tap_ok(otpreg_str_lower('@') == '@' && otpreg_str_lower('[') == '['
           && (uint8_t) otpreg_str_lower(0xc4) == 0xc4,
           "lower case of what is no letter");

    tap_ok(otpreg_str_equal_nocase(S("UTF-8"), "utf-8"), "case is ignored");
    tap_ok(!otpreg_str_equal_nocase(S("utf-"), "utf-8"), "shorter differs");
    tap_ok(!otpreg_str_equal_nocase(S("utf-8 "), "utf-8"), "longer differs");
    tap_ok(!otpreg_str_equal_nocase(S("UTF\r8"), "utf-8"),
           "only letters lose their case");

    return tap_done();
}
