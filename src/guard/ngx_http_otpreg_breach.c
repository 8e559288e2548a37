
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_sha1.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_breach.h"

#include "ngx_http_otpreg_breach.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"


/* a range of Pwned Passwords is 40 KB, padding included */
#define NGX_HTTP_OTPREG_BREACH_ANSWER  (1024 * 1024)


typedef struct {
    ngx_http_otpreg_callout_t   callout;
    ngx_http_otpreg_next_pt     next;
    void                       *data;
    otpreg_breach_t             breach;
} ngx_http_otpreg_breach_t;


static ngx_http_otpreg_breach_t *ngx_http_otpreg_breach_make(
    ngx_http_request_t *r, const otpreg_password_t *password);
static void ngx_http_otpreg_breach_wipe(void *data);
static void ngx_http_otpreg_breach_sink(void *data, const u_char *p,
    size_t len);
static void ngx_http_otpreg_breach_asked(ngx_http_request_t *r,
    ngx_http_otpreg_callout_t *callout);


ngx_int_t
ngx_http_otpreg_breach(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    const otpreg_password_t *password, ngx_http_otpreg_next_pt next,
    void *data)
{
    ngx_http_otpreg_callout_t  *callout;
    ngx_http_otpreg_breach_t   *b;

    if (ctx->conf->breach == NULL) {
        return NGX_OK;
    }

    b = ngx_http_otpreg_breach_make(r, password);
    if (b == NULL) {
        ctx->outcome = OTPREG_ERROR;
        return NGX_OK;
    }

    b->next = next;
    b->data = data;

    callout = &b->callout;
    callout->uri = ctx->conf->breach->uri;
    callout->time = ctx->conf->breach->time;
    callout->max = NGX_HTTP_OTPREG_BREACH_ANSWER;
    callout->variable.data = (u_char *) b->breach.prefix;
    callout->variable.len = OTPREG_BREACH_PREFIX_LEN;
    callout->kind = NGX_HTTP_OTPREG_CALLOUT_BREACH;
    callout->sink = ngx_http_otpreg_breach_sink;
    callout->asked = ngx_http_otpreg_breach_asked;
    callout->data = b;

    if (ngx_http_otpreg_callout(r, callout) != NGX_AGAIN) {
        ctx->outcome = OTPREG_ERROR;
        return NGX_OK;
    }

    return NGX_AGAIN;
}


static ngx_http_otpreg_breach_t *
ngx_http_otpreg_breach_make(ngx_http_request_t *r,
    const otpreg_password_t *password)
{
    u_char                     hash[OTPREG_BREACH_HASH_LEN];
    ngx_sha1_t                 sha1;
    ngx_pool_cleanup_t        *cln;
    ngx_http_otpreg_breach_t  *b;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_otpreg_breach_t));
    if (cln == NULL) {
        return NULL;
    }

    b = cln->data;
    ngx_memzero(b, sizeof(ngx_http_otpreg_breach_t));
    cln->handler = ngx_http_otpreg_breach_wipe;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, password->data, password->len);
    ngx_sha1_final(hash, &sha1);

    otpreg_breach_init(&b->breach, hash);

    sodium_memzero(&sha1, sizeof(ngx_sha1_t));
    sodium_memzero(hash, sizeof(hash));

    return b;
}


static void
ngx_http_otpreg_breach_wipe(void *data)
{
    ngx_http_otpreg_breach_t *b = data;

    sodium_memzero(&b->breach, sizeof(otpreg_breach_t));
}


static void
ngx_http_otpreg_breach_sink(void *data, const u_char *p, size_t len)
{
    ngx_http_otpreg_breach_t *b = data;

    otpreg_breach_read(&b->breach, (otpreg_str_t) { p, len });
}


static void
ngx_http_otpreg_breach_asked(ngx_http_request_t *r,
    ngx_http_otpreg_callout_t *callout)
{
    ngx_http_otpreg_ctx_t     *ctx;
    ngx_http_otpreg_breach_t  *b;

    ctx = ngx_http_otpreg_get_ctx(r);
    b = callout->data;

    otpreg_breach_end(&b->breach);

    if (callout->status != NGX_HTTP_OK || !b->breach.known) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "otpreg: password not looked up by %V, status %ui",
                      &callout->uri, callout->status);
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_BREACH_DOWN, 1);

        if (!ctx->conf->breach->open) {
            ctx->outcome = OTPREG_BREACH_DOWN;
        }

    } else if (b->breach.found) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_BREACH_FOUND, 1);
        ctx->fields[NGX_HTTP_OTPREG_PASSWORD] = OTPREG_PASSWORD_BREACHED;
        ctx->outcome = OTPREG_INVALID_FIELDS;

    } else {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_BREACH_CLEAN, 1);
    }

    ngx_http_otpreg_breach_wipe(b);

    b->next(r, b->data);
}
