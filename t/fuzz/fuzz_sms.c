
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "fuzz.h"
#include "otpreg_sms.h"
#include "otpreg_unicode.h"


/* host, NUL, text; the first byte tells the room there is */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char           *out, *tail;
    size_t          room, n, count;
    uint8_t        *copy;
    unsigned        segments;
    otpreg_str_t    text, host, left;
    static char     nothing[1];

    if (len < 2) {
        return 0;
    }

    room = data[0] * 8;
    copy = fuzz_copy(data + 1, len - 1);

    host = (otpreg_str_t) { copy, strnlen((char *) copy, len - 1) };
    text = (otpreg_str_t) { copy + host.len, len - 1 - host.len };

    if (text.len != 0) {
        text.data++;
        text.len--;
    }

    if (host.len > OTPREG_SMS_HOST_MAX) {
        host.len = OTPREG_SMS_HOST_MAX;
    }

    /* as many segments as it takes, and never fewer for more text */

    segments = otpreg_sms_segments(text);
    fuzz_check((segments == 0) == !otpreg_unicode_count(text, &count));

    if (segments != 0) {
        fuzz_check(segments <= text.len / 33 + 1);
        fuzz_check(text.len == 0 || segments >= text.len / (153 * 4));

        for (left = text;
             left.len != 0 && left.len < 256 && segments != 0;
             left.len--)
        {
            n = otpreg_sms_segments((otpreg_str_t) { left.data,
                                                     left.len - 1 });
            fuzz_check(n <= segments);
            segments = (unsigned) n;
        }
    }

    out = malloc(room != 0 ? room : 1);
    fuzz_check(out != NULL);

    n = otpreg_sms_compose(text, host, "012345", out, room);
    fuzz_check(n < room || n == 0);

    if (n != 0 && host.len != 0 && memchr(text.data, '\0', text.len) == NULL) {
        fuzz_check(out[n] == '\0' && strlen(out) == n);

        tail = out + n - host.len - sizeof("\n@ #012345") + 1;
        fuzz_check(tail >= out && memcmp(tail, "\n@", 2) == 0);
        fuzz_check(memcmp(tail + 2, host.data, host.len) == 0);
        fuzz_check(strcmp(tail + 2 + host.len, " #012345") == 0);

        /* nothing but white space was lost */

        fuzz_check(memcmp(out, text.data, (size_t) (tail - out)) == 0);

        for (count = (size_t) (tail - out); count < text.len; count++) {
            fuzz_check(strchr(" \t\r\n", text.data[count]) != NULL);
        }
    }

    /* a notice has no code, and so no line of a host */

    n = otpreg_sms_compose(text, host, nothing, out, room);
    fuzz_check(n <= text.len && (n == 0
                                 || memcmp(out, text.data, n) == 0
                                 || memchr(text.data, '\0', n) != NULL));

    free(out);
    free(copy);

    return 0;
}
