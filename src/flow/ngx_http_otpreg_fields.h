
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_FIELDS_H_INCLUDED_
#define _NGX_HTTP_OTPREG_FIELDS_H_INCLUDED_


#include "otpreg_form.h"

#include "ngx_http_otpreg_module.h"


/*
 * Which identifiers a form has, and whom it is about.  Thread: event loop.
 */


/*
 * Check username, email, phone and channel of a form as otpreg_fields and
 * otpreg_sms_countries say.
 *
 * fields   [in]   by NGX_HTTP_OTPREG_USERNAME, _EMAIL, _PHONE and _CHANNEL
 * in       [out]  username, email, phone, and otp.channel and otp.address: the
 *                 address that the code goes to
 *
 * What is wrong is in ctx->fields.
 */
void ngx_http_otpreg_check_identity(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_form_field_t *fields,
    otpreg_store_signup_t *in);


/*
 * Check email, phone and channel of a form that changes the address.
 *
 * to       [out]  the one that is meant, unless ctx->fields say what is wrong
 */
void ngx_http_otpreg_check_address(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_form_field_t *fields,
    otpreg_store_to_t *to);


/*
 * Keep username, email and phone as typed for the page; the form itself is
 * wiped.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_otpreg_keep_typed(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, const otpreg_form_field_t *fields);

char *ngx_http_otpreg_set_fields(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_otpreg_merge_fields(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev);


#endif /* _NGX_HTTP_OTPREG_FIELDS_H_INCLUDED_ */
