
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_TICKET_H_INCLUDED_
#define _NGX_HTTP_OTPREG_TICKET_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


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
