
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_language.h"
#include "tap.h"


static void
language_test_choose(void)
{
    static const struct {
        const char  *accept;
        const char  *tag;
    } cases[] = {
        { "", "en" },
        { "de", "de" },
        { "DE", "de" },
        { "de-CH", "de" },
        { "de-CH-1996, en;q=0.9", "de" },
        { "en;q=0.5, de;q=0.8", "de" },
        { "en, de", "en" },
        { "de, en", "de" },
        { "it, de;q=0.1", "de" },
        { "it", "en" },
        { "*", "en" },
        { "it, *;q=0.5", "en" },
        { "de;q=0", "en" },
        { "de;q=x, ar;q=0.1", "ar" },
        { "de;level=1, ar;q=0.1", "ar" },
        { "zh", "zh-Hans" },
        { "zh-Hans-CN", "zh-Hans" },
        { "zh-CN", "zh" },
        { "den", "en" },
        { "d", "en" },
        { ", ,, de", "de" },
        { " de ; q=0.7 , ar;q=0.8", "ar" },
        { ";", "en" },
        { "-", "en" },
    };

    static const char *const  names[] = { "en", "de", "zh-Hans", "ar" };
    static const char *const  with_zh[] = { "en", "de", "zh-Hans", "zh" };

    size_t        i, j;
    unsigned      k;
    otpreg_str_t  tags[4];

    for (i = 0; i < tap_items(cases); i++) {

        /* the one case that needs another list */

        for (j = 0; j < 4; j++) {
            tags[j] = tap_str(strcmp(cases[i].tag, "zh") == 0 ? with_zh[j]
                                                              : names[j]);
        }

        k = otpreg_language_choose(tap_str(cases[i].accept), tags, 4);

        tap_ok(k < 4 && tap_same(tags[k], tap_str(cases[i].tag)),
               "\"%s\": %s", cases[i].accept, cases[i].tag);
    }
}


static void
language_test_valid(void)
{
    tap_ok(otpreg_language_valid(S("zh-Hans-CN")), "a tag");
    tap_ok(!otpreg_language_valid(S("")), "nothing");
    tap_ok(!otpreg_language_valid(S("../de")), "a path");
    tap_ok(!otpreg_language_valid(S("de_DE")), "a locale");
    tap_ok(!otpreg_language_valid(S("aaaaaaaaaabbbbbbbbbbccccccccccdddddd")),
           "too long");
}


int
main(void)
{
    language_test_choose();
    language_test_valid();

    return tap_done();
}
