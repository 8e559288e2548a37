
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "fuzz.h"
#include "otpreg_cookie.h"


/* what was found is a value of a pair with exactly that name, and the first */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bool          found;
    size_t        at;
    uint8_t      *copy;
    otpreg_str_t  value, before, none;

    static const char  name[] = "otpreg";
    const size_t       n = sizeof(name) - 1;

    copy = fuzz_copy(data, len);

    found = otpreg_cookie_find((otpreg_str_t) { copy, len }, name, &value);

    if (found) {
        at = (size_t) (value.data - copy);

        fuzz_check(at > n && at + value.len <= len);
        fuzz_check(copy[at - 1] == '=');
        fuzz_check(memcmp(copy + at - 1 - n, name, n) == 0);
        fuzz_check(memchr(value.data, ';', value.len) == NULL);

        before = (otpreg_str_t) { copy, at - 1 - n };
        fuzz_check(!otpreg_cookie_find(before, name, &none));

        before = otpreg_str_trim(before);
        fuzz_check(before.len == 0 || before.data[before.len - 1] == ';');
    }

    free(copy);

    return 0;
}
