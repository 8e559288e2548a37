
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_identity.h"

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_flow.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_outcome.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_ticket.h"
#include "ngx_http_otpreg_value.h"


static void ngx_http_otpreg_variable_channel(ngx_http_otpreg_ctx_t *ctx,
    ngx_str_t *value);
static ngx_int_t ngx_http_otpreg_variable_ticket(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, uintptr_t data, ngx_str_t *value);


ngx_int_t
ngx_http_otpreg_variable_page(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t               rc;
    ngx_str_t               value;
    otpreg_outcome_t        outcome;
    ngx_http_otpreg_ctx_t  *ctx;

    ngx_str_null(&value);
    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL) {
        return ngx_http_otpreg_variable_set(v, &value);
    }

    rc = NGX_OK;

    switch (data) {

    case NGX_HTTP_OTPREG_VAR_ERROR:
        rc = ngx_http_otpreg_outcome_sentence(r, ctx, ctx->outcome, &value);
        break;

    case NGX_HTTP_OTPREG_VAR_ERROR_CODE:
        value = *ngx_http_otpreg_outcome_code(ctx->outcome);
        break;

    case NGX_HTTP_OTPREG_VAR_USERNAME:
        value = ctx->typed.username;

        if (ctx->background.delivery != NULL) {
            value.data = (u_char *) ctx->background.delivery->message.username;
            value.len = ngx_strlen(value.data);

        } else if (ctx->has_ticket) {
            value.data = (u_char *) ctx->ticket.username;
            value.len = ngx_strlen(value.data);
        }

        break;

    case NGX_HTTP_OTPREG_VAR_EMAIL:
        value = ctx->typed.email;
        break;

    case NGX_HTTP_OTPREG_VAR_PHONE:
        value = ctx->typed.phone;
        break;

    case NGX_HTTP_OTPREG_VAR_CHANNEL:
        ngx_http_otpreg_variable_channel(ctx, &value);
        break;

    default:
        if (data >= NGX_HTTP_OTPREG_VAR_FIELD) {
            outcome = ctx->fields[data - NGX_HTTP_OTPREG_VAR_FIELD];
            rc = ngx_http_otpreg_outcome_sentence(r, ctx, outcome, &value);
            break;
        }

        if (ctx->has_ticket) {
            rc = ngx_http_otpreg_variable_ticket(r, ctx, data, &value);
        }

        break;
    }

    return (rc == NGX_OK) ? ngx_http_otpreg_variable_set(v, &value)
                          : NGX_ERROR;
}


/* that of the message, of the sign-up, as chosen, or the default */

static void
ngx_http_otpreg_variable_channel(ngx_http_otpreg_ctx_t *ctx, ngx_str_t *value)
{
    otpreg_channel_t  channel;

    if (ctx->background.delivery != NULL) {
        channel = ctx->background.delivery->message.otp.channel;

    } else if (ctx->has_ticket) {
        channel = ctx->ticket.otp.channel;

    } else {
        channel = ctx->typed.channel ? ctx->typed.channel : ctx->conf->channel;
    }

    value->data = (u_char *) ngx_http_otpreg_channel_name(channel);
    value->len = ngx_strlen(value->data);
}


/* what is known by the cookie */

static ngx_int_t
ngx_http_otpreg_variable_ticket(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, uintptr_t data, ngx_str_t *value)
{
    switch (data) {

    case NGX_HTTP_OTPREG_VAR_MASKED_TO:
        value->data = ngx_pnalloc(r->pool, OTPREG_EMAIL_MAX + 4);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        value->len = ngx_http_otpreg_mask(&ctx->ticket.otp, value->data);
        return NGX_OK;

    case NGX_HTTP_OTPREG_VAR_CODE_LENGTH:
        return ngx_http_otpreg_variable_number(r, value,
                                               ctx->ticket.otp.digits);

    case NGX_HTTP_OTPREG_VAR_ATTEMPTS:
        return ctx->answer.has_attempts
               ? ngx_http_otpreg_variable_number(r, value,
                                                 ctx->answer.attempts_left)
               : NGX_OK;

    case NGX_HTTP_OTPREG_VAR_EXPIRES_IN:
        return ngx_http_otpreg_variable_number(r, value,
                                             ngx_http_otpreg_expires_in(ctx));

    default:                            /* NGX_HTTP_OTPREG_VAR_RESEND_IN */
        return ngx_http_otpreg_variable_number(r, value,
                                              ngx_http_otpreg_resend_in(ctx));
    }
}


/* how long the code lives, rounded up: SSI cannot divide */

ngx_int_t
ngx_http_otpreg_variable_minutes(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    int64_t                 seconds;
    ngx_str_t               value;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL || (ctx->background.delivery == NULL && !ctx->has_ticket)) {
        v->not_found = 1;
        return NGX_OK;
    }

    seconds = ctx->background.delivery
              ? ctx->background.delivery->message.expires_in
              : ngx_http_otpreg_expires_in(ctx);

    if (ngx_http_otpreg_variable_number(r, &value, (seconds + 59) / 60)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_otpreg_variable_set(v, &value);
}
