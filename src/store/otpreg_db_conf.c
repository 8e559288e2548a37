
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_db.h"


static bool otpreg_db_text_equal(const char *a, const char *b);


bool
otpreg_db_conf_same(const otpreg_db_conf_t *a, const otpreg_db_conf_t *b)
{
    unsigned  i;

    if (a->nhosts != b->nhosts || a->port != b->port
        || !otpreg_db_text_equal(a->socket, b->socket)
        || !otpreg_db_text_equal(a->name, b->name))
    {
        return false;
    }

    for (i = 0; i < a->nhosts; i++) {
        if (!otpreg_db_text_equal(a->host[i], b->host[i])) {
            return false;
        }
    }

    return true;
}


bool
otpreg_db_conf_equal(const otpreg_db_conf_t *a, const otpreg_db_conf_t *b)
{
    return otpreg_db_conf_same(a, b)
           && otpreg_db_text_equal(a->user, b->user)
           && otpreg_db_text_equal(a->password, b->password)
           && otpreg_db_text_equal(a->ssl_ca, b->ssl_ca)
           && a->ssl == b->ssl
           && a->connect_timeout == b->connect_timeout
           && a->read_timeout == b->read_timeout
           && a->failback_ms == b->failback_ms;
}


static bool
otpreg_db_text_equal(const char *a, const char *b)
{
    return (a == NULL || b == NULL) ? a == b : strcmp(a, b) == 0;
}
