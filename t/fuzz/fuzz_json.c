
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <jansson.h>
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

    if (sodium_init() < 0) {
        return 1;
    }

    otpreg_form_init();

    return 0;
}


static otpreg_outcome_t
fuzz_parse(uint8_t *body, size_t len, otpreg_form_field_t *fields)
{
    unsigned          i;
    otpreg_outcome_t  rc;

    for (i = 0; i < FUZZ_FIELDS; i++) {
        fields[i].name = fuzz_names[i];
    }

    rc = otpreg_form_parse(OTPREG_FORM_JSON, body, len, fields, FUZZ_FIELDS);

    fuzz_check(rc == OTPREG_OK || rc == OTPREG_BODY_MALFORMED);

    return rc;
}


static char *
fuzz_write(const otpreg_form_field_t *fields)
{
    char      *text;
    json_t    *root;
    unsigned   i;

    root = json_object();

    for (i = 0; i < FUZZ_FIELDS; i++) {

        if (fields[i].present) {
            json_object_set_new(root, fields[i].name,
                             json_stringn((const char *) fields[i].value.data,
                                          fields[i].value.len));
        }
    }

    text = json_dumps(root, JSON_ENSURE_ASCII);
    fuzz_check(text != NULL);
    json_decref(root);

    return text;
}


/* What was parsed, written again, must parse to the same. */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char                 *text;
    size_t                count;
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

    text = fuzz_write(fields);

    fuzz_check(fuzz_parse((uint8_t *) text, strlen(text), again) == OTPREG_OK);

    for (i = 0; i < FUZZ_FIELDS; i++) {
        fuzz_check(fields[i].present == again[i].present);
        fuzz_check(fuzz_same(fields[i].value, again[i].value));
    }

    free(text);
    free(body);

    return 0;
}
