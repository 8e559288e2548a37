
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_value.h"


static ngx_int_t ngx_http_otpreg_variable_message_value(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data, ngx_str_t *value);
static ngx_int_t ngx_http_otpreg_variable_escape(ngx_http_request_t *r,
    uintptr_t data, ngx_str_t *value);


ngx_int_t
ngx_http_otpreg_variable_message(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    uintptr_t                    field;
    ngx_str_t                    value;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_delivery_t  *d;

    ctx = ngx_http_otpreg_get_ctx(r);

    field = data & NGX_HTTP_OTPREG_VAR_MASK;
    ngx_str_null(&value);

    if (ctx != NULL && ctx->has_ticket && field == NGX_HTTP_OTPREG_VAR_TO) {

        /* a page, for the browser that typed the address */

        value.data = (u_char *) ctx->ticket.otp.address;
        value.len = ngx_strlen(value.data);

        return ngx_http_otpreg_variable_message_value(r, v, data, &value);
    }

    if (ctx == NULL || ctx->background.delivery == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    d = ctx->background.delivery;

    switch (field) {

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

    return ngx_http_otpreg_variable_message_value(r, v, data, &value);
}


static ngx_int_t
ngx_http_otpreg_variable_message_value(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data, ngx_str_t *value)
{
    if (ngx_http_otpreg_variable_escape(r, data, value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_otpreg_variable_set(v, value);
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
