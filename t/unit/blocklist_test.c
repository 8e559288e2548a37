
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdlib.h>

#include <sodium.h>

#include "otpreg_password.h"
#include "otpreg_unicode.h"
#include "tap.h"


static void
blocklist_test_parse(void)
{
    static const struct {
        const char  *text;
        size_t       count;
        unsigned     line;          /* 0: taken */
    } cases[] = {
        { "", 0, 0 },
        { "\n\r\n\n", 0, 0 },
        { "one", 1, 0 },
        { "one\ntwo\n", 2, 0 },
        { "one\r\ntwo\r\n\r\n", 2, 0 },
        { "one\none\nONE\nOne\r\n", 1, 0 },
        { "\xc3\xa4\na\xcc\x88\n\xc3\x84\n", 1, 0 },
        { "# no comment\n", 1, 0 },
        { " one\none\none \n", 3, 0 },
        { "\xef\xbb\xbfone\none\n", 1, 0 },
        { "\xef\xbb\xbf", 0, 0 },
        { "one\n\ntw\xff\n", 0, 3 },
        { "\xff\n", 0, 1 },
        { "one\n\xed\xa0\x80", 0, 2 },
    };

    size_t               i;
    unsigned             line;
    otpreg_blocklist_t  *list;

    for (i = 0; i < tap_items(cases); i++) {
        line = 4711;
        list = otpreg_blocklist_parse(tap_str(cases[i].text), &line);

        tap_is(line, cases[i].line, "line, case %zu", i);
        tap_ok((list == NULL) == (line != 0), "and a list or not");

        if (list != NULL) {
            tap_is((long long) otpreg_blocklist_count(list),
                   (long long) cases[i].count, "so many entries");
        }

        otpreg_blocklist_free(list);
    }

    list = otpreg_blocklist_parse((otpreg_str_t) { NULL, 0 }, &line);
    tap_ok(list != NULL, "an empty file has no data");
    otpreg_blocklist_free(list);
}


static void
blocklist_test_check(void)
{
    static const struct {
        const char        *in;
        otpreg_outcome_t   rc;
    } cases[] = {
        { "correct horse battery staple", OTPREG_PASSWORD_COMMON },
        { "CORRECT horse Battery Staple", OTPREG_PASSWORD_COMMON },
        { "qwertzuiop\xc3\xbc" "asdf", OTPREG_PASSWORD_COMMON },
        { "QWERTZUIOP\xc3\x9c" "ASDF", OTPREG_PASSWORD_COMMON },
        { "QWERTZUIOPU\xcc\x88" "ASDF", OTPREG_PASSWORD_COMMON },
        { "stra\xc3\x9f" "e nach berlin", OTPREG_PASSWORD_COMMON },
        { "STRASSE NACH BERLIN", OTPREG_PASSWORD_COMMON },
        { "  leading and trailing  ", OTPREG_PASSWORD_COMMON },
        { "leading and trailing", OTPREG_OK },
        { "correct horse battery stapl", OTPREG_OK },
        { "correct horse battery staple!", OTPREG_OK },
        { "xcorrect horse battery staple", OTPREG_OK },
        { "password", OTPREG_PASSWORD_TOO_SHORT },
    };

    size_t                     i;
    unsigned                   line;
    otpreg_password_t          out;
    otpreg_blocklist_t        *list;
    otpreg_password_policy_t   policy;

    list = otpreg_blocklist_parse(S("password\r\n"
                                    "Correct Horse Battery Staple\r\n"
                                    "qwertzuiopu\xcc\x88" "asdf\r\n"
                                    "Stra\xc3\x9f" "e nach Berlin\r\n"
                                    "  leading and trailing  \n"),
                                  &line);

    policy = (otpreg_password_policy_t) { 15, 128, list };

    for (i = 0; i < tap_items(cases); i++) {
        tap_is(otpreg_password_check(tap_str(cases[i].in), &policy, NULL, 0,
                                     &out),
               cases[i].rc, "blocklist, case %zu", i);
        tap_ok(cases[i].rc == OTPREG_OK
               || sodium_is_zero((uint8_t *) &out, sizeof(out)), "wiped");
    }

    otpreg_blocklist_free(list);

    list = otpreg_blocklist_parse(S(""), &line);
    policy.blocklist = list;
    tap_is(otpreg_password_check(S("correct horse battery staple"), &policy,
                                 NULL, 0, &out),
           OTPREG_OK, "an empty list refuses nothing");
    otpreg_blocklist_free(list);
}


static void
blocklist_test_large(void)
{
    char                *text, word[32];
    size_t               len, found, i;
    unsigned             line;
    otpreg_blocklist_t  *list;

    text = malloc(100000 * 16 + 20001);

    for (len = 0, i = 0; i < 100000; i++) {
        len += (size_t) sprintf(text + len, "password%zu\n", i);
    }

    /* no password is so long */

    memset(text + len, 'a', 20000);
    len += 20000;

    list = otpreg_blocklist_parse((otpreg_str_t) { (uint8_t *) text, len },
                                  &line);

    tap_is((long long) otpreg_blocklist_count(list), 100000,
           "100000 entries, and one dropped as too long");

    for (found = 0, i = 0; i < 200000; i++) {
        snprintf(word, sizeof(word), "password%zu", i);
        found += otpreg_blocklist_has(list, tap_str(word));
    }

    tap_is((long long) found, 100000, "each is found, no other");

    otpreg_blocklist_free(list);
    free(text);
}


int
main(void)
{
    if (sodium_init() < 0) {
        return 1;
    }

    blocklist_test_parse();
    blocklist_test_check();
    blocklist_test_large();

    otpreg_blocklist_free(NULL);
    tap_ok(true, "no list is freed");

    return tap_done();
}
