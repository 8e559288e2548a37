
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "fuzz.h"
#include "otpreg_form.h"
#include "otpreg_unicode.h"


#define FUZZ_FIELDS              3


static const char  *fuzz_names[FUZZ_FIELDS] = { "username", "email", "a" };


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;

    return sodium_init() < 0;
}


static otpreg_outcome_t
fuzz_parse(uint8_t *body, size_t len, otpreg_form_field_t *fields)
{
    unsigned          i;
    otpreg_outcome_t  rc;

    for (i = 0; i < FUZZ_FIELDS; i++) {
        fields[i].name = fuzz_names[i];
    }

    rc = otpreg_form_parse(OTPREG_FORM_URLENCODED, body, len, fields,
                           FUZZ_FIELDS);

    fuzz_check(rc == OTPREG_OK || rc == OTPREG_BODY_MALFORMED);

    return rc;
}


static size_t
fuzz_write(char *out, const otpreg_form_field_t *fields)
{
    char      *p;
    size_t     j;
    unsigned   i;

    p = out;

    for (i = 0; i < FUZZ_FIELDS; i++) {

        if (!fields[i].present) {
            continue;
        }

        p += sprintf(p, "&%s=", fields[i].name);

        for (j = 0; j < fields[i].value.len; j++) {
            p += sprintf(p, "%%%02X", fields[i].value.data[j]);
        }
    }

    return (size_t) (p - out);
}


/* What was parsed, written again, must parse to the same. */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char                 *text;
    size_t                count, text_len;
    uint8_t              *body;
    unsigned              i;
    otpreg_form_field_t   fields[FUZZ_FIELDS], again[FUZZ_FIELDS];

    body = fuzz_copy(data, len);

    if (fuzz_parse(body, len, fields) != OTPREG_OK) {

        for (i = 0; i < FUZZ_FIELDS; i++) {
            fuzz_check(!fields[i].present);
        }

        free(body);
        return 0;
    }

    for (i = 0; i < FUZZ_FIELDS; i++) {
        fuzz_check(otpreg_unicode_count(fields[i].value, &count));
        fuzz_check(!fields[i].present
                   || (fields[i].value.data >= body
                       && fields[i].value.data + fields[i].value.len
                          <= body + len));
        fuzz_check(fields[i].value.len == 0
                   || memchr(fields[i].value.data, '\0', fields[i].value.len)
                      == NULL);
    }

    text = malloc(3 * len + 64);
    text_len = fuzz_write(text, fields);

    fuzz_check(fuzz_parse((uint8_t *) text, text_len, again) == OTPREG_OK);

    for (i = 0; i < FUZZ_FIELDS; i++) {
        fuzz_check(fields[i].present == again[i].present);
        fuzz_check(fuzz_same(fields[i].value, again[i].value));
    }

    free(text);
    free(body);

    return 0;
}
