
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>

#include "otpreg_message.h"
#include "tap.h"


static const struct {
    const char     *name;
    otpreg_str_t    value;
    bool            safe;
} safe_cases[] = {
    { "empty",                   { NULL, 0 },                 true },
    { "ASCII",                   S("A subject"),              true },
    { "umlauts and emoji",       S("Größe 🎉"),               true },
    { "no-break space",          S("a\xc2\xa0" "b"),          true },
    { "CR LF",                   S("a\r\nBcc: b@c"),          false },
    { "CR",                      S("a\rb"),                   false },
    { "LF",                      S("a\nb"),                   false },
    { "LF at the end",           S("a\n"),                    false },
    { "NUL",                     S("a\0b"),                   false },
    { "tab",                     S("a\tb"),                   false },
    { "DEL",                     S("a\x7f"),                  false },
    { "U+0080",                  S("a\xc2\x80"),              false },
    { "U+0085, next line",       S("a\xc2\x85"),              false },
    { "U+009F",                  S("a\xc2\x9f"),              false },
    { "U+2028, line separator",  S("a\xe2\x80\xa8"),          false },
    { "U+2029",                  S("a\xe2\x80\xa9"),          false },
    { "Latin-1",                 S("Gr\xfc\xdf" "e"),         false },
    { "cut off",                 S("a\xf0\x9f\x8e"),          false },
    { "overlong LF",             S("a\xc0\x8a"),              false },
    { "surrogate",               S("a\xed\xa0\x80"),          false },
    { "beyond Unicode",          S("a\xf4\x90\x80\x80"),      false }
};


static const struct {
    const char     *name;
    otpreg_str_t    value;
    const char     *encoded;
} encode_cases[] = {
    { "plain",          S("Your code"),     "Your code" },
    { "sign and mark",  S("a = b ? c"),     "a = b ? c" },
    { "umlauts",        S("Größe"),         "=?UTF-8?B?R3LDtsOfZQ==?=" },
    { "looks encoded",  S("=?UTF-8?Q?x?="),
      "=?UTF-8?B?PT9VVEYtOD9RP3g/PQ==?=" },
    { "39 bytes",       S("äaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
      "=?UTF-8?B?w6RhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh?=" },
    { "40 bytes",       S("äaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
      "=?UTF-8?B?w6RhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh?=\r\n"
      " =?UTF-8?B?Yg==?=" },
    { "not safe",       S("Größe\r\nBcc: a"), "" }
};


static const struct {
    int64_t      now;
    const char  *date;
} date_cases[] = {
    { 1795382568,       "Sun, 22 Nov 2026 21:22:48 +0000" },
    { 0,                "Thu, 01 Jan 1970 00:00:00 +0000" },
    { 951782400,        "Tue, 29 Feb 2000 00:00:00 +0000" },
    { 4107542399,       "Sun, 28 Feb 2100 23:59:59 +0000" },
    { 2147483648,       "Tue, 19 Jan 2038 03:14:08 +0000" },
    { 253402300799,     "Fri, 31 Dec 9999 23:59:59 +0000" },
    { INT64_MAX,        "Fri, 31 Dec 9999 23:59:59 +0000" },
    { -1,               "Thu, 01 Jan 1970 00:00:00 +0000" },
    { INT64_MIN,        "Thu, 01 Jan 1970 00:00:00 +0000" }
};


static const struct {
    const char     *name;
    otpreg_str_t    in;
    const char     *subject;
    const char     *body;
} split_cases[] = {
    { "empty",             { NULL, 0 },                      "", "" },
    { "LF",                S("Subject: A b\n\nBody\n"),      "A b", "Body\n" },
    { "CRLF",              S("Subject: A b\r\n\r\nBody\r\n"), "A b",
      "Body\r\n" },
    { "case, no space",    S("SUBJECT:A b\n\nBody"),         "A b", "Body" },
    { "spaces around",     S("Subject: \t A b \t\n\nBody"),  "A b", "Body" },
    { "leading lines",     S("\n \r\n\t\nSubject: A\n\nBody"), "A", "Body" },
    { "byte order mark",   S("\xef\xbb\xbfSubject: A\n\nBody"), "A", "Body" },
    { "blank with space",  S("Subject: A\n \t\nBody"),       "A", "Body" },
    { "one blank line",    S("Subject: A\n\n\nBody"),        "A", "\nBody" },
    { "subject alone",     S("Subject: A"),                  "A", "" },
    { "subject, LF",       S("Subject: A\n"),                "A", "" },
    { "empty subject",     S("Subject:\n\nBody"),            "", "Body" },
    { "no blank line",     S("Subject: A\nBody\n"),          "",
      "Subject: A\nBody\n" },
    { "no subject",        S("Body\n\nSubject: A\n\n"),      "",
      "Body\n\nSubject: A\n\n" },
    { "leading, no subject", S("\n\nBody"),                  "", "Body" },
    { "shorter",           S("Subj"),                        "", "Subj" },
    { "no colon",          S("Subject A\n\nBody"),           "",
      "Subject A\n\nBody" },
    { "space before colon", S("Subject : A\n\nBody"),        "",
      "Subject : A\n\nBody" },
    { "umlauts",           S("Subject: Größe 🎉\n\nGrüße"),
      "Größe 🎉", "Grüße" },
    { "second one is body", S("Subject: A\n\nSubject: B\n\n"), "A",
      "Subject: B\n\n" }
};


static void
test_safe(void)
{
    unsigned  i;

    for (i = 0; i < tap_items(safe_cases); i++) {
        tap_is(otpreg_header_safe(safe_cases[i].value), safe_cases[i].safe,
               "safe: %s", safe_cases[i].name);
    }
}


static void
test_encode(void)
{
    char      out[256];
    size_t    len;
    unsigned  i;

    for (i = 0; i < tap_items(encode_cases); i++) {
        memset(out, 0, sizeof(out));
        len = otpreg_header_encode(encode_cases[i].value, out, sizeof(out));

        tap_is((long long) len, (long long) strlen(encode_cases[i].encoded),
               "encode: %s, length", encode_cases[i].name);

        if (len != 0) {
            tap_is_text(out, encode_cases[i].encoded, "encode: %s",
                        encode_cases[i].name);
        }
    }
}


/* every size that is too small is refused, none is written beyond */

static void
test_encode_size(otpreg_str_t value, const char *name)
{
    bool     ok;
    char    *out, full[256];
    size_t   len, size;

    len = otpreg_header_encode(value, full, sizeof(full));

    for (ok = len != 0, size = 1; size <= len + 1; size++) {
        out = malloc(size);

        if (out == NULL) {
            ok = false;
            break;
        }

        ok = ok && otpreg_header_encode(value, out, size)
                   == (size <= len ? 0 : len);

        ok = ok && (size <= len || strcmp(out, full) == 0);

        free(out);
    }

    tap_ok(ok, "encode: size too small, %s", name);
}


/* Returns the length of what the encoded words hold, or -1 */

static int
decode(const char *in, uint8_t *out, size_t size)
{
    size_t       len, word;
    const char  *end;

    for (len = 0; *in != '\0'; len += word) {
        if (strncmp(in, "\r\n ", 3) == 0) {
            in += 3;
        }

        end = strstr(in, "?=");

        if (strncmp(in, "=?UTF-8?B?", 10) != 0 || end == NULL
            || end + 2 - in > 75
            || sodium_base642bin(out + len, size - len, in + 10,
                                 (size_t) (end - in - 10), NULL, &word, NULL,
                                 sodium_base64_VARIANT_ORIGINAL)
               != 0
            || !otpreg_header_safe((otpreg_str_t) { out + len, word }))
        {
            return -1;
        }

        in = end + 2;
    }

    return (int) len;
}


static void
test_encode_long(const char *character, const char *name)
{
    int           got;
    bool          ok;
    char          out[4096];
    size_t        n;
    uint8_t       back[1024];
    otpreg_str_t  value;

    static char   text[1024];

    text[0] = '\0';
    ok = true;

    for (n = 1; n <= 200; n++) {
        strcat(text, n % 3 == 0 ? "x" : character);
        value = tap_str(text);

        ok = ok && otpreg_header_encode(value, out, 4 * value.len + 64) != 0;

        got = strncmp(out, "=?", 2) == 0 ? decode(out, back, sizeof(back)) : 0;

        ok = ok && got == (int) value.len
             && memcmp(back, text, value.len) == 0;
    }

    tap_ok(ok, "encode: 1 to 200 characters, %s", name);
}


static void
test_encode_long_plain(void)
{
    char          text[1000], out[4096];
    uint8_t       back[1024];
    otpreg_str_t  value;

    memset(text, 'a', sizeof(text));

    value = (otpreg_str_t) { (const uint8_t *) text, 900 };

    tap_is((long long) otpreg_header_encode(value, out, sizeof(out)), 900,
           "encode: 900 plain bytes are copied");

    value.len = 901;

    tap_ok(otpreg_header_encode(value, out, sizeof(out)) > 901
           && decode(out, back, sizeof(back)) == 901,
           "encode: 901 plain bytes are encoded");
}


static void
test_date(void)
{
    char      date[OTPREG_DATE_SIZE];
    unsigned  i;

    for (i = 0; i < tap_items(date_cases); i++) {
        otpreg_date_format(date_cases[i].now, date);
        tap_is_text(date, date_cases[i].date, "date: %lld",
                    (long long) date_cases[i].now);
    }
}


static void
test_split(void)
{
    unsigned      i;
    otpreg_str_t  subject, body;

    for (i = 0; i < tap_items(split_cases); i++) {
        otpreg_text_split(split_cases[i].in, &subject, &body);

        tap_ok(tap_same(subject, tap_str(split_cases[i].subject)),
               "split: %s, subject", split_cases[i].name);
        tap_ok(tap_same(body, tap_str(split_cases[i].body)),
               "split: %s, body", split_cases[i].name);
    }
}


static void
test_json(void)
{
    char                           *json;
    size_t                          len;
    json_t                         *object;

    static const otpreg_message_member_t  members[] = {
        { "to",      S("someone@example.net") },
        { "text",    S("\"quoted\" \\ \n\t\x01 </script> Größe 🎉") },
        { "nul",     S("a\0b") },
        { "code",    S("012345") },
        { "empty",   { NULL, 0 } }
    };

    static const otpreg_message_member_t  bad[] = {
        { "code",    S("012345") },
        { "text",    S("Gr\xfc\xdf" "e") }
    };

    json = otpreg_message_json(members, tap_items(members), &len);

    if (tap_ok(json != NULL, "json: an object")) {
        tap_is_text(json, "{\"to\":\"someone@example.net\",\"text\":"
                    "\"\\\"quoted\\\" \\\\ \\n\\t\\u0001 </script> "
                    "Größe 🎉\","
                    "\"nul\":\"a\\u0000b\",\"code\":\"012345\","
                    "\"empty\":\"\"}", "json: in order, as strings");
        tap_is((long long) len, (long long) strlen(json), "json: length");

        object = json_loads(json, JSON_ALLOW_NUL, NULL);
        tap_ok(object != NULL
               && tap_same(tap_str(json_string_value(
                                       json_object_get(object, "text"))),
                           members[1].value),
               "json: read back");
        json_decref(object);
    }

    free(json);

    json = otpreg_message_json(NULL, 0, &len);
    tap_ok(json != NULL && strcmp(json, "{}") == 0 && len == 2,
           "json: no members");
    free(json);

    json = otpreg_message_json(bad, tap_items(bad), &len);
    tap_ok(json == NULL && len == 0, "json: not UTF-8");
    free(json);
}


int
main(void)
{
    if (sodium_init() == -1) {
        return 2;
    }

    test_safe();
    test_encode();
    test_encode_size(S("plain"), "plain");
    test_encode_size(S("äaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
                     "two words");
    test_encode_long("ä", "two bytes");
    test_encode_long("€", "three bytes");
    test_encode_long("🎉", "four bytes");
    test_encode_long_plain();
    test_date();
    test_split();
    test_json();

    return tap_done();
}
