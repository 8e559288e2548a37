
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_identity.h"

#include "ngx_http_otpreg_ask.h"
#include "ngx_http_otpreg_bot.h"
#include "ngx_http_otpreg_challenge.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_outcome.h"
#include "ngx_http_otpreg_reply.h"


/* what a variable shows; the rest of the data is its argument */

#define NGX_HTTP_OTPREG_VAR_ERROR         0
#define NGX_HTTP_OTPREG_VAR_ERROR_CODE    1
#define NGX_HTTP_OTPREG_VAR_PHONE         2
#define NGX_HTTP_OTPREG_VAR_CHANNEL       3

#define NGX_HTTP_OTPREG_VAR_USERNAME      8
#define NGX_HTTP_OTPREG_VAR_EMAIL         9
#define NGX_HTTP_OTPREG_VAR_MASKED_TO     10
#define NGX_HTTP_OTPREG_VAR_CODE_LENGTH   11
#define NGX_HTTP_OTPREG_VAR_ATTEMPTS      12
#define NGX_HTTP_OTPREG_VAR_EXPIRES_IN    13
#define NGX_HTTP_OTPREG_VAR_RESEND_IN     14

#define NGX_HTTP_OTPREG_VAR_REGISTER_URI  16
#define NGX_HTTP_OTPREG_VAR_VERIFY_URI    17
#define NGX_HTTP_OTPREG_VAR_RESEND_URI    18
#define NGX_HTTP_OTPREG_VAR_LOGIN_URI     19
#define NGX_HTTP_OTPREG_VAR_PASSWORD_MIN  20
#define NGX_HTTP_OTPREG_VAR_PASSWORD_MAX  21

/* + the field */
#define NGX_HTTP_OTPREG_VAR_FIELD         64
#define NGX_HTTP_OTPREG_VAR_PRESENCE      80

#define NGX_HTTP_OTPREG_VAR_TO            24
#define NGX_HTTP_OTPREG_VAR_CODE          25
#define NGX_HTTP_OTPREG_VAR_SUBJECT       26
#define NGX_HTTP_OTPREG_VAR_TEXT          27
#define NGX_HTTP_OTPREG_VAR_HTML          28
#define NGX_HTTP_OTPREG_VAR_MESSAGE_ID    29
#define NGX_HTTP_OTPREG_VAR_TEMPLATE      30


/* as a string in JSON without its quotes, or in a query */

#define NGX_HTTP_OTPREG_VAR_JSON          0x100
#define NGX_HTTP_OTPREG_VAR_URLENCODED    0x200
#define NGX_HTTP_OTPREG_VAR_MASK          0xff


typedef struct {
    ngx_str_t                   name;
    ngx_http_get_variable_pt    handler;
    uintptr_t                   data;
} ngx_http_otpreg_variable_t;


static ngx_int_t ngx_http_otpreg_variable_page(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static void ngx_http_otpreg_variable_channel(ngx_http_otpreg_ctx_t *ctx,
    ngx_str_t *value);
static ngx_int_t ngx_http_otpreg_variable_ticket(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_http_otpreg_variable_conf(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_otpreg_variable_message(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_otpreg_variable_escape(ngx_http_request_t *r,
    uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_http_otpreg_variable_lang(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_otpreg_variable_minutes(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_otpreg_variable_number(ngx_http_request_t *r,
    ngx_str_t *value, int64_t number);
static ngx_int_t ngx_http_otpreg_variable_set(ngx_http_variable_value_t *v,
    ngx_str_t *value);


static const ngx_http_otpreg_variable_t  ngx_http_otpreg_variables[] = {

    /* on pages */

    { ngx_string("otpreg_error"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_ERROR },

    { ngx_string("otpreg_error_code"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_ERROR_CODE },

    { ngx_string("otpreg_error_username"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_FIELD + NGX_HTTP_OTPREG_USERNAME },

    { ngx_string("otpreg_error_email"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_FIELD + NGX_HTTP_OTPREG_EMAIL },

    { ngx_string("otpreg_error_phone"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_FIELD + NGX_HTTP_OTPREG_PHONE },

    { ngx_string("otpreg_error_channel"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_FIELD + NGX_HTTP_OTPREG_CHANNEL },

    { ngx_string("otpreg_error_password"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_FIELD + NGX_HTTP_OTPREG_PASSWORD },

    { ngx_string("otpreg_error_confirm_password"),
      ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_FIELD + NGX_HTTP_OTPREG_CONFIRM },

    { ngx_string("otpreg_error_otp"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_FIELD + NGX_HTTP_OTPREG_OTP },

    { ngx_string("otpreg_username"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_USERNAME },

    { ngx_string("otpreg_email"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_EMAIL },

    { ngx_string("otpreg_phone"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_PHONE },

    { ngx_string("otpreg_channel"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_CHANNEL },

    { ngx_string("otpreg_masked_to"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_MASKED_TO },

    { ngx_string("otpreg_code_length"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_CODE_LENGTH },

    { ngx_string("otpreg_attempts_left"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_ATTEMPTS },

    { ngx_string("otpreg_limit_hot"), ngx_http_otpreg_limit_variable, 0 },

    { ngx_string("otpreg_expires_in"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_EXPIRES_IN },

    { ngx_string("otpreg_resend_in"), ngx_http_otpreg_variable_page,
      NGX_HTTP_OTPREG_VAR_RESEND_IN },

    /* anywhere */

    { ngx_string("otpreg_register_uri"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_REGISTER_URI },

    { ngx_string("otpreg_verify_uri"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_VERIFY_URI },

    { ngx_string("otpreg_resend_uri"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_RESEND_URI },

    { ngx_string("otpreg_login_uri"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_LOGIN_URI },

    { ngx_string("otpreg_field_username"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_PRESENCE + NGX_HTTP_OTPREG_USERNAME },

    { ngx_string("otpreg_field_email"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_PRESENCE + NGX_HTTP_OTPREG_EMAIL },

    { ngx_string("otpreg_field_phone"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_PRESENCE + NGX_HTTP_OTPREG_PHONE },

    { ngx_string("otpreg_password_min"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_PASSWORD_MIN },

    { ngx_string("otpreg_password_max"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_PASSWORD_MAX },

    { ngx_string("otpreg_honeypot"), ngx_http_otpreg_bot_variable,
      NGX_HTTP_OTPREG_BOT_HONEYPOT },

    { ngx_string("otpreg_form_token"), ngx_http_otpreg_bot_variable,
      NGX_HTTP_OTPREG_BOT_TOKEN },

    { ngx_string("otpreg_challenge"), ngx_http_otpreg_challenge_variable, 0 },

    /* in the locations of services that are asked */

    { ngx_string("otpreg_challenge_token"), ngx_http_otpreg_ask_variable,
      NGX_HTTP_OTPREG_ASK_CHALLENGE },

    { ngx_string("otpreg_password_prefix"), ngx_http_otpreg_ask_variable,
      NGX_HTTP_OTPREG_ASK_BREACH },

    /* in couriers and templates of messages */

    { ngx_string("otpreg_to"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_TO },

    { ngx_string("otpreg_code"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_CODE },

    { ngx_string("otpreg_subject"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_SUBJECT },

    { ngx_string("otpreg_text"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_TEXT },

    { ngx_string("otpreg_html"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_HTML },

    { ngx_string("otpreg_to_json"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_TO|NGX_HTTP_OTPREG_VAR_JSON },

    { ngx_string("otpreg_subject_json"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_SUBJECT|NGX_HTTP_OTPREG_VAR_JSON },

    { ngx_string("otpreg_text_json"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_TEXT|NGX_HTTP_OTPREG_VAR_JSON },

    { ngx_string("otpreg_html_json"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_HTML|NGX_HTTP_OTPREG_VAR_JSON },

    { ngx_string("otpreg_to_urlencoded"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_TO|NGX_HTTP_OTPREG_VAR_URLENCODED },

    { ngx_string("otpreg_subject_urlencoded"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_SUBJECT|NGX_HTTP_OTPREG_VAR_URLENCODED },

    { ngx_string("otpreg_text_urlencoded"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_TEXT|NGX_HTTP_OTPREG_VAR_URLENCODED },

    { ngx_string("otpreg_html_urlencoded"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_HTML|NGX_HTTP_OTPREG_VAR_URLENCODED },

    { ngx_string("otpreg_message_id"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_MESSAGE_ID },

    { ngx_string("otpreg_template"), ngx_http_otpreg_variable_message,
      NGX_HTTP_OTPREG_VAR_TEMPLATE },

    /* on pages and in messages */

    { ngx_string("otpreg_lang"), ngx_http_otpreg_variable_lang, 0 },

    { ngx_string("otpreg_expires_minutes"), ngx_http_otpreg_variable_minutes,
      0 }
};


ngx_int_t
ngx_http_otpreg_add_variables(ngx_conf_t *cf)
{
    ngx_str_t             name;
    ngx_uint_t            i;
    ngx_http_variable_t  *var;

    for (i = 0;
         i < sizeof(ngx_http_otpreg_variables)
             / sizeof(ngx_http_otpreg_variable_t);
         i++)
    {
        name = ngx_http_otpreg_variables[i].name;

        /* "set" may choose a language, and it stays the same then */

        var = ngx_http_add_variable(cf, &name,
                                    (ngx_http_otpreg_variables[i].handler
                                     == ngx_http_otpreg_variable_lang)
                                    ? NGX_HTTP_VAR_CHANGEABLE
                                    : NGX_HTTP_VAR_NOCACHEABLE);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = ngx_http_otpreg_variables[i].handler;
        var->data = ngx_http_otpreg_variables[i].data;
    }

    return NGX_OK;
}


static ngx_int_t
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
        value = ctx->username;

        if (ctx->dispatch != NULL) {
            value.data = (u_char *) ctx->dispatch->message.username;
            value.len = ngx_strlen(value.data);
        }

        break;

    case NGX_HTTP_OTPREG_VAR_EMAIL:
        value = ctx->email;
        break;

    case NGX_HTTP_OTPREG_VAR_PHONE:
        value = ctx->phone;
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

    if (ctx->dispatch != NULL) {
        channel = ctx->dispatch->message.otp.channel;

    } else if (ctx->has_ticket) {
        channel = ctx->ticket.otp.channel;

    } else {
        channel = ctx->channel ? ctx->channel : ctx->conf->channel;
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
        return ctx->has_attempts
               ? ngx_http_otpreg_variable_number(r, value, ctx->attempts_left)
               : NGX_OK;

    case NGX_HTTP_OTPREG_VAR_EXPIRES_IN:
        return ngx_http_otpreg_variable_number(r, value,
                                             ngx_http_otpreg_expires_in(ctx));

    default:                            /* NGX_HTTP_OTPREG_VAR_RESEND_IN */
        return ngx_http_otpreg_variable_number(r, value,
                                              ngx_http_otpreg_resend_in(ctx));
    }
}


static ngx_int_t
ngx_http_otpreg_variable_conf(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t                    rc;
    ngx_str_t                    value;
    ngx_http_complex_value_t    *uri;
    ngx_http_otpreg_loc_conf_t  *olcf;

    static ngx_str_t  presence[] = {
        ngx_null_string,
        ngx_string("optional"),
        ngx_string("required")
    };

    olcf = ngx_http_otpreg_page_conf(r);

    switch (data) {

    case NGX_HTTP_OTPREG_VAR_REGISTER_URI:
        uri = olcf->register_uri;
        break;

    case NGX_HTTP_OTPREG_VAR_VERIFY_URI:
        uri = olcf->verify_uri;
        break;

    case NGX_HTTP_OTPREG_VAR_RESEND_URI:
        uri = olcf->resend_uri;
        break;

    case NGX_HTTP_OTPREG_VAR_LOGIN_URI:
        uri = olcf->login_uri;
        break;

    case NGX_HTTP_OTPREG_VAR_PRESENCE + NGX_HTTP_OTPREG_USERNAME:
    case NGX_HTTP_OTPREG_VAR_PRESENCE + NGX_HTTP_OTPREG_EMAIL:
    case NGX_HTTP_OTPREG_VAR_PRESENCE + NGX_HTTP_OTPREG_PHONE:
        value = presence[olcf->identifiers[data
                                           - NGX_HTTP_OTPREG_VAR_PRESENCE]];
        return ngx_http_otpreg_variable_set(v, &value);

    default:
        rc = ngx_http_otpreg_variable_number(r, &value,
                                  (data == NGX_HTTP_OTPREG_VAR_PASSWORD_MIN)
                                  ? olcf->password_min : olcf->password_max);

        return (rc == NGX_OK) ? ngx_http_otpreg_variable_set(v, &value)
                              : NGX_ERROR;
    }

    if (ngx_http_complex_value(r, uri, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_otpreg_variable_set(v, &value);
}


static ngx_int_t
ngx_http_otpreg_variable_message(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                    value;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_dispatch_t  *d;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL || ctx->dispatch == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    d = ctx->dispatch;
    ngx_str_null(&value);

    switch (data & NGX_HTTP_OTPREG_VAR_MASK) {

    case NGX_HTTP_OTPREG_VAR_TO:
        value.data = (u_char *) d->message.otp.address;
        value.len = ngx_strlen(value.data);
        break;

    case NGX_HTTP_OTPREG_VAR_CODE:
        value.data = d->code;
        value.len = ngx_strlen(value.data);
        break;

    case NGX_HTTP_OTPREG_VAR_SUBJECT:
        value = d->subject;
        break;

    case NGX_HTTP_OTPREG_VAR_TEXT:
        value = d->text;
        break;

    case NGX_HTTP_OTPREG_VAR_HTML:
        value = d->html;
        break;

    case NGX_HTTP_OTPREG_VAR_TEMPLATE:
        value.data = (u_char *) d->message.template;
        value.len = ngx_strlen(value.data);
        break;

    case NGX_HTTP_OTPREG_VAR_MESSAGE_ID:
        value.data = ngx_pnalloc(r->pool, OTPREG_ID_LEN * 2);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = OTPREG_ID_LEN * 2;
        ngx_hex_dump(value.data, d->message.id, OTPREG_ID_LEN);
        break;
    }

    if (ngx_http_otpreg_variable_escape(r, data, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_otpreg_variable_set(v, &value);
}


static ngx_int_t
ngx_http_otpreg_variable_escape(ngx_http_request_t *r, uintptr_t data,
    ngx_str_t *value)
{
    size_t   len;
    u_char  *p, *last;

    if (value->len == 0
        || !(data & (NGX_HTTP_OTPREG_VAR_JSON|NGX_HTTP_OTPREG_VAR_URLENCODED)))
    {
        return NGX_OK;
    }

    len = (data & NGX_HTTP_OTPREG_VAR_JSON)
          ? ngx_escape_json(NULL, value->data, value->len)
          : 2 * ngx_escape_uri(NULL, value->data, value->len,
                               NGX_ESCAPE_URI_COMPONENT);

    p = ngx_pnalloc(r->pool, value->len + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    last = (data & NGX_HTTP_OTPREG_VAR_JSON)
           ? (u_char *) ngx_escape_json(p, value->data, value->len)
           : (u_char *) ngx_escape_uri(p, value->data, value->len,
                                       NGX_ESCAPE_URI_COMPONENT);

    value->data = p;
    value->len = last - p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_otpreg_variable_lang(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                    value;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_loc_conf_t  *olcf;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx != NULL && ctx->dispatch != NULL) {
        value.data = (u_char *) ctx->dispatch->message.lang;
        value.len = ngx_strlen(value.data);

        return ngx_http_otpreg_variable_set(v, &value);
    }

    olcf = ngx_http_otpreg_page_conf(r);

    ngx_http_otpreg_language_accepted(r->main, olcf, &value);

    return ngx_http_otpreg_variable_set(v, &value);
}


/* how long the code lives, rounded up: SSI cannot divide */

static ngx_int_t
ngx_http_otpreg_variable_minutes(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    int64_t                 seconds;
    ngx_str_t               value;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL || (ctx->dispatch == NULL && !ctx->has_ticket)) {
        v->not_found = 1;
        return NGX_OK;
    }

    seconds = ctx->dispatch ? ctx->dispatch->message.expires_in
                            : ngx_http_otpreg_expires_in(ctx);

    if (ngx_http_otpreg_variable_number(r, &value, (seconds + 59) / 60)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_otpreg_variable_set(v, &value);
}


static ngx_int_t
ngx_http_otpreg_variable_number(ngx_http_request_t *r, ngx_str_t *value,
    int64_t number)
{
    value->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "%L", number) - value->data;

    return NGX_OK;
}


static ngx_int_t
ngx_http_otpreg_variable_set(ngx_http_variable_value_t *v, ngx_str_t *value)
{
    v->data = value->data ? value->data : (u_char *) "";
    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
