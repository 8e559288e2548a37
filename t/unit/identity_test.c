
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_identity.h"
#include "tap.h"


/* ten, and 63, letters */
#define A10                      "aaaaaaaaaa"
#define A50                      A10 A10 A10 A10 A10
#define A63                      A50 A10 "aaa"


typedef struct {
    const char        *in;
    otpreg_outcome_t   rc;
    const char        *out;         /* NULL: refused */
    const char        *key;         /* NULL: the same as out */
} identity_test_case_t;


static void
identity_test_username_address(void)
{
    static const char *const  cases[] = {
        "ann@example.com", "@", "a@", "+14155550100", "+", " +1 "
    };

    size_t             i;
    otpreg_username_t  username;

    for (i = 0; i < tap_items(cases); i++) {
        tap_ok(otpreg_username_parse(tap_str(cases[i]), &username) == OTPREG_OK
               && otpreg_username_is_address(&username),
               "could be an address: \"%s\"", cases[i]);
    }

    tap_ok(otpreg_username_parse(S("1.a+b_c-d"), &username) == OTPREG_OK
           && !otpreg_username_is_address(&username), "a plain username");
}


static void
identity_test_username(void)
{
    static const identity_test_case_t  cases[] = {
        { "ann", OTPREG_OK, "ann", NULL },
        { "Ann.B_c-d+e@F1", OTPREG_OK, "Ann.B_c-d+e@F1", "ann.b_c-d+e@f1" },
        { "1", OTPREG_OK, "1", NULL },
        { ".", OTPREG_OK, ".", NULL },
        { " \t ann \r\n", OTPREG_OK, "ann", NULL },
        { A50 A50 A50, OTPREG_OK, A50 A50 A50, NULL },
        { " " A50 A50 A50 " ", OTPREG_OK, A50 A50 A50, NULL },
        { "", OTPREG_REQUIRED, NULL, NULL },
        { " \t\r\n\v\f ", OTPREG_REQUIRED, NULL, NULL },
        { A50 A50 A50 "a", OTPREG_USERNAME_TOO_LONG, NULL, NULL },
        { A50 A50 A50 "!", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a\r\nb", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a\tb", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a/b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a<b>", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a\"b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a'b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a,b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a;b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a&b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a%00", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a\\b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "a\x7f", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "\xc3\xa4nn", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "\xd0\xb0nn", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "ann\xe2\x80\x8b", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "ann\xc2\xa0", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "\xef\xbd\x81nn", OTPREG_USERNAME_INVALID, NULL, NULL },
        { "ann\xff", OTPREG_USERNAME_INVALID, NULL, NULL },
    };

    size_t              i;
    const char         *key;
    otpreg_username_t   out;

    for (i = 0; i < tap_items(cases); i++) {
        memset(&out, 'x', sizeof(out));

        tap_is(otpreg_username_parse(tap_str(cases[i].in), &out), cases[i].rc,
               "username, case %zu", i);

        if (cases[i].out == NULL) {
            tap_ok(out.name[0] == '\0' && out.key[0] == '\0', "left empty");
            continue;
        }

        key = cases[i].key != NULL ? cases[i].key : cases[i].out;
        tap_is_text(out.name, cases[i].out, "its name");
        tap_is_text(out.key, key, "its key");
    }

    tap_is(otpreg_username_parse(S("an\0n"), &out), OTPREG_USERNAME_INVALID,
           "username with a NUL");
    tap_is(otpreg_username_parse((otpreg_str_t) { NULL, 0 }, &out),
           OTPREG_REQUIRED, "no username");
}


static void
identity_test_email(void)
{
    static const identity_test_case_t  cases[] = {
        { "ann@example.com", OTPREG_OK, "ann@example.com", NULL },
        { "Bob@X.org", OTPREG_OK, "Bob@x.org", "bob@x.org" },
        { "BOB@X.ORG", OTPREG_OK, "BOB@x.org", "bob@x.org" },
        { " ann@example.com\r\n", OTPREG_OK, "ann@example.com", NULL },
        { "a.b+c@sub.example.co", OTPREG_OK, "a.b+c@sub.example.co", NULL },
        { "!#$%&'*+-/=?^_`{|}~@a.b", OTPREG_OK, "!#$%&'*+-/=?^_`{|}~@a.b",
          NULL },
        { "1@2.a3", OTPREG_OK, "1@2.a3", NULL },
        { "a@x--y.com", OTPREG_OK, "a@x--y.com", NULL },
        { "a@r3---sn.com", OTPREG_OK, "a@r3---sn.com", NULL },

        /* required, too long */

        { "", OTPREG_REQUIRED, NULL, NULL },
        { " \t ", OTPREG_REQUIRED, NULL, NULL },
        { A63 "a@b.co", OTPREG_OK, A63 "a@b.co", NULL },
        { A63 "aa@b.co", OTPREG_EMAIL_TOO_LONG, NULL, NULL },
        { "a@" A63 ".com", OTPREG_OK, "a@" A63 ".com", NULL },
        { "a@" A63 "a.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { A50 "aaaaaaaaa@" A63 "." A63 "." A63 ".bc", OTPREG_OK,
          A50 "aaaaaaaaa@" A63 "." A63 "." A63 ".bc", NULL },
        { A50 "aaaaaaaaaa@" A63 "." A63 "." A63 ".bc", OTPREG_EMAIL_TOO_LONG,
          NULL, NULL },

        /* syntax */

        { "ann", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "@", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@localhost", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@b@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { ".ann@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann.@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a..nn@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@example.com.", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@.example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@example..com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@-example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@example-.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@exa_mple.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@exa mple.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a nn@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann @example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@ example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@127.0.0.1", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@example.123", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@[127.0.0.1]", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@[IPv6:::1]", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "\"ann\"@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "\"a b\"@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann(x)@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "Ann <ann@example.com>", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "<ann@example.com>", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "mailto:ann@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a\\@b@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@example.com:25", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "ann@example.com/x", OTPREG_EMAIL_INVALID, NULL, NULL },

        /* several recipients, more commands: attack 18 */

        { "a@b.co,c@d.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.co;c@d.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.co c@d.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.co\r\nRCPT TO:<c@d.co>", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a\r\n@b.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.co\nBcc: c@d.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\r.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.co>", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a%0d%0a@b.co%0d%0a", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.co\x7f", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\xc2\x85.co", OTPREG_EMAIL_INVALID, NULL, NULL },

        /* IDN: one key for all ways to write a domain */

        { "a@b\xc3\xbc" "cher.de", OTPREG_OK, "a@xn--bcher-kva.de", NULL },
        { "a@B\xc3\x9c" "CHER.DE", OTPREG_OK, "a@xn--bcher-kva.de", NULL },
        { "a@bu\xcc\x88" "cher.de", OTPREG_OK, "a@xn--bcher-kva.de", NULL },
        { "a@xn--bcher-kva.de", OTPREG_OK, "a@xn--bcher-kva.de", NULL },
        { "a@XN--BCHER-KVA.DE", OTPREG_OK, "a@xn--bcher-kva.de", NULL },
        { "a@sub.b\xc3\xbc" "cher.de", OTPREG_OK, "a@sub.xn--bcher-kva.de",
          NULL },
        { "a@fa\xc3\x9f.de", OTPREG_OK, "a@xn--fa-hia.de", NULL },
        { "a@fass.de", OTPREG_OK, "a@fass.de", NULL },
        { "a@\xef\xbd\x85xample.com", OTPREG_OK, "a@example.com", NULL },
        { "a@\xef\xbc\xa5XAMPLE.com", OTPREG_OK, "a@example.com", NULL },
        { "a@\xe2\x84\xaa.com", OTPREG_OK, "a@k.com", NULL },
        { "a@\xd0\xb0pple.com", OTPREG_OK, "a@xn--pple-43d.com", NULL },
        { "a@\xd0\xbf\xd1\x80.\xd1\x80\xd1\x84", OTPREG_OK,
          "a@xn--o1ac.xn--p1ai", NULL },

        /* and what normalises to another syntax, or is not seen */

        { "a\xef\xbc\xa0" "b.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\xef\xbc\xa0" "c.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@\xc3\xbc\xef\xbc\xa0" "c.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\xe3\x80\x82" "co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.c\xef\xbc\x8e" "co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.c\xef\xbd\xa1" "co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.co\xe3\x80\x82", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b.co\xef\xbc\x8f" "x", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\xe2\x84\x80.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\xc3\xbc_c.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@xn--_b-wka.co", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xe2\x80\x8b" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xe2\x80\x8c" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xe2\x80\x8d" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xe2\x81\xa0" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xef\xbb\xbf" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xc2\xad" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xcd\x8f" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xef\xb8\x8f" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@ex\xe2\x80\xae" "ample.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@example.com\xe2\x80\x8b", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "\xe2\x80\x8b" "a@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a\xe2\x80\x8b@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "\xc3\xa4@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "\xd0\xb0@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "\xef\xbd\x81@example.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@\xf0\x9f\x91\x8d.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@\xef\xbc\x91.\xef\xbc\x92", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@xn--.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@xn--a.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@xn--example-.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@xn--b\xc3\xbc" "cher.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@-\xc3\xbc.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@\xc3\xbc.com.", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@\xc3\xbc..com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\xff.com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\xc0\xae" "com", OTPREG_EMAIL_INVALID, NULL, NULL },
        { "a@b\xed\xa0\x80.com", OTPREG_EMAIL_INVALID, NULL, NULL },
    };

    size_t           i;
    const char      *key;
    otpreg_email_t   out;

    for (i = 0; i < tap_items(cases); i++) {
        memset(&out, 'x', sizeof(out));

        tap_is(otpreg_email_parse(tap_str(cases[i].in), &out), cases[i].rc,
               "e-mail, case %zu", i);

        if (cases[i].out == NULL) {
            tap_ok(out.address[0] == '\0' && out.key[0] == '\0', "left empty");
            continue;
        }

        key = cases[i].key != NULL ? cases[i].key : cases[i].out;
        tap_is_text(out.address, cases[i].out, "its address");
        tap_is_text(out.key, key, "its key");
    }
}


static void
identity_test_mailbox(void)
{
    static const struct {
        const char  *key;
        const char  *mailbox;
    } cases[] = {
        { "ann@example.com", "ann@example.com" },
        { "ann+a@example.com", "ann@example.com" },
        { "ann+a+b@example.com", "ann@example.com" },
        { "ann+@example.com", "ann@example.com" },
        { "a+b@x.org", "a@x.org" },
        { "+ann@example.com", "+ann@example.com" },
        { "+a+b@example.com", "+a+b@example.com" },
        { "+442079460018", "+442079460018" },
        { "", "" },
    };

    char    key[OTPREG_EMAIL_MAX + 1], mailbox[OTPREG_EMAIL_MAX + 1];
    size_t  i;

    for (i = 0; i < tap_items(cases); i++) {
        otpreg_email_mailbox(cases[i].key, mailbox);
        tap_is_text(mailbox, cases[i].mailbox, "mailbox, case %zu", i);
    }

    memset(key, 'a', sizeof(key));
    key[64] = '@';
    key[OTPREG_EMAIL_MAX] = '\0';
    otpreg_email_mailbox(key, mailbox);
    tap_is_text(mailbox, key, "the longest one fits");
}


static void
identity_test_email_bytes(void)
{
    char              in[4096];
    otpreg_str_t      str;
    otpreg_email_t    out;
    otpreg_outcome_t  rc;

    tap_is(otpreg_email_parse(S("a\0b@example.com"), &out),
           OTPREG_EMAIL_INVALID, "a NUL in the local part");
    tap_is(otpreg_email_parse(S("a@example.com\0.evil.org"), &out),
           OTPREG_EMAIL_INVALID, "a NUL in the domain");
    tap_is(otpreg_email_parse(S("a@\xc3\xbc.com\0"), &out),
           OTPREG_EMAIL_INVALID, "a NUL behind an IDN");
    tap_is(otpreg_email_parse((otpreg_str_t) { NULL, 0 }, &out),
           OTPREG_REQUIRED, "no address");

    memset(in, 'a', sizeof(in));
    in[1] = '@';
    str.data = (uint8_t *) in;
    str.len = sizeof(in);
    tap_is(otpreg_email_parse(str, &out), OTPREG_EMAIL_TOO_LONG, "4096 bytes");

    /* full-width letters to the last byte that is looked at */

    for (str.len = 2; str.len + 3 <= OTPREG_EMAIL_MAX * 4; str.len += 3) {
        memcpy(in + str.len, "\xef\xbd\x81", 3);
    }

    rc = otpreg_email_parse(str, &out);
    tap_ok(rc == OTPREG_EMAIL_INVALID || rc == OTPREG_EMAIL_TOO_LONG,
           "a long label of full-width letters");
}


static void
identity_test_mask(void)
{
    static const struct {
        const char  *address;
        const char  *masked;
    } cases[] = {
        { "ann@example.com", "a***@example.com" },
        { "a@example.com", "a***@example.com" },
        { "averyveryverylongone@x.org", "a***@x.org" },
        { "@x.org", "***@x.org" },
        { "ann", "***" },
        { "", "***" },
    };

    char    address[OTPREG_EMAIL_MAX + 1], out[OTPREG_EMAIL_MAX + 4];
    size_t  i, len;

    for (i = 0; i < tap_items(cases); i++) {
        len = otpreg_email_mask(cases[i].address, out);
        tap_is_text(out, cases[i].masked, "masked, case %zu", i);
        tap_is((long long) len, (long long) strlen(out), "its length");
    }

    memset(address, 'a', sizeof(address));
    address[1] = '@';
    address[OTPREG_EMAIL_MAX] = '\0';
    tap_is((long long) otpreg_email_mask(address, out), OTPREG_EMAIL_MAX + 3,
           "the longest mask fits");
}


int
main(void)
{
    identity_test_username();
    identity_test_username_address();
    identity_test_email();
    identity_test_email_bytes();
    identity_test_mailbox();
    identity_test_mask();

    return tap_done();
}
