
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_identity.h"


otpreg_outcome_t
otpreg_username_parse(otpreg_str_t in, otpreg_username_t *out)
{
    size_t  i;

    memset(out, 0, sizeof(otpreg_username_t));

    in = otpreg_str_trim(in);

    if (in.len == 0) {
        return OTPREG_REQUIRED;
    }

    for (i = 0; i < in.len; i++) {

        if (!otpreg_str_alnum_or(in.data[i], "_.@+-")) {
            return OTPREG_USERNAME_INVALID;
        }
    }

    if (in.len > OTPREG_USERNAME_MAX) {
        return OTPREG_USERNAME_TOO_LONG;
    }

    for (i = 0; i < in.len; i++) {
        out->name[i] = (char) in.data[i];
        out->key[i] = otpreg_str_lower(in.data[i]);
    }

    return OTPREG_OK;
}


bool
otpreg_username_is_address(const otpreg_username_t *username)
{
    return username->key[0] == '+' || strchr(username->key, '@') != NULL;
}
