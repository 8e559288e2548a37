
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "fuzz.h"
#include "otpreg_identity.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const char          *p;
    uint8_t             *copy;
    otpreg_outcome_t     rc;
    otpreg_username_t    username, again;

    copy = fuzz_copy(data, len);
    rc = otpreg_username_parse((otpreg_str_t) { copy, len }, &username);
    free(copy);

    if (rc != OTPREG_OK) {
        fuzz_check(rc == OTPREG_REQUIRED || rc == OTPREG_USERNAME_INVALID
                   || rc == OTPREG_USERNAME_TOO_LONG);
        fuzz_check(username.name[0] == '\0' && username.key[0] == '\0');
        return 0;
    }

    fuzz_check(strlen(username.name) <= OTPREG_USERNAME_MAX);
    fuzz_check(strlen(username.key) == strlen(username.name));

    for (p = username.key; *p != '\0'; p++) {
        fuzz_check((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')
                   || strchr("_.@+-", *p) != NULL);
    }

    fuzz_check(otpreg_username_parse(fuzz_str(username.name), &again)
               == OTPREG_OK);
    fuzz_check(memcmp(&username, &again, sizeof(username)) == 0);

    fuzz_check(otpreg_username_parse(fuzz_str(username.key), &again)
               == OTPREG_OK);
    fuzz_check(strcmp(username.key, again.key) == 0);

    return 0;
}
