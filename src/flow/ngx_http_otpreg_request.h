
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_REQUEST_H_INCLUDED_
#define _NGX_HTTP_OTPREG_REQUEST_H_INCLUDED_


#include "otpreg_form.h"
#include "otpreg_outcome.h"

#include "ngx_http_otpreg_page.h"


/* the largest request body, bytes */
#define NGX_HTTP_OTPREG_BODY_MAX  16384


/*
 * What the handlers ask of a request.  Thread: event loop.
 */


/*
 * Begin: make the context, and refuse methods that a page does not have with
 * 405 and Allow.
 *
 * NGX_OK with *ctx, NGX_DECLINED with *ctx to reply with, or the status to
 * return: 403 to a subrequest, of whatever kind.
 */
ngx_int_t ngx_http_otpreg_begin(ngx_http_request_t *r,
    const ngx_http_otpreg_page_t *page, ngx_http_otpreg_ctx_t **ctx);


/*
 * Check the type and the length of a form and read it; then act is called, and
 * must finalize the request.  Returns what the content handler returns.
 */
ngx_int_t ngx_http_otpreg_read_form(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_page_act_pt act);


/*
 * Parse the form that was read.  Values live in r->pool until
 * ngx_http_otpreg_wipe_form(), which the caller owes on every path.
 */
otpreg_outcome_t ngx_http_otpreg_parse_form(ngx_http_request_t *r,
    otpreg_form_field_t *fields, ngx_uint_t n);
void ngx_http_otpreg_wipe_form(ngx_http_request_t *r);

/* What a body left in nginx's buffers; also when it never came to its end. */
void ngx_http_otpreg_wipe_body(ngx_http_otpreg_ctx_t *ctx);


#endif /* _NGX_HTTP_OTPREG_REQUEST_H_INCLUDED_ */
