
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_breach.h"
#include "tap.h"


/* SHA-1 of "password" */

static const uint8_t  breach_test_hash[OTPREG_BREACH_HASH_LEN] = {
    0x5b, 0xaa, 0x61, 0xe4, 0xc9, 0xb9, 0x3f, 0x3f, 0x06, 0x82,
    0x25, 0x0b, 0x6c, 0xf8, 0x33, 0x1b, 0x7e, 0xe6, 0x8f, 0xd8
};

#define OURS   "1E4C9B93F3F0682250B6CF8331B7EE68FD8"
#define OTHER  "1E4C9B93F3F0682250B6CF8331B7EE68FD9"


static void
breach_test_answers(void)
{
    size_t           i, step, at, len;
    bool             same;
    otpreg_str_t     piece;
    otpreg_breach_t  breach;

    static const struct {
        otpreg_str_t    answer;
        bool            known;
        bool            found;
    } tests[] = {
        { S(OURS ":3\r\n"), true, true },
        { S(OURS ":3"), true, true },
        { S("1e4c9b93f3f0682250b6cf8331b7ee68fd8:10\n"), true, true },
        { S(OTHER ":1\r\n" OURS ":52256179\r\n" OTHER ":0"), true, true },
        { S(OURS ":007\n"), true, true },

        { S(OURS ":0\r\n" OTHER ":3\r\n"), true, false },
        { S(OTHER ":1\r\n" OTHER ":2\r\n"), true, false },
        { S(OTHER ":1\r\n" OURS ":\r\n"), true, false },
        { S(OTHER ":1\r\n" OURS "\r\n"), true, false },
        { S(OTHER ":1\r\n" OURS ":x1\r\n"), true, false },
        { S(OTHER ":1\r\n " OURS ":1\r\n"), true, false },
        { S(OTHER ":1\r\n0" OURS ":1\r\n"), true, false },
        { S(OTHER ":1\r\n5BAA6" OURS ":1\r\n"), true, false },

        { S(""), false, false },
        { S("\r\n\r\n"), false, false },
        { S("<html><body>sign in to this network</body></html>"), false, false },
        { S("{\"" OURS "\":1}"), false, false },
        { S(OURS), false, false },
        { S("\0"), false, false }
    };

    for (i = 0; i < tap_items(tests); i++) {
        same = true;
        len = tests[i].answer.len;

        for (step = 1; step <= len + 1; step++) {
            otpreg_breach_init(&breach, breach_test_hash);

            for (at = 0; at < len; at += step) {
                piece.data = tests[i].answer.data + at;
                piece.len = (len - at < step) ? len - at : step;
                otpreg_breach_read(&breach, piece);
            }

            otpreg_breach_end(&breach);

            same &= breach.known == tests[i].known
                    && breach.found == tests[i].found;
        }

        tap_ok(same, "answer %zu, in pieces of any size", i);
    }
}


int
main(void)
{
    otpreg_breach_t  breach;

    otpreg_breach_init(&breach, breach_test_hash);
    tap_ok(strcmp(breach.prefix, "5BAA6") == 0, "what to ask for");

    breach_test_answers();

    return tap_done();
}
