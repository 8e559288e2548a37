
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "fuzz.h"
#include "otpreg_identity.h"


/* What may be handed to an SMTP server and compared by bytes. */

static void
fuzz_sound(const char *address)
{
    const char  *p, *at;

    at = strchr(address, '@');

    fuzz_check(strlen(address) <= OTPREG_EMAIL_MAX);
    fuzz_check(at != NULL && at != address && strchr(at + 1, '@') == NULL);
    fuzz_check(at - address <= OTPREG_EMAIL_LOCAL_MAX);
    fuzz_check(strchr(at, '.') != NULL && at[1] != '.');

    for (p = address; *p != '\0'; p++) {
        fuzz_check(*p > ' ' && *p < 0x7f);
        fuzz_check(strchr("<>()[]\\,;:\"", *p) == NULL);
        fuzz_check(p[0] != '.' || (p[1] != '.' && p[1] != '@' && p[1] != '\0'));
        fuzz_check(p < at || *p == '@' || *p == '-' || *p == '.'
                   || (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z'));
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char               masked[OTPREG_EMAIL_MAX + 4];
    uint8_t           *copy;
    otpreg_email_t     email, again;
    otpreg_outcome_t   rc;

    copy = fuzz_copy(data, len);
    rc = otpreg_email_parse((otpreg_str_t) { copy, len }, &email);
    free(copy);

    if (rc != OTPREG_OK) {
        fuzz_check(rc == OTPREG_REQUIRED || rc == OTPREG_EMAIL_INVALID
                   || rc == OTPREG_EMAIL_TOO_LONG);
        fuzz_check(email.address[0] == '\0' && email.key[0] == '\0');
        return 0;
    }

    fuzz_sound(email.address);
    fuzz_sound(email.key);

    /* canonical forms stay what they are */

    fuzz_check(otpreg_email_parse(fuzz_str(email.address), &again)
               == OTPREG_OK);
    fuzz_check(memcmp(&email, &again, sizeof(email)) == 0);

    fuzz_check(otpreg_email_parse(fuzz_str(email.key), &again) == OTPREG_OK);
    fuzz_check(strcmp(email.key, again.key) == 0);
    fuzz_check(strcmp(email.key, again.address) == 0);

    fuzz_check(otpreg_email_mask(email.address, masked) == strlen(masked));

    return 0;
}
