
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_callout.h"
#include "ngx_http_otpreg_challenge.h"
#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_flow.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_robot.h"
#include "ngx_http_otpreg_value.h"


typedef struct {
    ngx_str_t                   name;
    ngx_http_get_variable_pt    handler;
    uintptr_t                   data;
} ngx_http_otpreg_variable_t;


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

    { ngx_string("otpreg_site_name"), ngx_http_otpreg_variable_conf,
      NGX_HTTP_OTPREG_VAR_SITE_NAME },

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

    { ngx_string("otpreg_honeypot"), ngx_http_otpreg_robot_variable,
      NGX_HTTP_OTPREG_ROBOT_HONEYPOT },

    { ngx_string("otpreg_form_token"), ngx_http_otpreg_robot_variable,
      NGX_HTTP_OTPREG_ROBOT_TOKEN },

    { ngx_string("otpreg_challenge"), ngx_http_otpreg_challenge_variable, 0 },

    /* in the locations of services that are asked */

    { ngx_string("otpreg_challenge_token"), ngx_http_otpreg_callout_variable,
      NGX_HTTP_OTPREG_CALLOUT_CHALLENGE },

    { ngx_string("otpreg_password_prefix"), ngx_http_otpreg_callout_variable,
      NGX_HTTP_OTPREG_CALLOUT_BREACH },

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
