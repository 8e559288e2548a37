
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_ROBOT_H_INCLUDED_
#define _NGX_HTTP_OTPREG_ROBOT_H_INCLUDED_


#include "otpreg_form.h"
#include "otpreg_outcome.h"
#include "otpreg_store.h"

#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_used_form.h"


/*
 * Forms that no person has filled in.  A robot goes the way of everybody, only
 * that the transaction is rolled back and the cookie says that there is no
 * code: its answers are those that everybody gets.  Thread: event loop.
 */


/* the fields of a form that are for robots */

#define NGX_HTTP_OTPREG_ROBOT_HONEYPOT  0
#define NGX_HTTP_OTPREG_ROBOT_TOKEN     1
#define NGX_HTTP_OTPREG_ROBOT_FIELDS    2


/* Name the fields that the location has; the others can never be there. */
void ngx_http_otpreg_robot_fields(ngx_http_otpreg_loc_conf_t *olcf,
    otpreg_form_field_t *fields);

/*
 * Look at a form whose other fields were checked.
 *
 * password [in]       as it will be hashed
 * in       [in, out]  otp.id, channel, address and all that people typed are
 *                     set; in->dry is
 * undo     [out]      the form, to be given back when there is no sign-up
 *
 * ctx->outcome may become OTPREG_FORM_EXPIRED.
 */
void ngx_http_otpreg_robot_check(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_form_field_t *fields,
    const otpreg_password_t *password, otpreg_store_signup_t *in,
    ngx_http_otpreg_used_form_undo_t *undo);

/* Change the ticket of a sign-up, ctx->ticket, if it is a robot's. */
void ngx_http_otpreg_robot_ticket(ngx_http_otpreg_ctx_t *ctx);

/* What a robot is told that tries a code, or wants another one. */
otpreg_outcome_t ngx_http_otpreg_robot_verified(ngx_http_otpreg_ctx_t *ctx,
    otpreg_outcome_t outcome, unsigned *left);
otpreg_outcome_t ngx_http_otpreg_robot_resent(ngx_http_otpreg_ctx_t *ctx,
    otpreg_outcome_t outcome, const otpreg_store_to_t *to,
    otpreg_store_resent_t *out);


/* $otpreg_honeypot and $otpreg_form_token; data is which of the fields */
ngx_int_t ngx_http_otpreg_robot_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

char *ngx_http_otpreg_set_honeypot(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *ngx_http_otpreg_set_form_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_OTPREG_ROBOT_H_INCLUDED_ */
