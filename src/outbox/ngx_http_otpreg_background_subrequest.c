
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_background.h"
#include "ngx_http_otpreg_ctx.h"


static ngx_http_request_t *ngx_http_otpreg_background_start(
    ngx_http_request_t *r, ngx_str_t *uri, ngx_str_t *body, ngx_uint_t how,
    ngx_http_post_subrequest_pt handler, void *data);


ngx_http_request_t *
ngx_http_otpreg_background_subrequest(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_str_t *body, ngx_http_post_subrequest_pt handler, void *data)
{
    return ngx_http_otpreg_background_start(r, uri, body,
                                          NGX_HTTP_SUBREQUEST_IN_MEMORY,
                                          handler, data);
}


ngx_http_request_t *
ngx_http_otpreg_background_stream(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_str_t *body, ngx_http_otpreg_sink_pt sink,
    ngx_http_post_subrequest_pt handler, void *data)
{
    ngx_http_request_t     *sr;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    ctx->background.sink = sink;
    ctx->background.sink_data = data;

    sr = ngx_http_otpreg_background_start(r, uri, body, 0, handler, data);

    if (sr != NULL) {

        /* what comes from a cache is read from its file */

        sr->filter_need_in_memory = 1;
    }

    return sr;
}


static ngx_http_request_t *
ngx_http_otpreg_background_start(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_str_t *body, ngx_uint_t how, ngx_http_post_subrequest_pt handler,
    void *data)
{
    ngx_buf_t                   *b;
    ngx_str_t                    args, path;
    ngx_uint_t                   flags;
    ngx_http_request_t          *sr;
    ngx_http_request_body_t     *rb;
    ngx_http_post_subrequest_t  *ps;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NULL;
    }

    ps->handler = handler;
    ps->data = data;

    path = *uri;
    flags = 0;
    ngx_str_null(&args);

    if (ngx_http_parse_unsafe_uri(r, &path, &args, &flags) != NGX_OK
        || ngx_http_subrequest(r, &path, &args, &sr, ps,
                               how|NGX_HTTP_SUBREQUEST_WAITED)
           != NGX_OK)
    {
        return NULL;
    }

    if (body == NULL) {
        return sr;
    }

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    b = ngx_create_temp_buf(r->pool, body->len);

    if (rb == NULL || b == NULL) {
        return NULL;
    }

    b->last = ngx_cpymem(b->last, body->data, body->len);
    b->last_buf = 1;

    rb->bufs = ngx_alloc_chain_link(r->pool);
    if (rb->bufs == NULL) {
        return NULL;
    }

    rb->bufs->buf = b;
    rb->bufs->next = NULL;
    rb->buf = b;

    sr->request_body = rb;
    sr->headers_in.content_length_n = body->len;
    sr->method = NGX_HTTP_POST;
    ngx_str_set(&sr->method_name, "POST");

    return sr;
}
