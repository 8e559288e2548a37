
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_CHALLENGE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_CHALLENGE_H_INCLUDED_


#include "otpreg_form.h"

#include "ngx_http_otpreg_callout.h"


/*
 * A challenge that a service has set and checks: Turnstile, hCaptcha,
 * reCAPTCHA, or one of your own.  Thread: event loop.
 */


/* what their scripts call the field with the solution, and our own name */
#define NGX_HTTP_OTPREG_CHALLENGE_FIELDS  4

void ngx_http_otpreg_challenge_fields(otpreg_form_field_t *fields);

/* Keep the solution of a form that is wiped soon.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_otpreg_challenge_keep(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, const otpreg_form_field_t *fields);


/* Whether there must be a solution, and the form has none. */
ngx_uint_t ngx_http_otpreg_challenge_is_missing(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);


/*
 * Have the solution checked, if there must be one.
 *
 * NGX_OK: there is nothing to wait for; NGX_AGAIN: next is called later with
 * data.  In both cases ctx->outcome says what came of it.
 */
ngx_int_t ngx_http_otpreg_challenge(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_next_pt next, void *data);


/* $otpreg_challenge */
ngx_int_t ngx_http_otpreg_challenge_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


#endif /* _NGX_HTTP_OTPREG_CHALLENGE_H_INCLUDED_ */
