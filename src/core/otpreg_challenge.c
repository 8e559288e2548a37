
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include <jansson.h>

#include "otpreg_challenge.h"


bool
otpreg_solution_is_valid(otpreg_str_t solution)
{
    size_t   i;
    uint8_t  ch;

    if (solution.len == 0 || solution.len > OTPREG_SOLUTION_MAX) {
        return false;
    }

    for (i = 0; i < solution.len; i++) {
        ch = solution.data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9') && ch != '-' && ch != '.' && ch != '_'
            && ch != '~')
        {
            return false;
        }
    }

    return true;
}


/* whether one of them says that the service could not check */

static bool
otpreg_challenge_codes(const json_t *list,
    char codes[OTPREG_CHALLENGE_CODES_SIZE])
{
    bool         internal;
    size_t       i, len;
    const char  *code;

    len = 0;
    internal = false;

    for (i = 0; i < json_array_size(list); i++) {
        code = json_string_value(json_array_get(list, i));

        if (code == NULL) {
            continue;
        }

        if (strcmp(code, "internal-error") == 0) {
            internal = true;
        }

        if (len != 0 && len < OTPREG_CHALLENGE_CODES_SIZE - 1) {
            codes[len++] = ' ';
        }

        for ( /* void */ ;
             *code != '\0' && len < OTPREG_CHALLENGE_CODES_SIZE - 1;
             code++)
        {
            codes[len++] = (*code > ' ' && *code < 0x7f) ? *code : '?';
        }
    }

    codes[len] = '\0';

    return internal;
}


otpreg_challenge_rc_t
otpreg_challenge_read(otpreg_str_t answer,
    char codes[OTPREG_CHALLENGE_CODES_SIZE])
{
    json_t                 *root, *success;
    otpreg_challenge_rc_t   rc;

    codes[0] = '\0';

    root = json_loadb((const char *) answer.data, answer.len,
                      JSON_REJECT_DUPLICATES, NULL);

    success = json_object_get(root, "success");

    if (json_is_boolean(success)) {
        rc = json_is_true(success) ? OTPREG_CHALLENGE_PASSED
                                   : OTPREG_CHALLENGE_REFUSED;

        if (otpreg_challenge_codes(json_object_get(root, "error-codes"), codes)
            && rc == OTPREG_CHALLENGE_REFUSED)
        {
            rc = OTPREG_CHALLENGE_UNCLEAR;
        }

    } else {
        rc = OTPREG_CHALLENGE_UNCLEAR;
    }

    json_decref(root);

    return rc;
}
