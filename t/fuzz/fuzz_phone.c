
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "fuzz.h"
#include "otpreg_identity.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t             n;
    uint8_t           *copy;
    otpreg_outcome_t   rc;
    otpreg_phone_t     phone, again;

    copy = fuzz_copy(data, len);
    rc = otpreg_phone_parse((otpreg_str_t) { copy, len }, &phone);
    free(copy);

    if (rc != OTPREG_OK) {
        fuzz_check(rc == OTPREG_REQUIRED || rc == OTPREG_PHONE_INVALID);
        fuzz_check(phone.number[0] == '\0');
        return 0;
    }

    n = strlen(phone.number);
    fuzz_check(n >= 1 + OTPREG_PHONE_DIGITS_MIN && n <= OTPREG_PHONE_MAX);
    fuzz_check(phone.number[0] == '+' && phone.number[1] != '0');
    fuzz_check(strspn(phone.number + 1, "0123456789") == n - 1);

    fuzz_check(otpreg_phone_parse(fuzz_str(phone.number), &again)
               == OTPREG_OK);
    fuzz_check(memcmp(&phone, &again, sizeof(phone)) == 0);

    return 0;
}
