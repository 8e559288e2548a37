
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_TICKET_H_INCLUDED_
#define _NGX_HTTP_OTPREG_TICKET_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * What the pages of a flow have in common.  The URIs are offsets of a
 * ngx_http_complex_value_t * in the configuration of a location.
 */

struct ngx_http_otpreg_flow_s {
    otpreg_purpose_t            purpose;    /* of its codes */
    const char                 *cookie;     /* the name, without "__Host-" */
    size_t                      begin_uri;  /* the page that begins it */
    size_t                      verify_uri; /* the page for the code */
    size_t                      end_uri;    /* where to when it is over */
};


/*
 * The ticket of a flow: the cookie that carries it, and what a page and a
 * program may know of it.  Thread: event loop.
 */


/*
 * Open the cookie of ctx->flow.  Sets ctx->ticket, and ctx->has_ticket where it
 * is one of that flow, or a robot's.
 */
void ngx_http_otpreg_open_cookie(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);

/* Set the cookie from ctx->ticket, or clear it.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_otpreg_set_cookie(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
ngx_int_t ngx_http_otpreg_clear_cookie(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);


/* Seconds until something may or must happen, never negative. */
time_t ngx_http_otpreg_expires_in(ngx_http_otpreg_ctx_t *ctx);
time_t ngx_http_otpreg_resend_in(ngx_http_otpreg_ctx_t *ctx);


/* The address of a ticket for a page; out is OTPREG_EMAIL_MAX + 4 bytes. */
size_t ngx_http_otpreg_mask(const otpreg_otp_t *otp, u_char *out);


#endif /* _NGX_HTTP_OTPREG_TICKET_H_INCLUDED_ */
