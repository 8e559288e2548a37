
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_value.h"


ngx_int_t
ngx_http_otpreg_variable_conf(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_int_t                    rc;
    ngx_str_t                    value;
    ngx_http_complex_value_t    *text;
    ngx_http_otpreg_loc_conf_t  *olcf;

    static ngx_str_t  presence[] = {
        ngx_null_string,
        ngx_string("optional"),
        ngx_string("required")
    };

    olcf = ngx_http_otpreg_page_conf(r);

    switch (data) {

    case NGX_HTTP_OTPREG_VAR_REGISTER_URI:
        text = olcf->register_uri;
        break;

    case NGX_HTTP_OTPREG_VAR_VERIFY_URI:
        text = olcf->verify_uri;
        break;

    case NGX_HTTP_OTPREG_VAR_RESEND_URI:
        text = olcf->resend_uri;
        break;

    case NGX_HTTP_OTPREG_VAR_LOGIN_URI:
        text = olcf->login_uri;
        break;

    case NGX_HTTP_OTPREG_VAR_SITE_NAME:
        text = olcf->site_name;
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

    if (ngx_http_complex_value(r, text, &value) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_otpreg_variable_set(v, &value);
}


ngx_int_t
ngx_http_otpreg_variable_lang(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                    value;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_loc_conf_t  *olcf;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx != NULL && ctx->background.delivery != NULL) {
        value.data = (u_char *) ctx->background.delivery->message.lang;
        value.len = ngx_strlen(value.data);

        return ngx_http_otpreg_variable_set(v, &value);
    }

    olcf = ngx_http_otpreg_page_conf(r);

    ngx_http_otpreg_language_accepted(r->main, olcf, &value);

    return ngx_http_otpreg_variable_set(v, &value);
}
