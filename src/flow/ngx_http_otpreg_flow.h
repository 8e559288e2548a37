
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_FLOW_H_INCLUDED_
#define _NGX_HTTP_OTPREG_FLOW_H_INCLUDED_


#include "ngx_http_otpreg_page.h"


/*
 * The room "flow": a request from its form to its answer: the rows of flows and
 * pages, the one handler, fields, JSON, languages, variables of pages, the
 * table of outcomes, the time of an answer.  Not here: SQL (store), who may ask
 * and how often (guard), how a message goes out (outbox).
 */


/*
 * The flows, and their pages: one row a directive.  A row stands in the file
 * of its acts.
 */


/* sign-up */
extern const ngx_http_otpreg_flow_t  ngx_http_otpreg_signup_flow;
extern const ngx_http_otpreg_page_t  ngx_http_otpreg_register_page;
extern const ngx_http_otpreg_page_t  ngx_http_otpreg_verify_page;
extern const ngx_http_otpreg_page_t  ngx_http_otpreg_resend_page;


/*
 * What pages show and do, for the rows of other flows, too: the form of a new
 * user; the code; another message, or another address.
 */
ngx_int_t ngx_http_otpreg_register_show(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
void ngx_http_otpreg_register_act(ngx_http_request_t *r);
ngx_int_t ngx_http_otpreg_verify_show(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
void ngx_http_otpreg_verify_act(ngx_http_request_t *r);
void ngx_http_otpreg_resend_act(ngx_http_request_t *r);


/* What a page shows of its flow; empty in other requests: see value.h. */
ngx_int_t ngx_http_otpreg_variable_page(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
ngx_int_t ngx_http_otpreg_variable_minutes(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


#endif /* _NGX_HTTP_OTPREG_FLOW_H_INCLUDED_ */
