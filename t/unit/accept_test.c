
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_form.h"
#include "otpreg_media.h"
#include "tap.h"


static void
accept_test_json(void)
{
    static const struct {
        const char  *value;
        bool         json;
    } cases[] = {
        { "application/json", true },
        { "APPLICATION/Json", true },
        { "application/problem+json", true },
        { "application/json, text/plain, */*", true },
        { "application/json; charset=utf-8", true },
        { "application/json;q=0.001", true },
        { "application/json, text/html;q=0.9", true },
        { "text/html;q=0.5, application/json;q=0.501", true },
        { "text/html;q=0, application/json;q=0.1", true },
        { "text/html;q=0.1, application/problem+json", true },
        { "application/json, */*;q=0.1", true },
        { "application/json, text/*", true },
        { "application/json;q=0, application/json", true },
        { "application/json, application/json;q=0", true },
        { "text/html;q=0.1, application/json;q=0.5, text/html;q=0.4", true },
        { "application/json;q=0, application/problem+json", true },
        { ",, application/json ,", true },
        { "text/html;q=0.8,application/json;q=\"0.9\"", true },
        { "text/plain;a=\",\", application/json", true },
        { "broken, application/json", true },
        { "a/b;c=\"not closed, application/json", false },
        { "text/html;q=2, application/json", true },

        { "", false },
        { "*/*", false },
        { "application/*", false },
        { "application/*, text/html;q=0.1", false },
        { "*/*;q=0.5, application/*", false },
        { "text/html", false },
        { "text/html, application/json", false },
        { "application/json, text/html", false },
        { "application/json, TEXT/HTML", false },
        { "application/json;q=0", false },
        { "text/html;q=0.1, application/json;q=0.5, text/html;q=0.6", false },
        { "application/json;q=0.000, text/html;q=0", false },
        { "application/json;q=0.9, text/html", false },
        { "application/json;q=0.5, */*", false },
        { "application/json;q=0.5, text/*;q=0.6", false },
        { "text/html,application/xhtml+xml,application/xml;q=0.9,"
          "image/avif,image/webp,*/*;q=0.8", false },
        { "application/json;q=", false },
        { "application/json;q=x", false },
        { "application/json;q=1.001", false },
        { "application/json;q=0.1234", false },
        { "application/json;q=.5", false },
        { "application/json;q=-1", false },
        { "application/json;q=00", false },
        { "application/json x", false },
        { "application/json/x", false },
        { "application/jsonp", false },
        { "application/ json", false },
        { "x/y;z=\"application/json\"", false },
        { "x/y;z=\", application/json\"", false },
        { "broken \", application/json", false },
    };

    size_t  i;

    for (i = 0; i < tap_items(cases); i++) {
        tap_is(otpreg_accept_json(tap_str(cases[i].value)), cases[i].json,
               "\"%s\"", cases[i].value);
    }

    tap_ok(!otpreg_accept_json((otpreg_str_t) { NULL, 0 }), "no header");
    tap_ok(!otpreg_accept_json(S("application/json\0")), "a NUL");
}


static void
accept_test_quality(void)
{
    static const struct {
        const char  *value;
        bool         valid;
        unsigned     quality;
    } cases[] = {
        { "a/b", true, 1000 },
        { "a/b;q=1", true, 1000 },
        { "a/b;q=1.", true, 1000 },
        { "a/b;q=1.000", true, 1000 },
        { "a/b;q=0", true, 0 },
        { "a/b;q=0.", true, 0 },
        { "a/b;q=0.5", true, 500 },
        { "a/b;Q=0.25", true, 250 },
        { "a/b ; q=0.125", true, 125 },
        { "a/b; q=0.999", true, 999 },
        { "a/b;q=0.5;x=y", true, 500 },
        { "a/b;;q=0.5;", true, 500 },
        { "a/b;q = 0.5", false, 0 },
        { "a/b;q=1.0000", false, 0 },
        { "a/b;q=2", false, 0 },
        { "a/b;q=1.5", false, 0 },
        { "a/b;q=0,5", false, 0 },
        { "a/b;q", false, 0 },
        { "a/b;=1", false, 0 },
    };

    size_t          i;
    otpreg_str_t    rest;
    otpreg_media_t  media;

    for (i = 0; i < tap_items(cases); i++) {
        rest = tap_str(cases[i].value);

        if (strcmp(cases[i].value, "a/b;q=0,5") == 0) {
            /* a list of two: the second is no type */
            otpreg_media_next(&rest, &media);
        }

        tap_ok(otpreg_media_next(&rest, &media), "an element");
        tap_is(media.valid, cases[i].valid, "\"%s\"", cases[i].value);

        if (cases[i].valid) {
            tap_is(media.quality, cases[i].quality, "its quality");
        }
    }
}


int
main(void)
{
    accept_test_json();
    accept_test_quality();

    return tap_done();
}
