
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_callout.h"
#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_courier.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_flow.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_mail_limit.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_response_time.h"
#include "ngx_http_otpreg_robot.h"
#include "ngx_http_otpreg_sms_limit.h"
#include "ngx_http_otpreg_verdict.h"


static ngx_conf_num_bounds_t  ngx_http_otpreg_code_length_bounds = {
    ngx_conf_check_num_bounds, OTPREG_CODE_DIGITS_MIN, OTPREG_CODE_DIGITS_MAX
};

static ngx_conf_num_bounds_t  ngx_http_otpreg_code_attempts_bounds = {
    ngx_conf_check_num_bounds, 1, 100
};

/* NIST SP 800-63B-4 4.2.1.2: a code by mail lives for a day at most */

static ngx_http_otpreg_time_bounds_t  ngx_http_otpreg_code_lifetime_bounds = {
    ngx_http_otpreg_check_time, 1, 86400
};

static ngx_http_otpreg_time_bounds_t  ngx_http_otpreg_resend_delay_bounds = {
    ngx_http_otpreg_check_time, 0, 3600
};


static ngx_conf_enum_t  ngx_http_otpreg_channels[] = {
    { ngx_string("email"), OTPREG_CHANNEL_EMAIL },
    { ngx_string("sms"), OTPREG_CHANNEL_SMS },
    { ngx_null_string, 0 }
};


ngx_command_t  ngx_http_otpreg_commands[] = {

    { ngx_string("otpreg_thread_pools"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_thread_pools,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_register"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_OTPREG_PAGE,
      (void *) &ngx_http_otpreg_register_page },

    { ngx_string("otpreg_verify"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_OTPREG_PAGE,
      (void *) &ngx_http_otpreg_verify_page },

    { ngx_string("otpreg_resend"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_otpreg_set_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_OTPREG_PAGE,
      (void *) &ngx_http_otpreg_resend_page },

    { ngx_string("otpreg_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_otpreg_set_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_OTPREG_STATUS,
      NULL },

    { ngx_string("otpreg_register_uri"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, register_uri),
      NULL },

    { ngx_string("otpreg_verify_uri"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, verify_uri),
      NULL },

    { ngx_string("otpreg_resend_uri"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, resend_uri),
      NULL },

    { ngx_string("otpreg_login_uri"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, login_uri),
      NULL },

    { ngx_string("otpreg_site_name"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, site_name),
      NULL },

    { ngx_string("otpreg_database"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_database,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_key_file"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_key_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_site"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_site,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_fields"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE123,
      ngx_http_otpreg_set_fields,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_username_address"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, username_address),
      NULL },

    { ngx_string("otpreg_channel"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, channel),
      ngx_http_otpreg_channels },

    { ngx_string("otpreg_sms_countries"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_sms_countries,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_sms_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_sms_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_mail"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_couriers,
      NGX_HTTP_LOC_CONF_OFFSET,
      OTPREG_CHANNEL_EMAIL,
      NULL },

    { ngx_string("otpreg_sms"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_couriers,
      NGX_HTTP_LOC_CONF_OFFSET,
      OTPREG_CHANNEL_SMS,
      NULL },

    { ngx_string("otpreg_sms_text"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, sms_text),
      NULL },

    { ngx_string("otpreg_mail_text"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, mail_text),
      NULL },

    { ngx_string("otpreg_mail_html"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, mail_html),
      NULL },

    { ngx_string("otpreg_language"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_otpreg_set_language,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_smtp"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_smtp,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_courier_status"),
      NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_otpreg_set_courier_status,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_console"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_otpreg_set_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_OTPREG_COURIER,
      NULL },

    { ngx_string("otpreg_code_length"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, code_length),
      &ngx_http_otpreg_code_length_bounds },

    { ngx_string("otpreg_code_lifetime"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, code_lifetime),
      &ngx_http_otpreg_code_lifetime_bounds },

    { ngx_string("otpreg_code_attempts"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, code_attempts),
      &ngx_http_otpreg_code_attempts_bounds },

    { ngx_string("otpreg_verify_all"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, verify_all),
      NULL },

    { ngx_string("otpreg_resend_delay"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_sec_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, resend_delay),
      &ngx_http_otpreg_resend_delay_bounds },

    { ngx_string("otpreg_address_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_address_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_limit_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_limit_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_limit_networks"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_limit_networks,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_client_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_limits,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, client_limits),
      NULL },

    { ngx_string("otpreg_global_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_limits,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, global_limits),
      NULL },

    { ngx_string("otpreg_mail_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_mail_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, mail_limits.total),
      NULL },

    { ngx_string("otpreg_mail_domain_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_mail_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, mail_limits.domain),
      NULL },

    { ngx_string("otpreg_sms_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_sms_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_sms_prefix_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_sms_prefix_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_sms_verified_share"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_otpreg_set_sms_verified_share,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_password_length"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_otpreg_set_password_length,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_password_blocklist"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_password_blocklist,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_password_hash"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_otpreg_set_password_hash,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_honeypot"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_honeypot,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_form_time"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_otpreg_set_form_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_challenge"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_callout,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, challenge),
      NULL },

    { ngx_string("otpreg_response_time"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_response_time,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("otpreg_password_breach_check"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_otpreg_set_callout,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, breach),
      NULL },

    { ngx_string("otpreg_cookie_secure"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, cookie_secure),
      NULL },

    { ngx_string("otpreg_content_security_policy"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_otpreg_loc_conf_t, csp),
      NULL },

      ngx_null_command
};
