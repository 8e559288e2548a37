
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "fuzz.h"
#include "otpreg_language.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t       *copy;
    unsigned       i;
    otpreg_str_t   tags[] = {
        fuzz_str("en"), fuzz_str("de"), fuzz_str("zh-Hans"), fuzz_str("ar")
    };

    copy = fuzz_copy(data, len);

    i = otpreg_language_choose((otpreg_str_t) { copy, len }, tags, 4);
    fuzz_check(i < 4);

    /* one language only: there is no choice */

    fuzz_check(otpreg_language_choose((otpreg_str_t) { copy, len }, tags, 1)
               == 0);

    if (otpreg_language_valid((otpreg_str_t) { copy, len })) {
        fuzz_check(len != 0 && len <= OTPREG_LANGUAGE_MAX
                   && memchr(copy, '/', len) == NULL
                   && memchr(copy, '.', len) == NULL);
    }

    free(copy);

    return 0;
}
