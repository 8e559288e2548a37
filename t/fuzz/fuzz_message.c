
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * otpreg_text_split(), and its subject through otpreg_header_safe() and
 * otpreg_header_encode() as a mail's goes.
 */


#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "otpreg_message.h"


#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            abort();                                                          \
        }                                                                     \
    } while (0)


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


static void
check_inside(otpreg_str_t in, otpreg_str_t part)
{
    CHECK(part.len == 0
          || (part.data >= in.data && part.len <= in.len
              && part.data + part.len <= in.data + in.len));
}


/* lines of 76 characters at most, encoded words only, the value in them */

static void
check_words(const char *out, otpreg_str_t value)
{
    size_t       n, done;
    uint8_t      back[64];
    const char  *end;

    for (done = 0; *out != '\0'; done += n, out = end + 2) {
        if (done != 0) {
            CHECK(strncmp(out, "\r\n ", 3) == 0);
            out += 3;
        }

        end = strstr(out, "?=");

        CHECK(strncmp(out, "=?UTF-8?B?", 10) == 0);
        CHECK(end != NULL && end + 2 - out <= 75);
        CHECK(sodium_base642bin(back, sizeof(back), out + 10,
                                (size_t) (end - out - 10), NULL, &n, NULL,
                                sodium_base64_VARIANT_ORIGINAL)
              == 0);

        /* never a part of a character */

        CHECK(otpreg_header_safe((otpreg_str_t) { back, n }));
        CHECK(n <= value.len - done
              && memcmp(back, value.data + done, n) == 0);
    }

    CHECK(done == value.len);
}


static void
check_header(otpreg_str_t value)
{
    char    *out;
    size_t   size, len;

    size = 4 * value.len + 64;

    out = malloc(size);
    CHECK(out != NULL);

    len = otpreg_header_encode(value, out, size);

    if (!otpreg_header_safe(value)) {
        CHECK(len == 0);

    } else if (value.len == 0) {
        CHECK(len == 0 && out[0] == '\0');

    } else {
        CHECK(len != 0 && strlen(out) == len);

        if (strncmp(out, "=?", 2) == 0) {
            check_words(out, value);

        } else {
            CHECK(len == value.len && memcmp(out, value.data, len) == 0);
        }
    }

    free(out);

    /* a buffer as short as the value: refused or filled, not run over */

    out = malloc(value.len + 1);
    CHECK(out != NULL);

    len = otpreg_header_encode(value, out, value.len + 1);
    CHECK(len <= value.len);

    free(out);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    otpreg_str_t  in, subject, body;

    in.data = data;
    in.len = size;

    otpreg_text_split(in, &subject, &body);

    check_inside(in, subject);
    check_inside(in, body);
    CHECK(subject.len == 0 || memchr(subject.data, '\n', subject.len) == NULL);

    check_header(subject);
    check_header(in);

    return 0;
}
