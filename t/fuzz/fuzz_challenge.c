
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "fuzz.h"
#include "otpreg_challenge.h"


/* an answer of a service, and a solution as a browser may send it */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char                    codes[OTPREG_CHALLENGE_CODES_SIZE];
    size_t                  i;
    uint8_t                *copy;
    otpreg_str_t            in;
    otpreg_challenge_rc_t   rc;

    copy = fuzz_copy(data, len);
    in = (otpreg_str_t) { copy, len };

    memset(codes, 'x', sizeof(codes));
    rc = otpreg_challenge_read(in, codes);

    fuzz_check(memchr(codes, '\0', sizeof(codes)) != NULL);
    fuzz_check(rc != OTPREG_CHALLENGE_UNCLEAR || codes[0] == '\0');
    fuzz_check(rc != OTPREG_CHALLENGE_PASSED
               || memmem(data, len, "true", 4) != NULL);

    for (i = 0; codes[i] != '\0'; i++) {
        fuzz_check(codes[i] >= ' ' && codes[i] < 0x7f);
    }

    if (otpreg_solution_is_valid(in)) {
        fuzz_check(len != 0 && len <= OTPREG_SOLUTION_MAX);

        for (i = 0; i < len; i++) {
            fuzz_check(data[i] > ' ' && data[i] < 0x7f
                       && strchr("\"'<>&%+=\\/:;,", data[i]) == NULL);
        }
    }

    free(copy);

    return 0;
}
