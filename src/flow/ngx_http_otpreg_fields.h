
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_FIELDS_H_INCLUDED_
#define _NGX_HTTP_OTPREG_FIELDS_H_INCLUDED_


#include "otpreg_form.h"
#include "otpreg_store.h"

#include "ngx_http_otpreg_module.h"


/*
 * The fields of a form: their names, which of them identify a user, and what is
 * wrong with them.  Thread: event loop.
 */


/* As in a form, JSON, and otpreg_fields; it ends with a NUL. */
const ngx_str_t *ngx_http_otpreg_field_name(ngx_uint_t field);


/*
 * Name the fields from first to last for the parser.
 *
 * fields  [out]  last - first + 1 of them
 */
void ngx_http_otpreg_name_fields(otpreg_form_field_t *fields,
    ngx_uint_t first, ngx_uint_t last);


/*
 * Look at ctx->fields: with an error in one of them ctx->outcome is
 * OTPREG_INVALID_FIELDS.  NGX_OK, or NGX_ERROR: there was no memory for one.
 */
ngx_int_t ngx_http_otpreg_judge_fields(ngx_http_otpreg_ctx_t *ctx);


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
