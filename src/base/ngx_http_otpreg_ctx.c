
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"


static void ngx_http_otpreg_ctx_cleanup(void *data);


/*
 * An internal redirect clears the contexts of a request, but not its pool: the
 * cleanup handler is the mark by which the context is found again.
 */

ngx_http_otpreg_ctx_t *
ngx_http_otpreg_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_otpreg_ctx_t  *ctx;

    r = r->main;

    ctx = ngx_http_get_module_ctx(r, ngx_http_otpreg_module);

    if (ctx != NULL || !r->internal) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_otpreg_ctx_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_otpreg_module);
            return ctx;
        }
    }

    return NULL;
}


ngx_http_otpreg_ctx_t *
ngx_http_otpreg_make_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);
    if (ctx != NULL) {
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_otpreg_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_otpreg_ctx_t));

    cln->handler = ngx_http_otpreg_ctx_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_otpreg_module);

    return ctx;
}


ngx_http_otpreg_loc_conf_t *
ngx_http_otpreg_page_conf(ngx_http_request_t *r)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    return (ctx != NULL && ctx->conf != NULL)
           ? ctx->conf
           : ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);
}


static void
ngx_http_otpreg_ctx_cleanup(void *data)
{
    ngx_http_otpreg_ctx_t *ctx = data;

    sodium_memzero(&ctx->ticket, sizeof(otpreg_ticket_t));
}
