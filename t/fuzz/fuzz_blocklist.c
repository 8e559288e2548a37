
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


/* Every line is found, and there are not more entries than lines. */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    size_t               count, lines;
    uint8_t             *copy;
    unsigned             wrong;
    otpreg_str_t         text, line;
    otpreg_text_t        folded;
    otpreg_blocklist_t  *list;

    copy = fuzz_copy(data, len);
    text = (otpreg_str_t) { copy, len };
    list = otpreg_blocklist_parse(text, &wrong);

    if (list == NULL) {
        fuzz_check(wrong != 0);
        fuzz_check(!otpreg_unicode_count(text, &count));
        free(copy);
        return 0;
    }

    fuzz_check(wrong == 0);

    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        text.data += 3;
        text.len -= 3;
    }

    for (lines = 0; otpreg_str_line(&text, &line); lines++) {

        if (line.len == 0 || line.len > 1024) {
            continue;
        }

        fuzz_check(otpreg_unicode_fold(line, &folded) == OTPREG_OK);
        fuzz_check(otpreg_blocklist_has(list, folded.str));
        otpreg_text_free(&folded);
    }

    fuzz_check(otpreg_blocklist_count(list) <= lines);

    otpreg_blocklist_free(list);
    free(copy);

    return 0;
}
