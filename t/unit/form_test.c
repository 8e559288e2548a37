
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdlib.h>

#include <sodium.h>

#include "otpreg_form.h"
#include "tap.h"


#define FORM_TEST_ABSENT         "(absent)"


typedef struct {
    const char        *name;
    otpreg_str_t       body;
    otpreg_outcome_t   rc;
    const char        *username;    /* FORM_TEST_ABSENT, or what it must be */
    const char        *password;
} form_test_case_t;


#define FORM(name, body, rc, username, password)                              \
    { name, { (const uint8_t *) (body), sizeof(body) - 1 }, rc, username,     \
      password }

#define GOOD(name, body, username, password)                                  \
    FORM(name, body, OTPREG_OK, username, password)

#define BAD(name, body)                                                       \
    FORM(name, body, OTPREG_BODY_MALFORMED, FORM_TEST_ABSENT, FORM_TEST_ABSENT)

#define NONE                     FORM_TEST_ABSENT


static bool
form_test_field(const otpreg_form_field_t *field, const char *expected)
{
    if (strcmp(expected, FORM_TEST_ABSENT) == 0) {
        return !field->present && field->value.data == NULL
               && field->value.len == 0;
    }

    return field->present && tap_same(field->value, tap_str(expected));
}


static otpreg_outcome_t
form_test_parse(otpreg_form_type_t type, otpreg_str_t body, uint8_t **copy,
    otpreg_form_field_t fields[2])
{
    memset(fields, 'x', 2 * sizeof(otpreg_form_field_t));
    fields[0].name = "username";
    fields[1].name = "password";

    /* of its own and exact, so that ASAN sees a byte too many */

    *copy = malloc(body.len ? body.len : 1);
    memcpy(*copy, body.data, body.len);

    return otpreg_form_parse(type, *copy, body.len, fields, 2);
}


static void
form_test_cases(otpreg_form_type_t type, const char *title,
    const form_test_case_t *cases, size_t n)
{
    size_t                i;
    uint8_t              *copy;
    otpreg_outcome_t      rc;
    otpreg_form_field_t   fields[2];

    for (i = 0; i < n; i++) {
        rc = form_test_parse(type, cases[i].body, &copy, fields);

        tap_is(rc, cases[i].rc, "%s: %s", title, cases[i].name);
        tap_ok(form_test_field(&fields[0], cases[i].username)
               && form_test_field(&fields[1], cases[i].password),
               "its fields");

        free(copy);
    }
}


static void
form_test_urlencoded(void)
{
    static const form_test_case_t  cases[] = {
        GOOD("nothing", "", NONE, NONE),
        GOOD("both", "username=ann&password=x", "ann", "x"),
        GOOD("empty values", "username=&password=", "", ""),
        GOOD("no equals sign", "username", "", NONE),
        GOOD("empty pairs", "&&username=ann&&", "ann", NONE),
        GOOD("unknown names", "a=1&username=ann&b", "ann", NONE),
        GOOD("unknown name twice", "a=1&a=2&username=ann", "ann", NONE),
        GOOD("a pair without a name", "=x&username=ann", "ann", NONE),
        GOOD("plus", "password=a+b++", NONE, "a b  "),
        GOOD("escapes", "password=%61%2B%26%3d%25%20", NONE, "a+&=% "),
        GOOD("equals in the value", "password=a=b=", NONE, "a=b="),
        GOOD("escaped name", "user%6eame=ann", "ann", NONE),
        GOOD("UTF-8, escaped", "password=%c3%a4%F0%9F%98%80", NONE,
             "\xc3\xa4\xf0\x9f\x98\x80"),
        GOOD("UTF-8, raw", "password=\xc3\xa4", NONE, "\xc3\xa4"),
        GOOD("control characters", "password=%01%0d%0a", NONE, "\x01\r\n"),
        GOOD("a semicolon is no separator", "username=a;password=b",
             "a;password=b", NONE),
        GOOD("names have a case", "Username=ann", NONE, NONE),
        GOOD("names are whole", "username2=a&usernam=b", NONE, NONE),
        GOOD("PHP's arrays are unknown", "username[]=a", NONE, NONE),
        BAD("wanted twice", "username=a&username=b"),
        BAD("wanted twice, same", "username=a&username=a"),
        BAD("wanted twice, escaped", "username=a&user%6Eame=b"),
        BAD("wanted twice, no value", "username&username"),
        BAD("percent at the end", "username=%"),
        BAD("percent, one digit", "username=%4"),
        BAD("percent, then a pair", "username=%4&password=1"),
        BAD("percent, no digits", "username=%zz"),
        BAD("percent, second no digit", "username=%4g"),
        BAD("percent, at sign", "username=%@@"),
        BAD("percent, signed", "username=%+1"),
        BAD("%u escape", "username=%u0041"),
        BAD("bad escape in a name", "user%6=a"),
        BAD("bad escape, unknown name", "a=%&username=ann"),
        BAD("NUL escape", "username=a%00b"),
        BAD("NUL escape in a name", "user%00name=a"),
        BAD("raw NUL", "username=a\0b"),
        BAD("NUL, unknown name", "a=%00"),
        BAD("not UTF-8", "username=%ff"),
        BAD("not UTF-8, raw", "username=\xff"),
        BAD("not UTF-8, cut", "username=%c3"),
        BAD("not UTF-8, split by a pair", "username=%c3&password=%a4"),
        BAD("not UTF-8, surrogate", "username=%ed%a0%80"),
        BAD("not UTF-8, overlong", "username=%c0%80"),
        BAD("not UTF-8, unknown name", "a=%ff"),
        BAD("good, then bad", "username=ann&password=%"),
    };

    form_test_cases(OTPREG_FORM_URLENCODED, "urlencoded", cases,
                    tap_items(cases));
}


static void
form_test_json(void)
{
    static const form_test_case_t  cases[] = {
        GOOD("both", "{\"username\":\"ann\",\"password\":\"x\"}", "ann", "x"),
        GOOD("no members", "{}", NONE, NONE),
        GOOD("white space", " \t\r\n{ \"username\" :\n\"ann\" }\r\n ", "ann",
             NONE),
        GOOD("empty string", "{\"username\":\"\"}", "", NONE),
        GOOD("null is absent", "{\"username\":null,\"password\":\"x\"}", NONE,
             "x"),
        GOOD("unknown names", "{\"a\":1,\"b\":true,\"c\":null,\"d\":-1.5e3,"
             "\"e\":\"f\",\"username\":\"ann\"}", "ann", NONE),
        GOOD("escapes",
             "{\"password\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\"}", NONE,
             "\"\\/\b\f\n\r\tA"),
        GOOD("escaped name", "{\"user\\u006eame\":\"ann\"}", "ann", NONE),
        GOOD("surrogate pair", "{\"password\":\"\\ud83d\\uDE00\"}", NONE,
             "\xf0\x9f\x98\x80"),
        GOOD("UTF-8", "{\"password\":\"\xf0\x9f\x98\x80\"}", NONE,
             "\xf0\x9f\x98\x80"),
        GOOD("brackets in strings", "{\"username\":\"[{,}]\\\"{\"}",
             "[{,}]\"{", NONE),
        GOOD("DEL", "{\"username\":\"\x7f\"}", "\x7f", NONE),
        BAD("nothing", ""),
        BAD("white space only", " "),
        BAD("not JSON", "username=ann"),
        BAD("a string", "\"username\""),
        BAD("a number", "1"),
        BAD("null", "null"),
        BAD("an array", "[\"username\"]"),
        BAD("an empty array", "[]"),
        BAD("wanted twice", "{\"username\":\"a\",\"username\":\"b\"}"),
        BAD("wanted twice, escaped",
            "{\"username\":\"a\",\"user\\u006eame\":\"b\"}"),
        BAD("unknown twice", "{\"a\":1,\"a\":2}"),
        BAD("wanted null and string",
            "{\"username\":null,\"username\":\"b\"}"),
        BAD("a number for a string", "{\"username\":1}"),
        BAD("true for a string", "{\"username\":true}"),
        BAD("false for a string", "{\"username\":false}"),
        BAD("an array for a string", "{\"username\":[\"a\"]}"),
        BAD("an object for a string", "{\"username\":{}}"),
        BAD("good, then a number", "{\"username\":\"a\",\"password\":1}"),
        BAD("nested, unknown name", "{\"a\":{},\"username\":\"b\"}"),
        BAD("nested array, unknown name", "{\"a\":[1],\"username\":\"b\"}"),
        BAD("trailing bytes", "{\"username\":\"a\"}x"),
        BAD("trailing object", "{\"username\":\"a\"}{}"),
        BAD("trailing comma", "{\"username\":\"a\",}"),
        BAD("trailing NUL", "{\"username\":\"a\"}\0"),
        BAD("leading NUL", "\0{\"username\":\"a\"}"),
        BAD("not closed", "{\"username\":\"a\""),
        BAD("string not closed", "{\"username\":\"a}"),
        BAD("string ends in an escape", "{\"username\":\"\\"),
        BAD("closed twice", "{\"username\":\"a\"}}"),
        BAD("single quotes", "{'username':'a'}"),
        BAD("bare name", "{username:\"a\"}"),
        BAD("comment", "{/**/\"username\":\"a\"}"),
        BAD("byte order mark", "\xef\xbb\xbf{\"username\":\"a\"}"),
        BAD("NUL escape", "{\"username\":\"a\\u0000b\"}"),
        BAD("NUL escape in a name", "{\"user\\u0000name\":\"a\"}"),
        BAD("NUL escape, unknown name", "{\"a\":\"\\u0000\"}"),
        BAD("raw NUL", "{\"username\":\"a\0b\"}"),
        BAD("raw newline", "{\"username\":\"a\nb\"}"),
        BAD("lone high surrogate", "{\"username\":\"\\ud800\"}"),
        BAD("lone low surrogate", "{\"username\":\"\\udc00\"}"),
        BAD("surrogates swapped", "{\"username\":\"\\ude00\\ud83d\"}"),
        BAD("high surrogate, then text", "{\"username\":\"\\ud83dabc\"}"),
        BAD("high surrogate, then escape", "{\"username\":\"\\ud83d\\n\"}"),
        BAD("escape, three digits", "{\"username\":\"\\u004\"}"),
        BAD("escape, no digit", "{\"username\":\"\\u004g\"}"),
        BAD("escape, signed", "{\"username\":\"\\u+041\"}"),
        BAD("unknown escape", "{\"username\":\"\\x41\"}"),
        BAD("not UTF-8", "{\"username\":\"\xff\"}"),
        BAD("not UTF-8, cut", "{\"username\":\"\xc3\"}"),
        BAD("not UTF-8, overlong", "{\"username\":\"\xc0\x80\"}"),
        BAD("not UTF-8, surrogate", "{\"username\":\"\xed\xa0\x80\"}"),
        BAD("not UTF-8, unknown name", "{\"a\":\"\xff\"}"),
        BAD("not UTF-8 in a name", "{\"\xff\":\"a\"}"),
        BAD("UTF-16", "{\0\"\0}\0"),
        BAD("huge number", "{\"a\":1e999}"),
        BAD("NaN", "{\"a\":NaN}"),
        BAD("hexadecimal", "{\"a\":0x1}"),
        BAD("leading zero", "{\"a\":01}"),
    };

    form_test_cases(OTPREG_FORM_JSON, "JSON", cases, tap_items(cases));
}


static void
form_test_pairs(unsigned pairs, otpreg_outcome_t expected)
{
    char                  url[4096], json[4096];
    size_t                u, j;
    uint8_t              *copy;
    unsigned              i;
    otpreg_form_field_t   fields[2];

    u = (size_t) sprintf(url, "username=a");
    j = (size_t) sprintf(json, "{\"username\":\"a,,,,\"");

    for (i = 1; i < pairs; i++) {
        u += (size_t) sprintf(url + u, "&f%u=%u", i, i);
        j += (size_t) sprintf(json + j, ",\"f%u\":%u", i, i);
    }

    j += (size_t) sprintf(json + j, "}");

    tap_is(form_test_parse(OTPREG_FORM_URLENCODED,
                           (otpreg_str_t) { (uint8_t *) url, u }, &copy,
                           fields),
           expected, "urlencoded, %u pairs", pairs);
    free(copy);

    tap_is(form_test_parse(OTPREG_FORM_JSON,
                           (otpreg_str_t) { (uint8_t *) json, j }, &copy,
                           fields),
           expected, "JSON, %u pairs", pairs);
    free(copy);
}


static void
form_test_depth(void)
{
    char                  json[20000];
    uint8_t              *copy;
    otpreg_form_field_t   fields[2];

    memset(json, '[', sizeof(json));
    memcpy(json, "{\"a\":", 5);

    tap_is(form_test_parse(OTPREG_FORM_JSON,
                           (otpreg_str_t) { (uint8_t *) json, sizeof(json) },
                           &copy, fields),
           OTPREG_BODY_MALFORMED, "20000 arrays deep");
    free(copy);
}


static void
form_test_type(void)
{
    static const struct {
        const char          *value;
        otpreg_form_type_t   type;
    } cases[] = {
        { "application/x-www-form-urlencoded", OTPREG_FORM_URLENCODED },
        { "Application/X-WWW-Form-URLEncoded", OTPREG_FORM_URLENCODED },
        { "application/x-www-form-urlencoded; charset=UTF-8",
          OTPREG_FORM_URLENCODED },
        { "application/json", OTPREG_FORM_JSON },
        { "APPLICATION/JSON", OTPREG_FORM_JSON },
        { " application/json ", OTPREG_FORM_JSON },
        { "application/json;charset=utf-8", OTPREG_FORM_JSON },
        { "application/json ; Charset=\"Utf-8\"", OTPREG_FORM_JSON },
        { "application/json; charset=us-ascii", OTPREG_FORM_JSON },
        { "application/json;", OTPREG_FORM_JSON },
        { "application/json; a=b; c=\"d;,\\\"\"", OTPREG_FORM_JSON },
        { "", OTPREG_FORM_UNKNOWN },
        { ",", OTPREG_FORM_UNKNOWN },
        { "json", OTPREG_FORM_UNKNOWN },
        { "/", OTPREG_FORM_UNKNOWN },
        { "application/", OTPREG_FORM_UNKNOWN },
        { "text/plain", OTPREG_FORM_UNKNOWN },
        { "text/json", OTPREG_FORM_UNKNOWN },
        { "multipart/form-data; boundary=x", OTPREG_FORM_UNKNOWN },
        { "application/jsonx", OTPREG_FORM_UNKNOWN },
        { "application/json+x", OTPREG_FORM_UNKNOWN },
        { "application/problem+json", OTPREG_FORM_UNKNOWN },
        { "application /json", OTPREG_FORM_UNKNOWN },
        { "application/json; charset=utf-16", OTPREG_FORM_UNKNOWN },
        { "application/json; charset=iso-8859-1", OTPREG_FORM_UNKNOWN },
        { "application/json; charset=", OTPREG_FORM_UNKNOWN },
        { "application/json; charset=\"utf-8", OTPREG_FORM_UNKNOWN },
        { "application/json; charset=utf-8; charset=utf-16",
          OTPREG_FORM_UNKNOWN },
        { "application/json; charset", OTPREG_FORM_UNKNOWN },
        { "application/json, text/plain", OTPREG_FORM_UNKNOWN },
        { "text/plain, application/json", OTPREG_FORM_UNKNOWN },
        { "application/json text/plain", OTPREG_FORM_UNKNOWN },
        { "text/plain; x=application/json", OTPREG_FORM_UNKNOWN },
    };

    size_t  i;

    for (i = 0; i < tap_items(cases); i++) {
        tap_is(otpreg_form_type(tap_str(cases[i].value)), cases[i].type,
               "type \"%s\"", cases[i].value);
    }
}


int
main(void)
{
    uint8_t               body[1];
    otpreg_form_field_t   field;

    if (sodium_init() < 0) {
        return 1;
    }

    otpreg_form_init();

    form_test_urlencoded();
    form_test_json();
    form_test_pairs(63, OTPREG_OK);
    form_test_pairs(64, OTPREG_OK);
    form_test_pairs(65, OTPREG_BODY_MALFORMED);
    form_test_depth();
    form_test_type();

    field.name = "username";
    tap_is(otpreg_form_parse(OTPREG_FORM_UNKNOWN, body, 0, &field, 1),
           OTPREG_BODY_MALFORMED, "no type, no fields");
    tap_ok(!field.present, "and none is present");

    return tap_done();
}
