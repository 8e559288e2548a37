
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "otpreg_seal.h"
#include "tap.h"


/* 32 times 0x00, and 0x00 to 0x1f */
#define ZERO                                                                  \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define COUNT                                                                 \
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

/* a text of all digits that has four lines */
#define FOUR(a, b, c, d)         a ZERO "\n" b ZERO "\n" c ZERO "\n" d ZERO "\n"


static void
keys_test_refused(void)
{
    static const struct {
        const char  *text;
        unsigned     line;
        const char  *error;         /* how it begins */
    } cases[] = {
        { "", 1, "no key" },
        { "\n", 2, "no key" },
        { "# only a comment", 2, "no key" },
        { "# one\n\n# two\n", 4, "no key" },
        { "a", 1, "no key after the name" },
        { "a\n", 1, "no key after the name" },
        { "a \n", 1, "a key must be 32 bytes" },
        { " a " COUNT "\n", 1, "a key name may hold" },
        { "a=" COUNT "\n", 1, "a key name may hold" },
        { "a.b " COUNT "\n", 1, "a key name may hold" },
        { "\xc3\xa4 " COUNT "\n", 1, "a key name may hold" },
        { "\xef\xbb\xbf" "a " COUNT "\n", 1, "a key name may hold" },
        { COUNT "\n", 1, "a key name may hold" },
        { "a2345678901234567 " COUNT "\n", 1, "key name is longer" },
        { "a " COUNT "\na " ZERO "\n", 2, "key name is given twice" },
        { "a " COUNT "\n\n#\nb " COUNT " c\n", 4, "a key must be 32 bytes" },
        { "a " COUNT "=\n", 1, "a key must be 32 bytes" },
        { "a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n", 1,
          "a key must be 32 bytes" },
        { "a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n", 1,
          "a key must be 32 bytes" },
        { "a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g\n", 1,
          "a key must be 32 bytes" },
        { "a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n", 1,
          "a key must be 32 bytes" },
        { "a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH_8=\n", 1,
          "a key must be 32 bytes" },
        { "a AAECAwQFBgcICQoLDA0O DxAREhMUFRYXGBkaGxwdH8=\n", 1,
          "a key must be 32 bytes" },
        { "a AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH\xff" "8=\n", 1,
          "a key must be 32 bytes" },
        { FOUR("a ", "b ", "c ", "d ") FOUR("e ", "f ", "g ", "h ")
          FOUR("i ", "j ", "k ", "l ") FOUR("m ", "n ", "o ", "p ")
          "q " ZERO "\n", 17, "more than 16 keys" },
    };

    size_t         i;
    unsigned       line;
    const char    *error;
    otpreg_keys_t  keys;

    for (i = 0; i < tap_items(cases); i++) {
        memset(&keys, 'x', sizeof(keys));
        line = otpreg_keys_parse(tap_str(cases[i].text), &keys, &error);

        tap_is(line, cases[i].line, "refused at its line: case %zu", i);
        tap_ok(error != NULL
               && strncmp(error, cases[i].error, strlen(cases[i].error)) == 0,
               "says \"%s\"", cases[i].error);
        tap_ok(sodium_is_zero((uint8_t *) &keys, sizeof(keys)),
               "and leaves no key");
    }

    line = otpreg_keys_parse(S("a\0b " COUNT "\n"), &keys, &error);
    tap_is(line, 1, "a NUL in the name is refused");
}


static void
keys_test_taken(void)
{
    static const struct {
        const char  *text;
        unsigned     n;
    } cases[] = {
        { "a " COUNT, 1 },
        { "a " COUNT "\n", 1 },
        { "a " COUNT "\r\n", 1 },
        { "a\t \t" COUNT " \t\r\n", 1 },
        { "# comment\r\n\r\n  \t\na " COUNT "\n#b " ZERO "\n", 1 },
        { "a " COUNT "\nA " COUNT "\n", 2 },
        { FOUR("a ", "b ", "c ", "d ") FOUR("e ", "f ", "g ", "h ")
          FOUR("i ", "j ", "k ", "l ") FOUR("m ", "n ", "o ", "p "), 16 },
    };

    size_t         i;
    const char    *error;
    otpreg_keys_t  keys;

    for (i = 0; i < tap_items(cases); i++) {
        tap_is(otpreg_keys_parse(tap_str(cases[i].text), &keys, &error), 0,
               "taken: case %zu", i);
        tap_ok(keys.n == cases[i].n && error == NULL, "with %u keys",
               cases[i].n);
        tap_is_text(keys.key[0].name, "a", "the first is the first");
    }
}


int
main(void)
{
    unsigned       i;
    const char    *error;
    otpreg_keys_t  keys;

    if (sodium_init() < 0) {
        return 1;
    }

    keys_test_refused();
    keys_test_taken();

    tap_is(otpreg_keys_parse(S("new_2026-11-ABCD " COUNT "\nold " ZERO "\n"),
                             &keys, &error),
           0, "two keys, a name of 16 characters");

    for (i = 0; i < OTPREG_KEY_LEN && keys.key[0].key[i] == i; i++) {
        /* void */
    }

    tap_is(i, OTPREG_KEY_LEN, "the key's bytes");
    tap_ok(otpreg_keys_find(&keys, "new_2026-11-ABCD") == &keys.key[0],
           "found by its long name");
    tap_ok(otpreg_keys_find(&keys, "old") == &keys.key[1], "found by name");
    tap_ok(otpreg_keys_find(&keys, "OLD") == NULL, "by its case too");
    tap_ok(otpreg_keys_find(&keys, "ol") == NULL, "not by a part");
    tap_ok(otpreg_keys_find(&keys, "") == NULL, "not by nothing");

    return tap_done();
}
