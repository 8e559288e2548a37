
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_challenge.h"
#include "tap.h"


static void
challenge_test_answers(void)
{
    char      codes[OTPREG_CHALLENGE_CODES_SIZE];
    size_t    i;

    static const struct {
        otpreg_str_t            answer;
        otpreg_challenge_rc_t   rc;
        const char             *codes;
    } tests[] = {
        { S("{\"success\":true}"), OTPREG_CHALLENGE_PASSED, "" },
        { S(" {\"hostname\":\"a\", \"success\" : true, \"error-codes\":[]} \n"),
          OTPREG_CHALLENGE_PASSED, "" },
        { S("{\"success\":false}"), OTPREG_CHALLENGE_REFUSED, "" },
        { S("{\"success\":false,\"error-codes\":[\"invalid-input-response\","
            "1,\"timeout-or-duplicate\"]}"), OTPREG_CHALLENGE_REFUSED,
          "invalid-input-response timeout-or-duplicate" },
        { S("{\"success\":false,\"error-codes\":[\"a\\nb\\u00e4\"]}"),
          OTPREG_CHALLENGE_REFUSED, "a?b??" },
        { S("{\"success\":false,\"error-codes\":[\"internal-error\"]}"),
          OTPREG_CHALLENGE_UNCLEAR, "internal-error" },
        { S("{\"success\":false,\"error-codes\":[\"internal-errors\"]}"),
          OTPREG_CHALLENGE_REFUSED, "internal-errors" },
        { S("{\"success\":true,\"error-codes\":[\"internal-error\"]}"),
          OTPREG_CHALLENGE_PASSED, "internal-error" },
        { S("{\"success\":false,\"error-codes\":\"x\"}"),
          OTPREG_CHALLENGE_REFUSED, "" },

        { S(""), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("true"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("[true]"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{}"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{\"success\":1}"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{\"success\":\"true\"}"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{\"success\":null}"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{\"Success\":true}"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{\"success\":true"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{\"success\":true}x"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{\"success\":false,\"success\":true}"),
          OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("<html>{\"success\":true}"), OTPREG_CHALLENGE_UNCLEAR, "" },
        { S("{\"success\":true}\0"), OTPREG_CHALLENGE_UNCLEAR, "" }
    };

    for (i = 0; i < tap_items(tests); i++) {
        tap_ok(otpreg_challenge_read(tests[i].answer, codes) == tests[i].rc
               && strcmp(codes, tests[i].codes) == 0,
               "answer %zu", i);
    }
}


static void
challenge_test_long(void)
{
    char    text[4096], codes[OTPREG_CHALLENGE_CODES_SIZE];
    size_t  i, len;

    len = (size_t) snprintf(text, sizeof(text),
                            "{\"success\":false,\"error-codes\":[\"");

    for (i = 0; i < 1000; i++) {
        len += (size_t) snprintf(text + len, sizeof(text) - len, "x%s",
                                 i % 50 == 49 ? "\",\"" : "");
    }

    len += (size_t) snprintf(text + len, sizeof(text) - len, "\"]}");

    tap_ok(otpreg_challenge_read((otpreg_str_t) { (uint8_t *) text, len },
                                 codes)
           == OTPREG_CHALLENGE_REFUSED
           && strlen(codes) == sizeof(codes) - 1,
           "more codes than there is room for");

    memset(text, '[', sizeof(text));

    tap_ok(otpreg_challenge_read((otpreg_str_t) { (uint8_t *) text,
                                                  sizeof(text) }, codes)
           == OTPREG_CHALLENGE_UNCLEAR, "a deep answer");
}


static void
challenge_test_solutions(void)
{
    size_t          i;
    otpreg_str_t    one;
    static uint8_t  many[OTPREG_SOLUTION_MAX + 1];

    static const otpreg_str_t  wrong[] = {
        S(""), S("a b"), S("a&secret=b"), S("a\"b"), S("a%41"), S("a\nb"),
        S("a+b"), S("\xc3\xa4"), S("a\0b"), S("a\\")
    };

    tap_ok(otpreg_solution_is_valid(S("0.aZ_-~9")), "a solution");

    for (i = 0; i < tap_items(wrong); i++) {
        tap_ok(!otpreg_solution_is_valid(wrong[i]), "none: %zu", i);
    }

    memset(many, 'x', sizeof(many));
    one.data = many;
    one.len = OTPREG_SOLUTION_MAX;
    tap_ok(otpreg_solution_is_valid(one), "a long one");
    one.len++;
    tap_ok(!otpreg_solution_is_valid(one), "one that is too long");
}


int
main(void)
{
    challenge_test_answers();
    challenge_test_long();
    challenge_test_solutions();

    return tap_done();
}
