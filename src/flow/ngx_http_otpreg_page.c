
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_page.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_ticket.h"


static ngx_uint_t ngx_http_otpreg_page_is_told(ngx_http_request_t *r,
    const ngx_http_otpreg_page_t *page);


ngx_int_t
ngx_http_otpreg_page_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_otpreg_ctx_t         *ctx;
    ngx_http_otpreg_loc_conf_t    *olcf;
    const ngx_http_otpreg_page_t  *page;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);
    page = olcf->page;

    if (ngx_http_otpreg_page_is_told(r, page)) {
        ctx = ngx_http_otpreg_get_ctx(r);
        ctx->page = page;
        ctx->conf = olcf;

        return ngx_http_otpreg_reply(r, ctx);
    }

    rc = ngx_http_otpreg_begin(r, page, &ctx);

    if (rc == NGX_DECLINED) {
        return ngx_http_otpreg_reply(r, ctx);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (!page->begins) {
        ngx_http_otpreg_open_cookie(r, ctx);
    }

    if (r->method == NGX_HTTP_POST) {
        return ngx_http_otpreg_read_form(r, ctx, page->act);
    }

    return page->show(r, ctx);
}


/* another page was refused something, and says so on this one */

static ngx_uint_t
ngx_http_otpreg_page_is_told(ngx_http_request_t *r,
    const ngx_http_otpreg_page_t *page)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    return r == r->main && ctx != NULL && ctx->done && ctx->page != NULL
           && ctx->page->said_on == page;
}


void
ngx_http_otpreg_page_finish(ngx_http_request_t *r, otpreg_outcome_t outcome)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);
    ctx->outcome = outcome;

    ngx_http_finalize_request(r, ngx_http_otpreg_reply(r, ctx));
}
