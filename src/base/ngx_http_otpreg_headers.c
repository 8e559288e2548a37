
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_cookie.h"

#include "ngx_http_otpreg_headers.h"


ngx_table_elt_t *
ngx_http_otpreg_find_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i];
            }
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_otpreg_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_add_security_headers(ngx_http_request_t *r,
    ngx_http_complex_value_t *policy)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    static struct {
        const char  *name;
        ngx_str_t    value;
    } headers[] = {
        { "Cache-Control", ngx_string("no-store") },
        { "Vary", ngx_string("Accept") },
        { "Referrer-Policy", ngx_string("same-origin") },
        { "X-Content-Type-Options", ngx_string("nosniff") },
        { "X-Frame-Options", ngx_string("DENY") }
    };

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (ngx_http_otpreg_add_header(r, headers[i].name, &headers[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_complex_value(r, policy, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    if (value.len == 0) {
        return NGX_OK;
    }

    return ngx_http_otpreg_add_header(r, "Content-Security-Policy", &value);
}
