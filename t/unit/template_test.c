
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_template.h"
#include "tap.h"


#define RAW   "holds \"<!--#\", so SSI is off there"
#define LACK  "lacks the code"


static const struct {
    const char     *name;
    otpreg_str_t    part;
    const char     *code;
    const char     *fault;
} cases[] = {
    { "the code",            S("Your code: 012345.\n"), "012345", NULL },
    { "it alone",            S("012345"),               "012345", NULL },
    { "at the end",          S("code 012345"),          "012345", NULL },
    { "after its beginning", S("0 01 012345"),          "012345", NULL },
    { "in one more digit",   S("0012345"),              "012345", NULL },
    { "in groups",           S("012 345"),              "012345", NULL },
    { "by U+00A0",           S("012\xc2\xa0" "345"),    "012345", NULL },
    { "by hyphens",          S("0-1-2-3-4-5"),          "012345", NULL },
    { "by tags",             S("<b>012</b><i a=\"99\">345</i>"), "012345",
      NULL },
    { "by references",       S("012&#8239;345"),        "012345", NULL },

    { "SSI that is off",     S("Code: <!--# echo var=\"otpreg_code\" -->"),
      "012345", RAW },
    { "beside the code",     S("012345 <!--# if -->"),  "012345", RAW },
    { "where none belongs",  S("<!--#"),                "", RAW },
    { "a comment",           S("<!-- # -->012345"),     "012345", NULL },
    { "the end of a comment", S("012345<!--"),          "012345", NULL },

    { "no code",             S("Your code: ."),         "012345", LACK },
    { "the default",         S("Your code: (none)"),    "012345", LACK },
    { "another one",         S("012346"),               "012345", LACK },
    { "its beginning",       S("01234"),                "012345", LACK },
    { "with letters in it",  S("012 or 345"),           "012345", LACK },
    { "in a tag only",       S("<a href=\"/?012345\">"), "012345", NULL },
    { "a tag that is open",  S("012<345"),              "012345", LACK },
    { "a reference, open",   S("012&345"),              "012345", LACK },
    { "nothing",             { NULL, 0 },               "012345", LACK },

    { "none belongs there",  S("You have an account."), "", NULL },
    { "nothing, no code",    { NULL, 0 },               "", NULL }
};


int
main(void)
{
    size_t       i;
    const char  *fault;

    for (i = 0; i < tap_items(cases); i++) {
        fault = otpreg_template_fault(cases[i].part, cases[i].code);

        tap_ok(cases[i].fault == NULL
               ? fault == NULL
               : fault != NULL && strcmp(fault, cases[i].fault) == 0,
               "%s: %s", cases[i].name, fault ? fault : "well");
    }

    tap_ok(!otpreg_template_is_raw(S("<!-- # -->"))
           && otpreg_template_is_raw(S("a<!--#b")), "raw or not");

    return tap_done();
}
