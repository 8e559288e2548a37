
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_cookie.h"
#include "otpreg_identity.h"

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_ticket.h"


/* the cookie outlives the code: an expired one can be sent anew */
#define NGX_HTTP_OTPREG_COOKIE_AGE  86400

/* the longest name of a cookie, with the prefix of a secure one and the NUL */
#define NGX_HTTP_OTPREG_COOKIE_NAME  64


static otpreg_seal_scope_t ngx_http_otpreg_cookie_scope(
    ngx_http_otpreg_ctx_t *ctx);
static void ngx_http_otpreg_cookie_name(ngx_http_otpreg_ctx_t *ctx,
    char name[NGX_HTTP_OTPREG_COOKIE_NAME]);
static ngx_int_t ngx_http_otpreg_send_cookie(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_str_t *token, ngx_uint_t age);


void
ngx_http_otpreg_open_cookie(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    char                  name[NGX_HTTP_OTPREG_COOKIE_NAME];
    ngx_uint_t            i;
    otpreg_str_t          value;
    ngx_list_part_t      *part;
    ngx_table_elt_t      *h;
    otpreg_seal_scope_t   scope;

    ngx_http_otpreg_cookie_name(ctx, name);

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
                scope = ngx_http_otpreg_cookie_scope(ctx);
                ctx->has_ticket = otpreg_ticket_open(ctx->conf->keys, &scope,
                                                     value, &ctx->ticket);
                return;
            }
        }
    }
}


static otpreg_seal_scope_t
ngx_http_otpreg_cookie_scope(ngx_http_otpreg_ctx_t *ctx)
{
    return (otpreg_seal_scope_t) {
        .site = ngx_http_otpreg_str(&ctx->conf->site),
        .purpose = ctx->flow->purpose
    };
}


static void
ngx_http_otpreg_cookie_name(ngx_http_otpreg_ctx_t *ctx,
    char name[NGX_HTTP_OTPREG_COOKIE_NAME])
{
    ngx_snprintf((u_char *) name, NGX_HTTP_OTPREG_COOKIE_NAME - 1, "%s%s%Z",
                 ctx->conf->cookie_secure ? "__Host-" : "", ctx->flow->cookie);
}


ngx_int_t
ngx_http_otpreg_set_cookie(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    u_char               buf[OTPREG_TOKEN_SIZE];
    ngx_int_t            rc;
    ngx_str_t            token;
    otpreg_seal_scope_t  scope;

    scope = ngx_http_otpreg_cookie_scope(ctx);

    token.data = buf;
    token.len = otpreg_ticket_seal(ctx->conf->keys, &scope, &ctx->ticket,
                                   (char *) buf);

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
    char       name[NGX_HTTP_OTPREG_COOKIE_NAME];
    size_t     len;
    ngx_str_t  value;

    ngx_http_otpreg_cookie_name(ctx, name);

    len = sizeof("=; Path=/; Max-Age=; Secure; HttpOnly; SameSite=Lax")
          + ngx_strlen(name) + NGX_INT_T_LEN + token->len;

    value.data = ngx_pnalloc(r->pool, len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data,
                            "%s=%V; Path=/; Max-Age=%ui%s; HttpOnly; "
                            "SameSite=Lax",
                            name, token, age,
                            ctx->conf->cookie_secure ? "; Secure" : "")
                - value.data;

    return ngx_http_otpreg_add_header(r, "Set-Cookie", &value);
}


time_t
ngx_http_otpreg_expires_in(ngx_http_otpreg_ctx_t *ctx)
{
    /* not more than it was at first, if the clock was set back since */

    return ngx_max(ctx->ticket.expires_at
                   - ngx_max(ngx_time(), ctx->ticket.sent_at), 0);
}


time_t
ngx_http_otpreg_resend_in(ngx_http_otpreg_ctx_t *ctx)
{
    if (ctx->ticket.sent_at > ngx_time()) {
        return 0;                       /* the clock was set back */
    }

    return ngx_max(ctx->ticket.sent_at + ctx->conf->resend_delay
                   - ngx_time(), 0);
}


size_t
ngx_http_otpreg_mask(const otpreg_otp_t *otp, u_char *out)
{
    return (otp->channel == OTPREG_CHANNEL_SMS)
           ? otpreg_phone_mask(otp->address, (char *) out)
           : otpreg_email_mask(otp->address, (char *) out);
}
