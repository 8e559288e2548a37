
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_origin.h"
#include "tap.h"


static void
test_same(void)
{
    static const struct {
        const char  *url;
        const char  *host;
        bool         same;
    } cases[] = {
        { "http://a.test", "a.test", true },
        { "https://a.test", "a.test", true },
        { "HTTPS://A.test", "a.TEST", true },
        { "http://a.test:8080", "a.test:8080", true },
        { "http://[::1]:8080", "[::1]:8080", true },
        { "https://a.test/register?x=1", "a.test", true },
        { "https://a.test?x=1", "a.test", true },
        { "https://a.test#x", "a.test", true },
        { "https://a.test", "a.test:443", true },
        { "http://a.test/", "a.test:80", true },

        { "https://a.test", "a.test:80", false },
        { "http://a.test", "a.test:443", false },
        { "x://a.test", "a.test:443", false },
        { "http://a.test:80", "a.test", false },
        { "http://a.test:1", "a.test:2", false },
        { "http://a.test:1", "a.test", false },
        { "http://a.test", "a.test:1", false },
        { "http://a.test.evil.test", "a.test", false },
        { "http://evil.test/a.test", "a.test", false },
        { "http://evil.test?://a.test", "a.test", false },
        { "http://evil.test#://a.test", "a.test", false },
        { "http://evil.test\\@a.test", "a.test", false },
        { "http://a.test@evil.test", "a.test", false },
        { "http://evil.test@a.test", "a.test", false },
        { "http://sub.a.test", "a.test", false },
        { "http:a.test", "a.test", false },
        { "http:/a.test", "a.test", false },
        { "http//a.test", "a.test", false },
        { "://a.test", "a.test", false },
        { "a.test", "a.test", false },
        { "a.test://a.test", "a.test", true },
        { "http://", "", false },
        { "null", "null", false },
        { "null", "", false },
        { "", "", false },
        { "http://:80", ":80", true },
        { "http://", ":80", false },
        { "about:blank", "a.test", false },
        { "data:text/html,x://a.test", "a.test", false },
    };

    size_t  i;

    for (i = 0; i < tap_items(cases); i++) {
        tap_ok(otpreg_origin_is(tap_str(cases[i].url), tap_str(cases[i].host))
               == cases[i].same, "attack 21: \"%s\" is %sa page of \"%s\"",
               cases[i].url, cases[i].same ? "" : "not ", cases[i].host);
    }

    tap_ok(!otpreg_origin_is(S("http://a\0.test"), S("a\0.test")),
           "attack 21: a NUL ends a host");
    tap_ok(!otpreg_origin_is((otpreg_str_t) { NULL, 0 },
                             (otpreg_str_t) { NULL, 0 }), "nothing");
}


static void
test_plain(void)
{
    static const struct {
        const char  *url;
        bool         plain;
    } cases[] = {
        { "http://a.test", true },
        { "HTTP://a.test/x", true },
        { "https://a.test", false },
        { "https://a.test/http://a.test", false },
        { "httpx://a.test", false },
        { "http://", false },
        { "null", false },
        { "", false },
    };

    size_t  i;

    for (i = 0; i < tap_items(cases); i++) {
        tap_ok(otpreg_origin_is_plain(tap_str(cases[i].url))
               == cases[i].plain, "\"%s\" is %splain HTTP", cases[i].url,
               cases[i].plain ? "" : "not ");
    }
}


int
main(void)
{
    test_same();
    test_plain();

    return tap_done();
}
