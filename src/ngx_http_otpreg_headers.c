
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


#define NGX_HTTP_OTPREG_COOKIE_SECURE  "__Host-otpreg"
#define NGX_HTTP_OTPREG_COOKIE_PLAIN   "otpreg"


static ngx_int_t ngx_http_otpreg_send_cookie(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_str_t *token, ngx_uint_t age);


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


void
ngx_http_otpreg_open_cookie(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    ngx_uint_t        i;
    const char       *name;
    otpreg_str_t      value;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    name = ctx->conf->cookie_secure ? NGX_HTTP_OTPREG_COOKIE_SECURE
                                    : NGX_HTTP_OTPREG_COOKIE_PLAIN;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == sizeof("Cookie") - 1
                && ngx_strncasecmp(h[i].key.data, (u_char *) "Cookie",
                                   h[i].key.len)
                   == 0
                && otpreg_cookie_find(ngx_http_otpreg_str(&h[i].value), name,
                                      &value))
            {
                ctx->has_ticket = otpreg_ticket_open(ctx->conf->keys, value,
                                                     &ctx->ticket);
                return;
            }
        }
    }
}


ngx_int_t
ngx_http_otpreg_set_cookie(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    u_char     buf[OTPREG_TOKEN_SIZE];
    ngx_int_t  rc;
    ngx_str_t  token;

    token.data = buf;
    token.len = otpreg_ticket_seal(ctx->conf->keys,
                                   &ctx->ticket, (char *) buf);

    rc = ngx_http_otpreg_send_cookie(r, ctx, &token,
                                     NGX_HTTP_OTPREG_COOKIE_AGE);

    sodium_memzero(buf, sizeof(buf));

    return rc;
}


ngx_int_t
ngx_http_otpreg_clear_cookie(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    return ngx_http_otpreg_send_cookie(r, ctx, &none, 0);
}


static ngx_int_t
ngx_http_otpreg_send_cookie(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    ngx_str_t *token, ngx_uint_t age)
{
    size_t      len;
    ngx_str_t   value;
    ngx_uint_t  secure;

    secure = ctx->conf->cookie_secure;

    len = sizeof("__Host-otpreg=; Path=/; Max-Age=; Secure; HttpOnly; "
                 "SameSite=Lax") + NGX_INT_T_LEN + token->len;

    value.data = ngx_pnalloc(r->pool, len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data,
                            "%s=%V; Path=/; Max-Age=%ui%s; HttpOnly; "
                            "SameSite=Lax",
                            secure ? NGX_HTTP_OTPREG_COOKIE_SECURE
                                   : NGX_HTTP_OTPREG_COOKIE_PLAIN,
                            token, age, secure ? "; Secure" : "")
                - value.data;

    return ngx_http_otpreg_add_header(r, "Set-Cookie", &value);
}
