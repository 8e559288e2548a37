
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_robot.h"
#include "ngx_http_otpreg_ticket.h"


#define NGX_HTTP_OTPREG_HONEYPOT_MAX   32

#define NGX_HTTP_OTPREG_FORM_MIN_MAX   60000            /* milliseconds */
#define NGX_HTTP_OTPREG_FORM_MAX       86400            /* seconds */
#define NGX_HTTP_OTPREG_FORM_MAX_MAX   (7 * 86400)

/* a name is UTF-8: no form has this one */
#define NGX_HTTP_OTPREG_NO_FIELD       "\xff"


static void ngx_http_otpreg_robot_token(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_form_field_t *field,
    const otpreg_password_t *password, otpreg_store_signup_t *in,
    ngx_http_otpreg_used_form_undo_t *undo);
static ngx_uint_t ngx_http_otpreg_robot_expired(ngx_http_otpreg_ctx_t *ctx,
    const otpreg_form_token_t *form, int64_t now,
    const otpreg_store_signup_t *in);
static void ngx_http_otpreg_robot_use(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, const otpreg_form_token_t *form,
    const otpreg_password_t *password, otpreg_store_signup_t *in,
    ngx_http_otpreg_used_form_undo_t *undo);
static ngx_uint_t ngx_http_otpreg_robot_has_signup(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static void ngx_http_otpreg_robot_found(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_store_signup_t *in,
    ngx_http_otpreg_metric_e reason);


char *
ngx_http_otpreg_set_honeypot(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    size_t      i;
    u_char      ch;
    ngx_str_t  *value;
    ngx_uint_t  k;

    static const char *const  others[] = {
        "username", "email", "phone", "password", "confirm_password",
        "channel", "form_token", "otp", "challenge", "cf-turnstile-response",
        "h-captcha-response", "g-recaptcha-response"
    };

    if (olcf->honeypot.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        ngx_str_set(&olcf->honeypot, "");
        return NGX_CONF_OK;
    }

    if (value[1].len == 0 || value[1].len > NGX_HTTP_OTPREG_HONEYPOT_MAX) {
        return ngx_http_otpreg_invalid(cf, &value[1]);
    }

    for (i = 0; i < value[1].len; i++) {
        ch = value[1].data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9') && ch != '_' && ch != '-')
        {
            return ngx_http_otpreg_invalid(cf, &value[1]);
        }
    }

    for (k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
        if (ngx_strcmp(value[1].data, others[k]) == 0) {
            return "is the name of another field";
        }
    }

    olcf->honeypot = value[1];

    return NGX_CONF_OK;
}


/* "2s 1d", or "off" */

char *
ngx_http_otpreg_set_form_time(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_int_t   min, max;
    ngx_str_t  *value;

    if (olcf->form_min != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        olcf->form_min = 0;
        return NGX_CONF_OK;
    }

    min = ngx_parse_time(&value[1], 0);

    if (min < 1 || min > NGX_HTTP_OTPREG_FORM_MIN_MAX) {
        return ngx_http_otpreg_invalid(cf, &value[1]);
    }

    max = NGX_HTTP_OTPREG_FORM_MAX;

    if (cf->args->nelts == 3) {
        max = ngx_parse_time(&value[2], 1);

        if (max < 1 || max > NGX_HTTP_OTPREG_FORM_MAX_MAX
            || max * 1000 <= min)
        {
            return ngx_http_otpreg_invalid(cf, &value[2]);
        }
    }

    olcf->form_min = min;
    olcf->form_max = max;

    olcf->used_forms = ngx_http_otpreg_used_form_zone(cf);

    return olcf->used_forms ? NGX_CONF_OK : NGX_CONF_ERROR;
}


void
ngx_http_otpreg_robot_fields(ngx_http_otpreg_loc_conf_t *olcf,
    otpreg_form_field_t *fields)
{
    fields[NGX_HTTP_OTPREG_ROBOT_HONEYPOT].name =
            olcf->honeypot.len ? (const char *) olcf->honeypot.data
                               : NGX_HTTP_OTPREG_NO_FIELD;

    fields[NGX_HTTP_OTPREG_ROBOT_TOKEN].name =
            olcf->form_min ? "form_token" : NGX_HTTP_OTPREG_NO_FIELD;
}


void
ngx_http_otpreg_robot_check(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    otpreg_form_field_t *fields, const otpreg_password_t *password,
    otpreg_store_signup_t *in, ngx_http_otpreg_used_form_undo_t *undo)
{
    if (ctx->conf->form_min != 0) {
        ngx_http_otpreg_robot_token(r, ctx,
                                    &fields[NGX_HTTP_OTPREG_ROBOT_TOKEN],
                                    password, in, undo);
    }

    if (ctx->outcome == OTPREG_OK && !ctx->robot.found
        && fields[NGX_HTTP_OTPREG_ROBOT_HONEYPOT].value.len != 0)
    {
        ngx_http_otpreg_robot_found(r, ctx, in,
                                    NGX_HTTP_OTPREG_METRIC_ROBOT_HONEYPOT);
    }
}


/*
 * A form that is shown again because of an error keeps the time of the first
 * one: who corrects one field may be quick.
 */

static void
ngx_http_otpreg_robot_token(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    otpreg_form_field_t *field, const otpreg_password_t *password,
    otpreg_store_signup_t *in, ngx_http_otpreg_used_form_undo_t *undo)
{
    int64_t              now;
    otpreg_form_token_t  form;

    if (field->value.len == 0) {

        if (ctx->outcome == OTPREG_OK && !ctx->body.json) {
            ctx->outcome = OTPREG_FORM_EXPIRED;
        }

        return;
    }

    if (!otpreg_form_token_open(ctx->conf->keys, field->value, &form)) {

        if (ctx->outcome == OTPREG_OK) {
            ngx_http_otpreg_robot_found(r, ctx, in,
                                        NGX_HTTP_OTPREG_METRIC_ROBOT_FORGED);
        }

        return;
    }

    now = ngx_http_otpreg_now_ms();

    if (ngx_http_otpreg_robot_expired(ctx, &form, now, in)) {

        if (ctx->outcome == OTPREG_OK) {
            ctx->outcome = OTPREG_FORM_EXPIRED;
        }

        return;
    }

    ctx->robot.shown_at = form.shown_at;

    if (ctx->outcome != OTPREG_OK) {
        return;
    }

    if (now - form.shown_at < (int64_t) ctx->conf->form_min) {
        ngx_http_otpreg_robot_found(r, ctx, in,
                                    NGX_HTTP_OTPREG_METRIC_ROBOT_TOO_SOON);
        return;
    }

    ngx_http_otpreg_robot_use(r, ctx, &form, password, in, undo);
}


static void
ngx_http_otpreg_robot_use(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    const otpreg_form_token_t *form, const otpreg_password_t *password,
    otpreg_store_signup_t *in, ngx_http_otpreg_used_form_undo_t *undo)
{
    otpreg_str_t                 values[4];
    ngx_http_otpreg_used_form_t  use;

    values[0].data = (uint8_t *) in->username.name;
    values[0].len = ngx_strlen(in->username.name);
    values[1].data = (uint8_t *) in->email.address;
    values[1].len = ngx_strlen(in->email.address);
    values[2].data = (uint8_t *) in->phone.number;
    values[2].len = ngx_strlen(in->phone.number);
    values[3].data = (const uint8_t *) password->data;
    values[3].len = password->len;

    otpreg_form_sender(form, &in->otp, use.sender);
    otpreg_form_values(ctx->conf->keys, form, values, 4, use.values);
    ngx_memcpy(use.otp_id, in->otp.id, OTPREG_ID_LEN);
    use.expires = form->shown_at / 1000 + ctx->conf->form_max + 1;

    switch (ngx_http_otpreg_used_form_use(ctx->conf->used_forms, form, &use,
                                          undo))
    {

    case NGX_BUSY:

        /* sent twice by one click too many: the first code is good for both */

        ngx_memcpy(ctx->robot.first_id, use.otp_id, OTPREG_ID_LEN);
        ctx->robot.resubmitted = 1;
        in->dry = true;
        return;

    case NGX_DECLINED:

        if (ngx_http_otpreg_robot_has_signup(r, ctx)) {
            ctx->outcome = OTPREG_FORM_EXPIRED;
            return;
        }

        ngx_http_otpreg_robot_found(r, ctx, in,
                                    NGX_HTTP_OTPREG_METRIC_ROBOT_REUSED);
        return;
    }
}


/*
 * Who went back to a form that was used, and typed another address, needs
 * another form; a robot that keeps cookies gets one for nothing as well.
 */

static ngx_uint_t
ngx_http_otpreg_robot_has_signup(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    ngx_uint_t  has;

    ngx_http_otpreg_open_cookie(r, ctx);

    has = ctx->has_ticket
          && ctx->ticket.otp.purpose == ctx->flow->purpose;

    ctx->has_ticket = 0;                        /* the form's own comes */
    ngx_memzero(&ctx->ticket, sizeof(otpreg_ticket_t));

    return has;
}


/*
 * The form of somebody who came back late is as good as an old one when it is
 * shown again, but only once: else an old one would be as good as a new one.
 * One of the future is late, too: the clock was set back since.
 */

static ngx_uint_t
ngx_http_otpreg_robot_expired(ngx_http_otpreg_ctx_t *ctx,
    const otpreg_form_token_t *form, int64_t now,
    const otpreg_store_signup_t *in)
{
    ngx_http_otpreg_used_form_t  nobody;

    if (form->shown_at <= now
        && now - form->shown_at < (int64_t) ctx->conf->form_max * 1000)
    {
        return 0;
    }

    ngx_memzero(&nobody, sizeof(ngx_http_otpreg_used_form_t));
    nobody.expires = ngx_time() + ctx->conf->form_max;
    ngx_memcpy(nobody.otp_id, in->otp.id, OTPREG_ID_LEN);

    if (ngx_http_otpreg_used_form_use(ctx->conf->used_forms, form, &nobody,
                                      NULL)
        == NGX_OK)
    {
        ctx->robot.shown_at = now - (int64_t) ctx->conf->form_min;
    }

    return 1;
}


static void
ngx_http_otpreg_robot_found(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    otpreg_store_signup_t *in, ngx_http_otpreg_metric_e reason)
{
    static const char *const  reasons[] = {
        "the honeypot was filled in",
        "the form token is forged",
        "the form was sent too soon",
        "the form was used before"
    };

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "otpreg: a robot signs up: %s",
                  reasons[reason - NGX_HTTP_OTPREG_METRIC_ROBOT_HONEYPOT]);

    ngx_http_otpreg_metric_add(reason, 1);

    ctx->robot.found = 1;
    in->dry = true;
}


void
ngx_http_otpreg_robot_ticket(ngx_http_otpreg_ctx_t *ctx)
{
    if (ctx->robot.found) {
        ctx->ticket.otp.purpose = OTPREG_PURPOSE_NONE;

    } else if (ctx->robot.resubmitted) {
        ngx_memcpy(ctx->ticket.otp.id, ctx->robot.first_id, OTPREG_ID_LEN);
    }
}


/* the database has no such OTP, and calls it expired */

otpreg_outcome_t
ngx_http_otpreg_robot_verified(ngx_http_otpreg_ctx_t *ctx,
    otpreg_outcome_t outcome, unsigned *left)
{
    if (ctx->ticket.otp.purpose != OTPREG_PURPOSE_NONE
        || outcome != OTPREG_CODE_EXPIRED
        || ngx_http_otpreg_expires_in(ctx) == 0)
    {
        return outcome;
    }

    *left = ctx->conf->code_attempts - 1;

    return *left ? OTPREG_CODE_WRONG : OTPREG_CODE_SPENT;
}


otpreg_outcome_t
ngx_http_otpreg_robot_resent(ngx_http_otpreg_ctx_t *ctx,
    otpreg_outcome_t outcome, const otpreg_store_to_t *to,
    otpreg_store_resent_t *out)
{
    ngx_uint_t  changed;

    if (ctx->ticket.otp.purpose != OTPREG_PURPOSE_NONE
        || outcome != OTPREG_NO_SIGNUP)
    {
        return outcome;
    }

    out->otp = ctx->ticket.otp;
    out->expires_in = ngx_http_otpreg_expires_in(ctx);

    changed = (to->address[0] != '\0'
               && (to->channel != out->otp.channel
                   || ngx_strcmp(to->address, out->otp.address) != 0));

    if (changed) {
        out->otp.channel = to->channel;
        ngx_memcpy(out->otp.address, to->address, sizeof(to->address));

    } else {
        out->retry_after = ngx_http_otpreg_resend_in(ctx);

        if (out->retry_after != 0) {
            return OTPREG_RESEND_TOO_SOON;
        }
    }

    if (changed || out->expires_in == 0) {
        out->expires_in = ctx->conf->code_lifetime;
        ctx->answer.lifetime = ctx->conf->code_lifetime;
    }

    return OTPREG_OK;
}


ngx_int_t
ngx_http_otpreg_robot_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_loc_conf_t  *olcf;

    ctx = ngx_http_otpreg_get_ctx(r);
    olcf = ngx_http_otpreg_page_conf(r);

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) "";
    v->len = 0;

    if (data == NGX_HTTP_OTPREG_ROBOT_HONEYPOT) {
        v->data = olcf->honeypot.data;
        v->len = olcf->honeypot.len;
        return NGX_OK;
    }

    if (olcf->form_min == 0 || olcf->keys == NULL) {
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, OTPREG_FORM_TOKEN_SIZE);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = otpreg_form_token_seal(olcf->keys,
                                    (ctx != NULL && ctx->robot.shown_at != 0)
                                    ? ctx->robot.shown_at
                                    : (int64_t) ngx_http_otpreg_now_ms(),
                                    (char *) v->data);

    return NGX_OK;
}
