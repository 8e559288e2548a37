
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_cookie.h"
#include "tap.h"


int
main(void)
{
    static const struct {
        const char  *header;
        const char  *value;             /* of __Host-a; NULL: there is none */
    } cases[] = {
        { "__Host-a=1", "1" },
        { "x=y; __Host-a=1; z=0", "1" },
        { "x=y;__Host-a=1;", "1" },
        { "x; ; __Host-a=1 ", "1" },
        { "__Host-a=1; __Host-a=2", "1" },
        { "__Host-a=", "" },
        { "__Host-a==1=", "=1=" },
        { "__Host-a=\"1\"", "\"1\"" },
        { "__Host-a", NULL },
        { "__Host-ab=1", NULL },
        { "__Host-a =1", NULL },
        { "x__Host-a=1", NULL },
        { "x=__Host-a=1", NULL },
        { "x=\"; __Host-a=1", "1" },
        { "", NULL },
        { ";;;", NULL },

        /* attack 13: the prefix in another case, which a subdomain may set */
        { "__host-a=1", NULL },
        { "__HOST-A=1; __Host-a=2", "2" },
        { "__Secure-a=1", NULL },
        { "a=1", NULL },
    };

    size_t        i;
    otpreg_str_t  value;

    for (i = 0; i < tap_items(cases); i++) {
        value = S("untouched");

        if (cases[i].value == NULL) {
            tap_ok(!otpreg_cookie_find(tap_str(cases[i].header), "__Host-a",
                                       &value)
                   && value.len == 9, "attack 13: not in \"%s\"",
                   cases[i].header);
            continue;
        }

        tap_ok(otpreg_cookie_find(tap_str(cases[i].header), "__Host-a", &value)
               && value.len == strlen(cases[i].value)
               && memcmp(value.data, cases[i].value, value.len) == 0,
               "found in \"%s\"", cases[i].header);
    }

    tap_ok(!otpreg_cookie_find((otpreg_str_t) { NULL, 0 }, "a", &value),
           "no header");

    return tap_done();
}
