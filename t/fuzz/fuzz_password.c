
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "fuzz.h"
#include "otpreg_password.h"
#include "otpreg_unicode.h"


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;

    return sodium_init() < 0;
}


static void
fuzz_sound(const otpreg_password_t *password,
    const otpreg_password_policy_t *policy)
{
    size_t         count;
    otpreg_str_t   str;
    otpreg_text_t  nfc;

    str = (otpreg_str_t) { (const uint8_t *) password->data, password->len };

    fuzz_check(password->len < OTPREG_PASSWORD_SIZE);
    fuzz_check(password->data[password->len] == '\0');
    fuzz_check(strlen(password->data) == password->len);
    fuzz_check(otpreg_unicode_count(str, &count));
    fuzz_check(count >= policy->chars_min && count <= policy->chars_max);

    fuzz_check(otpreg_unicode_nfc(str, &nfc) == OTPREG_OK);
    fuzz_check(fuzz_same(nfc.str, str));
    otpreg_text_free(&nfc);
}


/* The password itself on a blocklist, or as a name, must be found there. */

static void
fuzz_refused(const otpreg_password_t *password, otpreg_str_t raw,
    const otpreg_password_policy_t *policy)
{
    unsigned                   line;
    otpreg_str_t               str;
    otpreg_password_t          out;
    otpreg_blocklist_t        *list;
    otpreg_password_policy_t   strict;

    str = (otpreg_str_t) { (const uint8_t *) password->data, password->len };

    fuzz_check(otpreg_password_check(str, policy, &raw, 1, &out)
               == OTPREG_PASSWORD_PERSONAL);

    strict = *policy;

    list = otpreg_blocklist_parse(raw, &line);
    fuzz_check(list != NULL && line == 0);
    strict.blocklist = list;

    /* a byte order mark at the start is the file's, not the password's */
    if (raw.len < 3 || memcmp(raw.data, "\xef\xbb\xbf", 3) != 0) {
        fuzz_check(otpreg_blocklist_count(list) == 1);
        fuzz_check(otpreg_password_check(str, &strict, NULL, 0, &out)
                   == OTPREG_PASSWORD_COMMON);
        fuzz_check(sodium_is_zero((uint8_t *) &out, sizeof(out)));
    }

    otpreg_blocklist_free(list);
}


/* the first two bytes are the policy */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t                   *copy;
    otpreg_str_t               raw, str;
    otpreg_outcome_t           rc;
    otpreg_password_t          out, again;
    otpreg_password_policy_t   policy;

    if (len < 2) {
        return 0;
    }

    policy = (otpreg_password_policy_t) { data[0], data[1], NULL };

    copy = fuzz_copy(data + 2, len - 2);
    raw = (otpreg_str_t) { copy, len - 2 };

    rc = otpreg_password_check(raw, &policy, NULL, 0, &out);

    if (rc == OTPREG_OK) {
        fuzz_sound(&out, &policy);
        fuzz_refused(&out, raw, &policy);

        str = (otpreg_str_t) { (const uint8_t *) out.data, out.len };
        fuzz_check(otpreg_password_check(str, &policy, NULL, 0, &again)
                   == OTPREG_OK);
        fuzz_check(memcmp(&out, &again, sizeof(out)) == 0);

    } else {
        fuzz_check(rc == OTPREG_REQUIRED || rc == OTPREG_NOT_UTF8
                   || rc == OTPREG_PASSWORD_CONTROL
                   || rc == OTPREG_PASSWORD_TOO_SHORT
                   || rc == OTPREG_PASSWORD_TOO_LONG);
        fuzz_check(sodium_is_zero((uint8_t *) &out, sizeof(out)));
    }

    free(copy);

    return 0;
}
