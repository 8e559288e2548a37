
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_registers.h"

#include "ngx_http_otpreg_body.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_origin.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_response_time.h"


static ngx_http_otpreg_ctx_t *ngx_http_otpreg_request_ctx(
    ngx_http_request_t *r);
static void ngx_http_otpreg_request_cleanup(void *data);
static void ngx_http_otpreg_zero_form(ngx_http_otpreg_ctx_t *ctx);
static ngx_int_t ngx_http_otpreg_refuse(ngx_http_request_t *r);
static otpreg_outcome_t ngx_http_otpreg_check_head(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static otpreg_form_type_t ngx_http_otpreg_form_type(ngx_http_request_t *r);
static void ngx_http_otpreg_form_read(ngx_http_request_t *r);
static ngx_int_t ngx_http_otpreg_collect_form(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);


ngx_int_t
ngx_http_otpreg_begin(ngx_http_request_t *r,
    const ngx_http_otpreg_page_t *page, ngx_http_otpreg_ctx_t **ctx)
{
    ngx_str_t                    value;
    ngx_uint_t                   refused;
    ngx_table_elt_t             *accept;
    ngx_http_otpreg_loc_conf_t  *olcf;

    if (r != r->main) {
        return ngx_http_otpreg_refuse(r);
    }

    /* If-Match and the like are about a state that nothing here has */

    r->disable_not_modified = 1;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    refused = ngx_http_otpreg_body_is_refused(r);

    /* in the midst of a body it is the second time here */

    if ((!refused || ngx_http_otpreg_get_ctx(r) == NULL)
        && ngx_http_otpreg_add_security_headers(r, olcf->csp) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!(r->method & page->methods) && !refused) {
        value.data = (u_char *) page->allow;
        value.len = ngx_strlen(page->allow);

        if (ngx_http_otpreg_add_header(r, "Allow", &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return NGX_HTTP_NOT_ALLOWED;
    }

    *ctx = ngx_http_otpreg_request_ctx(r);
    if (*ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (*ctx)->page = page;
    (*ctx)->flow = page->flow;
    (*ctx)->posted = (r->method == NGX_HTTP_POST);
    (*ctx)->conf = olcf;

    ngx_http_otpreg_response_time_start(*ctx);

    accept = ngx_http_otpreg_find_header(r, "accept");

    (*ctx)->body.json = (ngx_http_otpreg_form_type(r) == OTPREG_FORM_JSON);

    /* no form of a page is sent as JSON: that is a program, whatever it asks */

    (*ctx)->answer.json = (accept != NULL
                    && otpreg_accept_json(ngx_http_otpreg_str(&accept->value)))
                   || (*ctx)->body.json;

    if (refused) {
        (*ctx)->posted = 1;                     /* it is a GET now */
        (*ctx)->outcome = OTPREG_BODY_TOO_LARGE;

        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* what it has left is taken away before the context ends */

static ngx_http_otpreg_ctx_t *
ngx_http_otpreg_request_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_make_ctx(r);

    if (ctx == NULL || ctx->conf != NULL) {
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_otpreg_request_cleanup;
    cln->data = ctx;

    return ctx;
}


static void
ngx_http_otpreg_request_cleanup(void *data)
{
    ngx_http_otpreg_ctx_t *ctx = data;

    ngx_http_otpreg_response_time_cancel(ctx);

    /* a form that no handler came to wipe */

    ngx_http_otpreg_wipe_body(ctx);
    ngx_http_otpreg_zero_form(ctx);
}


static void
ngx_http_otpreg_zero_form(ngx_http_otpreg_ctx_t *ctx)
{
    if (ctx->body.form.data != NULL) {
        sodium_memzero(ctx->body.form.data, ctx->body.form.len);
        ngx_str_null(&ctx->body.form);
    }
}


/*
 * The answer is that of a whole request: its cookie, status and redirect get
 * lost in a subrequest, and the context is the main request's.
 */

static ngx_int_t
ngx_http_otpreg_refuse(ngx_http_request_t *r)
{
    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "otpreg: \"%V\" is refused in a subrequest: it must be "
                  "asked for by itself, not by SSI, auth_request or mirror",
                  &r->uri);

    return NGX_HTTP_FORBIDDEN;
}


ngx_int_t
ngx_http_otpreg_read_form(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    ngx_http_otpreg_page_act_pt act)
{
    ngx_int_t  rc;

    ctx->outcome = ngx_http_otpreg_check_head(r, ctx);

    if (ctx->outcome != OTPREG_OK) {

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        return ngx_http_otpreg_reply(r, ctx);
    }

    ctx->body.act = act;
    ctx->body.reading = r;
    ctx->body.preread = r->header_in->pos;

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_otpreg_form_read);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    return NGX_DONE;
}


/* what can be said of a form before its body is read */

static otpreg_outcome_t
ngx_http_otpreg_check_head(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    if (ngx_http_otpreg_is_cross_site(r)) {
        return OTPREG_CROSS_SITE;
    }

    if (ctx->conf->cookie_secure && ngx_http_otpreg_is_plain_http(r)) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "otpreg: a form came over plain HTTP, where a browser "
                      "keeps no cookie of \"otpreg_cookie_secure on\": serve "
                      "the site by HTTPS");

        return OTPREG_PLAIN_HTTP;
    }

    if (ngx_http_otpreg_form_type(r) == OTPREG_FORM_UNKNOWN
        && (!ctx->page->bare
            || r->headers_in.content_length_n > 0
            || r->headers_in.chunked))
    {
        return OTPREG_BODY_TYPE;
    }

    if (ngx_http_otpreg_body_is_encoded(r)) {
        return OTPREG_BODY_TYPE;
    }

    if (r->headers_in.content_length_n > NGX_HTTP_OTPREG_BODY_MAX) {
        return OTPREG_BODY_TOO_LARGE;
    }

    return OTPREG_OK;
}


static void
ngx_http_otpreg_form_read(ngx_http_request_t *r)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    ngx_http_otpreg_response_time_start(ctx);

    switch (ngx_http_otpreg_collect_form(r, ctx)) {

    case NGX_OK:
        ctx->body.act(r);
        return;

    case NGX_DECLINED:
        ctx->outcome = OTPREG_BODY_TOO_LARGE;
        break;

    default:
        ctx->outcome = OTPREG_ERROR;
        break;
    }

    ngx_http_otpreg_wipe_form(r);
    ngx_http_finalize_request(r, ngx_http_otpreg_reply(r, ctx));
}


/*
 * Copy the body into one buffer, and wipe it wherever it was before; a page
 * that is proxied must not get it either.
 */

static ngx_int_t
ngx_http_otpreg_collect_form(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    off_t         len;
    u_char       *p;
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    len = 0;
    rc = NGX_OK;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {

        if (cl->buf->in_file) {
            rc = NGX_DECLINED;
            break;
        }

        len += ngx_buf_size(cl->buf);
    }

    if (len > NGX_HTTP_OTPREG_BODY_MAX) {
        rc = NGX_DECLINED;
    }

    p = NULL;

    if (rc == NGX_OK) {
        p = ngx_pnalloc(r->pool, len + 1);
        if (p == NULL) {
            rc = NGX_ERROR;
        }
    }

    ctx->body.form.data = p;
    ctx->body.form.len = p ? len : 0;

    for (cl = r->request_body->bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (!ngx_buf_in_memory(b)) {
            continue;
        }

        if (p != NULL) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);
        }
    }

    ngx_http_otpreg_wipe_body(ctx);

    r->request_body->bufs = NULL;
    r->headers_in.content_length_n = 0;
    r->headers_in.chunked = 0;

    return rc;
}


/* wherever nginx has put it, as far as it came */

void
ngx_http_otpreg_wipe_body(ngx_http_otpreg_ctx_t *ctx)
{
    ngx_buf_t           *b;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = ctx->body.reading;

    if (r == NULL) {
        return;
    }

    ctx->body.reading = NULL;

    if (r->request_body != NULL) {

        for (cl = r->request_body->bufs; cl; cl = cl->next) {
            b = cl->buf;

            if (ngx_buf_in_memory(b)) {
                sodium_memzero(b->pos, b->last - b->pos);
            }
        }

        b = r->request_body->buf;

        if (b != NULL) {
            sodium_memzero(b->start, b->end - b->start);
        }
    }

    if (r->header_in->pos > ctx->body.preread
        && ctx->body.preread >= r->header_in->start)
    {
        sodium_memzero(ctx->body.preread,
                       r->header_in->pos - ctx->body.preread);
    }
}


otpreg_outcome_t
ngx_http_otpreg_parse_form(ngx_http_request_t *r, otpreg_form_field_t *fields,
    ngx_uint_t n)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    return otpreg_form_parse(ngx_http_otpreg_form_type(r), ctx->body.form.data,
                             ctx->body.form.len, fields, n);
}


static otpreg_form_type_t
ngx_http_otpreg_form_type(ngx_http_request_t *r)
{
    if (r->headers_in.content_type == NULL) {
        return OTPREG_FORM_UNKNOWN;
    }

    return otpreg_form_type(
                      ngx_http_otpreg_str(&r->headers_in.content_type->value));
}


void
ngx_http_otpreg_wipe_form(ngx_http_request_t *r)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    ngx_http_otpreg_zero_form(ctx);
    otpreg_registers_wipe();
}
