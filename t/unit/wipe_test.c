
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


/*
 * Whatever is freed while a password is parsed, normalised, compared and
 * hashed must not hold it any more.  This file's free() takes the place of
 * libc's for libjansson, libidn2, utf8proc and libsodium as well.
 */

#include <malloc.h>
#include <stdlib.h>

#include <jansson.h>
#include <sodium.h>

#include "otpreg_form.h"
#include "otpreg_password.h"
#include "tap.h"


/* no part of it is likely elsewhere; the escapes make jansson copy more */
#define WIPE_TEST_SECRET         "gnurbelfoo-qwaxtle"
#define WIPE_TEST_PART           "belfoo-qwax"


/* sanitizers and valgrind have a free() of their own: nothing is counted */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__     1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)

#define wipe_test_leaks()        0
#define wipe_test_counts()       false

#else

#define wipe_test_leaks()        wipe_test_leaked


void __libc_free(void *p);


static unsigned  wipe_test_leaked;


void
free(void *p)
{
    if (p != NULL
        && memmem(p, malloc_usable_size(p), WIPE_TEST_PART,
                  sizeof(WIPE_TEST_PART) - 1)
           != NULL)
    {
        wipe_test_leaked++;
    }

    __libc_free(p);
}


static bool
wipe_test_counts(void)
{
    const char  *preload;

    preload = getenv("LD_PRELOAD");

    return preload == NULL || strstr(preload, "vgpreload") == NULL;
}

#endif


static void
wipe_test_planted(void)
{
    char  *copy;

    copy = malloc(64);
    memcpy(copy, WIPE_TEST_SECRET, sizeof(WIPE_TEST_SECRET));

    /* else the compiler sees that nobody reads it */
    __asm__ volatile ("" : : "r" (copy) : "memory");

    free(copy);

    tap_is(wipe_test_leaks(), wipe_test_counts(), "a planted leak is seen");
}


static void
wipe_test_json(void)
{
    static const char  *bodies[] = {
        "{\"password\":\"" WIPE_TEST_SECRET "\",\"username\":\"\\u0061\"}",
        "{\"password\":\"\\u0067nurbelfoo-qwaxtle\\n\"}",
        "{\"password\":\"" WIPE_TEST_SECRET "\"",
        "{\"password\":\"" WIPE_TEST_SECRET "\"} x",
        "{\"password\":\"" WIPE_TEST_SECRET,
        "{\"password\":\"" WIPE_TEST_SECRET "\\ud800\"}",
        "{\"password\":\"" WIPE_TEST_SECRET "\",\"password\":\"x\"}",
        "{\"" WIPE_TEST_SECRET "\":1}",
        "{\"a\":\"" WIPE_TEST_SECRET "\",\"password\":1}",
    };

    char                  body[256];
    size_t                i;
    unsigned              before;
    otpreg_form_field_t   field;

    field.name = "password";

    for (i = 0; i < tap_items(bodies); i++) {
        before = wipe_test_leaks();
        strcpy(body, bodies[i]);
        (void) otpreg_form_parse(OTPREG_FORM_JSON, (uint8_t *) body,
                                 strlen(body), &field, 1);
        tap_is(wipe_test_leaks() - before, 0, "JSON, case %zu", i);
    }
}


static void
wipe_test_password(void)
{
    char                       phc[OTPREG_PHC_SIZE];
    unsigned                   before, line;
    otpreg_str_t               personal;
    otpreg_password_t          out;
    otpreg_blocklist_t        *list;
    otpreg_password_policy_t   policy;

    before = wipe_test_leaks();

    list = otpreg_blocklist_parse(S("a\n" WIPE_TEST_SECRET "\nb\xc3\n"), &line);
    tap_ok(list == NULL && line == 3, "a bad blocklist");

    list = otpreg_blocklist_parse(S("a\n" WIPE_TEST_SECRET "\n"), &line);
    policy = (otpreg_password_policy_t) { 15, 128, list };
    personal = S(WIPE_TEST_SECRET "2");

    tap_is(otpreg_password_check(S(WIPE_TEST_SECRET), &policy, &personal, 1,
                                 &out),
           OTPREG_PASSWORD_COMMON, "a common password");
    tap_is(otpreg_password_check(S(WIPE_TEST_SECRET "2"), &policy, &personal, 1,
                                 &out),
           OTPREG_PASSWORD_PERSONAL, "a personal password");
    tap_is(otpreg_password_check(S(WIPE_TEST_SECRET "3"), &policy, &personal, 1,
                                 &out),
           OTPREG_OK, "a good password");

    tap_ok(otpreg_password_hash(&out, 8192, 1, phc), "hashed");

    policy.chars_min = 20;
    tap_is(otpreg_password_check(S(WIPE_TEST_SECRET), &policy, &personal, 1,
                                 &out),
           OTPREG_PASSWORD_TOO_SHORT, "a short password");

    otpreg_blocklist_free(list);

    tap_is(wipe_test_leaks() - before, 0, "no password in freed memory");
}


/* jansson's functions are the whole process's: others may call free() */

static void
wipe_test_others(json_t *before)
{
    char    *dumped;
    json_t  *after;

    after = json_pack("{s:s}", "a", "b");
    dumped = json_dumps(after, 0);

    tap_is_text(dumped, "{\"a\": \"b\"}", "another user's JSON");

    free(dumped);
    json_decref(after);
    json_decref(before);

    tap_ok(true, "freed by free(), and JSON from before the change too");
}


int
main(void)
{
    json_t  *before;

    if (sodium_init() < 0) {
        return 1;
    }

    before = json_pack("{s:[i,s]}", "a", 1, "b");

    otpreg_form_init();

    wipe_test_planted();
    wipe_test_json();
    wipe_test_password();
    wipe_test_others(before);

    return tap_done();
}
