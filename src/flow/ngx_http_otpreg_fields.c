
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_refusal.h"
#include "ngx_http_otpreg_sms_limit.h"


static void ngx_http_otpreg_check_identifiers(
    ngx_http_otpreg_loc_conf_t *olcf,
    const ngx_http_otpreg_presence_e *presence, ngx_http_otpreg_ctx_t *ctx,
    otpreg_form_field_t *fields, otpreg_store_signup_t *in);
static otpreg_outcome_t ngx_http_otpreg_check_presence(
    ngx_http_otpreg_presence_e presence, otpreg_outcome_t outcome);
static ngx_int_t ngx_http_otpreg_keep_value(ngx_http_request_t *r,
    ngx_str_t *to, const otpreg_str_t *value);
static void ngx_http_otpreg_check_channel(ngx_http_otpreg_ctx_t *ctx,
    otpreg_form_field_t *field, otpreg_store_signup_t *in);


/* a form and JSON call them so; those that identify a user are kept as typed */

typedef struct {
    ngx_str_t                   name;
    size_t                      typed;      /* in ctx, or 0 */
} ngx_http_otpreg_field_t;


static const ngx_http_otpreg_field_t
    ngx_http_otpreg_fields[NGX_HTTP_OTPREG_FIELDS] =
{
    [NGX_HTTP_OTPREG_USERNAME] = {
        ngx_string("username"), offsetof(ngx_http_otpreg_ctx_t,
                                         typed.username) },
    [NGX_HTTP_OTPREG_EMAIL] = {
        ngx_string("email"), offsetof(ngx_http_otpreg_ctx_t, typed.email) },
    [NGX_HTTP_OTPREG_PHONE] = {
        ngx_string("phone"), offsetof(ngx_http_otpreg_ctx_t, typed.phone) },
    [NGX_HTTP_OTPREG_CHANNEL] = { ngx_string("channel"), 0 },
    [NGX_HTTP_OTPREG_PASSWORD] = { ngx_string("password"), 0 },
    [NGX_HTTP_OTPREG_CONFIRM] = { ngx_string("confirm_password"), 0 },
    [NGX_HTTP_OTPREG_OTP] = { ngx_string("otp"), 0 }
};


const ngx_str_t *
ngx_http_otpreg_field_name(ngx_uint_t field)
{
    return &ngx_http_otpreg_fields[field].name;
}


void
ngx_http_otpreg_name_fields(otpreg_form_field_t *fields, ngx_uint_t first,
    ngx_uint_t last)
{
    ngx_uint_t  i;

    for (i = first; i <= last; i++) {
        ngx_memzero(&fields[i - first], sizeof(otpreg_form_field_t));
        fields[i - first].name = (char *) ngx_http_otpreg_fields[i].name.data;
    }
}


ngx_int_t
ngx_http_otpreg_judge_fields(ngx_http_otpreg_ctx_t *ctx)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_OTPREG_FIELDS; i++) {

        if (ctx->fields[i] == OTPREG_ERROR) {
            return NGX_ERROR;
        }

        if (ctx->fields[i] != OTPREG_OK) {
            ctx->outcome = OTPREG_INVALID_FIELDS;
        }
    }

    return NGX_OK;
}


char *
ngx_http_otpreg_set_fields(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_str_t                   *value, option;
    ngx_uint_t                   i, k;
    ngx_http_otpreg_presence_e  *identifiers;

    identifiers = olcf->identifiers;

    for (k = 0; k < NGX_HTTP_OTPREG_IDENTIFIERS; k++) {
        if (identifiers[k] != NGX_HTTP_OTPREG_ABSENT) {
            return "is duplicate";
        }
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < NGX_HTTP_OTPREG_IDENTIFIERS; k++) {
            if (ngx_http_otpreg_option(&value[i],
                            (char *) ngx_http_otpreg_fields[k].name.data,
                            &option))
            {
                break;
            }
        }

        if (k == NGX_HTTP_OTPREG_IDENTIFIERS
            || identifiers[k] != NGX_HTTP_OTPREG_ABSENT)
        {
            return ngx_http_otpreg_invalid(cf, &value[i]);
        }

        if (ngx_strcmp(option.data, "required") == 0) {
            identifiers[k] = NGX_HTTP_OTPREG_REQUIRED;

        } else if (ngx_strcmp(option.data, "optional") == 0) {
            identifiers[k] = NGX_HTTP_OTPREG_OPTIONAL;

        } else {
            return ngx_http_otpreg_invalid(cf, &value[i]);
        }
    }

    if (identifiers[NGX_HTTP_OTPREG_EMAIL] == NGX_HTTP_OTPREG_ABSENT
        && identifiers[NGX_HTTP_OTPREG_PHONE] == NGX_HTTP_OTPREG_ABSENT)
    {
        return "must have \"email\" or \"phone\": a code is sent there";
    }

    return NGX_CONF_OK;
}


void
ngx_http_otpreg_merge_fields(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev)
{
    ngx_uint_t  k;

    for (k = 0; k < NGX_HTTP_OTPREG_IDENTIFIERS; k++) {
        if (conf->identifiers[k] != NGX_HTTP_OTPREG_ABSENT) {
            return;
        }
    }

    ngx_memcpy(conf->identifiers, prev->identifiers,
               sizeof(conf->identifiers));

    for (k = 0; k < NGX_HTTP_OTPREG_IDENTIFIERS; k++) {
        if (conf->identifiers[k] != NGX_HTTP_OTPREG_ABSENT) {
            return;
        }
    }

    conf->identifiers[NGX_HTTP_OTPREG_USERNAME] = NGX_HTTP_OTPREG_REQUIRED;
    conf->identifiers[NGX_HTTP_OTPREG_EMAIL] = NGX_HTTP_OTPREG_REQUIRED;
}


void
ngx_http_otpreg_check_identity(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_form_field_t *fields,
    otpreg_store_signup_t *in)
{
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    ngx_http_otpreg_check_identifiers(olcf, olcf->identifiers, ctx, fields,
                                      in);
    ngx_http_otpreg_check_channel(ctx, &fields[NGX_HTTP_OTPREG_CHANNEL], in);
}


/* a new address: neither is required, but one of the two */

void
ngx_http_otpreg_check_address(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_form_field_t *fields,
    otpreg_store_to_t *to)
{
    ngx_uint_t                   i;
    otpreg_store_signup_t        in;
    ngx_http_otpreg_presence_e   presence[NGX_HTTP_OTPREG_IDENTIFIERS];
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    for (i = 0; i < NGX_HTTP_OTPREG_IDENTIFIERS; i++) {
        presence[i] = olcf->identifiers[i] ? NGX_HTTP_OTPREG_OPTIONAL
                                           : NGX_HTTP_OTPREG_ABSENT;
    }

    presence[NGX_HTTP_OTPREG_USERNAME] = NGX_HTTP_OTPREG_ABSENT;

    ngx_memzero(&in, sizeof(otpreg_store_signup_t));

    ngx_http_otpreg_check_identifiers(olcf, presence, ctx, fields, &in);
    ngx_http_otpreg_check_channel(ctx, &fields[NGX_HTTP_OTPREG_CHANNEL], &in);

    to->channel = in.otp.channel;
    ngx_memcpy(to->address, in.otp.address, sizeof(to->address));
    ngx_cpystrn((u_char *) to->key,
                (u_char *) ((to->channel == OTPREG_CHANNEL_SMS)
                            ? in.phone.number : in.email.key),
                sizeof(to->key));
}


static void
ngx_http_otpreg_check_identifiers(ngx_http_otpreg_loc_conf_t *olcf,
    const ngx_http_otpreg_presence_e *presence, ngx_http_otpreg_ctx_t *ctx,
    otpreg_form_field_t *fields, otpreg_store_signup_t *in)
{
    ngx_uint_t        i;
    otpreg_outcome_t  outcome[NGX_HTTP_OTPREG_IDENTIFIERS];

    for (i = 0; i < NGX_HTTP_OTPREG_IDENTIFIERS; i++) {
        if (presence[i] == NGX_HTTP_OTPREG_ABSENT) {
            fields[i].value.len = 0;
        }
    }

    outcome[NGX_HTTP_OTPREG_USERNAME] =
            otpreg_username_parse(fields[NGX_HTTP_OTPREG_USERNAME].value,
                                  &in->username);

    if (outcome[NGX_HTTP_OTPREG_USERNAME] == OTPREG_OK
        && !olcf->username_address
        && otpreg_username_is_address(&in->username))
    {
        outcome[NGX_HTTP_OTPREG_USERNAME] = OTPREG_USERNAME_ADDRESS;
    }

    outcome[NGX_HTTP_OTPREG_EMAIL] =
            otpreg_email_parse(fields[NGX_HTTP_OTPREG_EMAIL].value,
                               &in->email);
    outcome[NGX_HTTP_OTPREG_PHONE] =
            otpreg_phone_parse(fields[NGX_HTTP_OTPREG_PHONE].value,
                               &in->phone);

    if (outcome[NGX_HTTP_OTPREG_PHONE] == OTPREG_OK
        && !ngx_http_otpreg_sms_is_allowed(olcf, in->phone.number))
    {
        ngx_http_otpreg_refused(olcf, OTPREG_STORE_SMS_COUNTRY,
                                in->phone.number);

        outcome[NGX_HTTP_OTPREG_PHONE] = OTPREG_PHONE_COUNTRY;
    }

    for (i = 0; i < NGX_HTTP_OTPREG_IDENTIFIERS; i++) {
        ctx->fields[i] = ngx_http_otpreg_check_presence(presence[i],
                                                        outcome[i]);
    }
}


static otpreg_outcome_t
ngx_http_otpreg_check_presence(ngx_http_otpreg_presence_e presence,
    otpreg_outcome_t outcome)
{
    if (outcome == OTPREG_REQUIRED && presence != NGX_HTTP_OTPREG_REQUIRED) {
        return OTPREG_OK;
    }

    return outcome;
}


/* where the code goes: as chosen, else the default, else where it can */

static void
ngx_http_otpreg_check_channel(ngx_http_otpreg_ctx_t *ctx,
    otpreg_form_field_t *field, otpreg_store_signup_t *in)
{
    ngx_uint_t         chosen, address, other;
    otpreg_channel_t   channel;

    chosen = 1;

    if (field->value.len == 0) {
        chosen = 0;
        channel = ctx->conf->channel;

    } else if (otpreg_str_equal_nocase(field->value, "email")) {
        channel = OTPREG_CHANNEL_EMAIL;

    } else if (otpreg_str_equal_nocase(field->value, "sms")) {
        channel = OTPREG_CHANNEL_SMS;

    } else {
        ctx->fields[NGX_HTTP_OTPREG_CHANNEL] = OTPREG_CHANNEL_INVALID;
        return;
    }

    if (chosen) {
        ctx->typed.channel = channel;

    } else if (channel == OTPREG_CHANNEL_EMAIL
               ? in->email.address[0] == '\0' && in->phone.number[0] != '\0'
               : in->phone.number[0] == '\0' && in->email.address[0] != '\0')
    {
        channel = (channel == OTPREG_CHANNEL_EMAIL) ? OTPREG_CHANNEL_SMS
                                                    : OTPREG_CHANNEL_EMAIL;
    }

    if (channel == OTPREG_CHANNEL_EMAIL) {
        address = NGX_HTTP_OTPREG_EMAIL;
        ngx_memcpy(in->otp.address, in->email.address,
                   sizeof(in->email.address));

    } else {
        address = NGX_HTTP_OTPREG_PHONE;
        ngx_memcpy(in->otp.address, in->phone.number,
                   sizeof(in->phone.number));
    }

    in->otp.channel = channel;

    if (in->otp.address[0] != '\0' || ctx->fields[address] != OTPREG_OK) {
        return;
    }

    /* nothing to send to: said where it can be mended */

    other = (address == NGX_HTTP_OTPREG_EMAIL) ? NGX_HTTP_OTPREG_PHONE
                                               : NGX_HTTP_OTPREG_EMAIL;

    if (!chosen && ctx->fields[other] != OTPREG_OK) {
        return;
    }

    if (ctx->conf->identifiers[address] == NGX_HTTP_OTPREG_ABSENT) {

        if (chosen) {
            ctx->fields[NGX_HTTP_OTPREG_CHANNEL] = OTPREG_CHANNEL_INVALID;
            return;
        }

        address = other;
    }

    ctx->fields[address] = OTPREG_REQUIRED;
}


ngx_int_t
ngx_http_otpreg_keep_typed(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    const otpreg_form_field_t *fields)
{
    char       *p;
    ngx_uint_t  i;

    p = (char *) ctx;

    for (i = 0; i < NGX_HTTP_OTPREG_IDENTIFIERS; i++) {
        if (ngx_http_otpreg_keep_value(r,
                           (ngx_str_t *) (p + ngx_http_otpreg_fields[i].typed),
                           &fields[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_otpreg_keep_value(ngx_http_request_t *r, ngx_str_t *to,
    const otpreg_str_t *value)
{
    size_t     i;
    ngx_str_t  from;

    from.data = (u_char *) value->data;
    from.len = value->len;

    if (from.len == 0) {
        return NGX_OK;
    }

    to->len = from.len;
    to->data = ngx_pstrdup(r->pool, &from);

    if (to->data == NULL) {
        return NGX_ERROR;
    }

    /* a page may be proxied, and the value go into a header there */

    for (i = 0; i < to->len; i++) {
        if (to->data[i] < ' ' || to->data[i] == 0x7f) {
            to->data[i] = ' ';
        }
    }

    return NGX_OK;
}
