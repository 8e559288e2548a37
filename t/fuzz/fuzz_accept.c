
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "fuzz.h"
#include "otpreg_form.h"
#include "otpreg_media.h"


static bool
fuzz_has_nocase(const uint8_t *data, size_t len, const char *word)
{
    size_t  i, n;

    n = strlen(word);

    for (i = 0; i + n <= len; i++) {

        if (otpreg_str_equal_nocase((otpreg_str_t) { data + i, n }, word)) {
            return true;
        }
    }

    return false;
}


static void
fuzz_elements(otpreg_str_t rest)
{
    size_t          left;
    otpreg_media_t  media;

    left = rest.len;

    while (otpreg_media_next(&rest, &media)) {
        fuzz_check(rest.len < left);
        left = rest.len;

        if (media.valid) {
            fuzz_check(media.quality <= OTPREG_QUALITY_MAX);
            fuzz_check(memchr(media.type.data, '/', media.type.len) != NULL);
            fuzz_check(rest.len == 0 || rest.data[0] == ',');
        }
    }

    fuzz_check(rest.len == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    bool           json;
    uint8_t       *copy, *longer;
    otpreg_str_t   in;

    copy = fuzz_copy(data, len);
    in = (otpreg_str_t) { copy, len };

    fuzz_elements(in);

    json = otpreg_accept_json(in);
    fuzz_check(!json || fuzz_has_nocase(data, len, "json"));

    fuzz_check(otpreg_form_type(in) == OTPREG_FORM_UNKNOWN
               || fuzz_has_nocase(data, len, "application/"));

    /* nothing is preferred to a browser's text/html */

    longer = malloc(len + 10);
    memcpy(longer, "text/html,", 10);

    if (len != 0) {
        memcpy(longer + 10, data, len);
    }

    fuzz_check(!otpreg_accept_json((otpreg_str_t) { longer, len + 10 }));

    /* empty elements count for nothing */

    memcpy(longer, ", ,,\t   ,,", 10);
    fuzz_check(otpreg_accept_json((otpreg_str_t) { longer, len + 10 }) == json);

    free(longer);
    free(copy);

    return 0;
}
