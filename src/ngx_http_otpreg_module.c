
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_form.h"

#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_release.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_secret.h"
#include "ngx_http_otpreg_service.h"
#include "ngx_http_otpreg_sms_limit.h"


#define NGX_HTTP_OTPREG_CSP                                                   \
    "default-src 'self'; base-uri 'none'; object-src 'none'; "                \
    "frame-ancestors 'none'"


static ngx_int_t ngx_http_otpreg_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_otpreg_init_process(ngx_cycle_t *cycle);
static void ngx_http_otpreg_exit_process(ngx_cycle_t *cycle);
static void *ngx_http_otpreg_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_otpreg_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_otpreg_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_otpreg_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void ngx_http_otpreg_inherit_handler(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *prev, ngx_http_otpreg_loc_conf_t *conf);
static char *ngx_http_otpreg_merge_value(ngx_conf_t *cf,
    ngx_http_complex_value_t **conf, ngx_http_complex_value_t *prev,
    const char *value);
static void ngx_http_otpreg_ctx_cleanup(void *data);


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


/* with 5 attempts a code: 50 guesses a day at one address */

static otpreg_store_limits_t  ngx_http_otpreg_address_limit = {
    2, { { 5, 3600 }, { 10, 86400 } }
};


static ngx_conf_enum_t  ngx_http_otpreg_channels[] = {
    { ngx_string("email"), OTPREG_CHANNEL_EMAIL },
    { ngx_string("sms"), OTPREG_CHANNEL_SMS },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_otpreg_commands[] = {

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
      NGX_HTTP_OTPREG_REGISTER,
      NULL },

    { ngx_string("otpreg_verify"),
      NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_otpreg_set_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_OTPREG_VERIFY,
      NULL },

    { ngx_string("otpreg_resend"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      ngx_http_otpreg_set_handler,
      NGX_HTTP_LOC_CONF_OFFSET,
      NGX_HTTP_OTPREG_RESEND,
      NULL },

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
      ngx_http_otpreg_set_ask,
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
      ngx_http_otpreg_set_ask,
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


static ngx_http_module_t  ngx_http_otpreg_module_ctx = {
    ngx_http_otpreg_preconfiguration,      /* preconfiguration */
    NULL,                                  /* postconfiguration */

    ngx_http_otpreg_create_main_conf,      /* create main configuration */
    ngx_http_otpreg_init_main_conf,        /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_otpreg_create_loc_conf,       /* create location configuration */
    ngx_http_otpreg_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_otpreg_module = {
    NGX_MODULE_V1,
    &ngx_http_otpreg_module_ctx,           /* module context */
    ngx_http_otpreg_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_otpreg_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_otpreg_exit_process,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_otpreg_preconfiguration(ngx_conf_t *cf)
{
    if (sodium_init() == -1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "otpreg: sodium_init() failed");
        return NGX_ERROR;
    }

    return ngx_http_otpreg_add_variables(cf);
}


static ngx_int_t
ngx_http_otpreg_init_process(ngx_cycle_t *cycle)
{
    ngx_http_otpreg_main_conf_t  *omcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_otpreg_module);

    if (omcf == NULL) {
        return NGX_OK;
    }

    ngx_http_otpreg_metric_init_process(omcf);

    if (omcf->services.nelts == 0) {
        return NGX_OK;
    }

    otpreg_form_init();

    if (!otpreg_store_init()) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "otpreg: mysql_library_init() failed");
        return NGX_ERROR;
    }

    if (!otpreg_smtp_init()) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "otpreg: curl_global_init() failed");
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_secret_lock(omcf) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "otpreg: secrets cannot be locked into memory");
    }

    if (ngx_http_otpreg_release_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_otpreg_dispatch_init(cycle, omcf);
}


/* nginx has told its pool threads to end by now */

static void
ngx_http_otpreg_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_otpreg_main_conf_t  *omcf;

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_otpreg_module);

    if (omcf != NULL && omcf->services.nelts != 0) {
        ngx_http_otpreg_release_exit();
        otpreg_smtp_exit();
        otpreg_store_exit();
    }
}


static void *
ngx_http_otpreg_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_otpreg_main_conf_t  *omcf;

    /*
     * set by ngx_pcalloc():
     *
     *     omcf->pool_names = { { 0, NULL } };
     *     omcf->pools = { NULL };
     *     omcf->metrics = omcf->limit_zone = NULL;
     *     omcf->limit_zone_size = 0;
     */

    omcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_otpreg_main_conf_t));
    if (omcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&omcf->services, cf->pool, 2,
                       sizeof(ngx_http_otpreg_service_t *))
        != NGX_OK
        || ngx_array_init(&omcf->secrets, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NULL;
    }

    return omcf;
}


static char *
ngx_http_otpreg_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_otpreg_main_conf_t *omcf = conf;

    ngx_str_t   name;
    ngx_uint_t  i;

    static ngx_str_t  names[] = {
        ngx_string("otpreg_hash"),
        ngx_string("otpreg_database"),
        ngx_string("otpreg_mail")
    };

    for (i = 0; i < NGX_HTTP_OTPREG_POOLS; i++) {
        if (omcf->pool_names[i].data == NULL) {
            omcf->pool_names[i] = names[i];
        }
    }

    ngx_str_set(&name, "otpreg_lang");

    omcf->lang_index = ngx_http_get_variable_index(cf, &name);

    return (omcf->lang_index == NGX_ERROR) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


static void *
ngx_http_otpreg_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_otpreg_loc_conf_t  *olcf;

    /*
     * set by ngx_pcalloc():
     *
     *     olcf->role = NGX_HTTP_OTPREG_NONE;
     *     olcf->handler = NULL;
     *     olcf->page = NULL;
     *     olcf->site = olcf->sms_origin = olcf->honeypot = { 0, NULL };
     *     olcf->form_max = 0;
     *     olcf->once = NULL;
     *     olcf->identifiers = { NGX_HTTP_OTPREG_ABSENT };
     *     olcf->service = NULL;
     */

    olcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_otpreg_loc_conf_t));
    if (olcf == NULL) {
        return NULL;
    }

    olcf->register_uri = NGX_CONF_UNSET_PTR;
    olcf->verify_uri = NGX_CONF_UNSET_PTR;
    olcf->resend_uri = NGX_CONF_UNSET_PTR;
    olcf->login_uri = NGX_CONF_UNSET_PTR;
    olcf->database = NGX_CONF_UNSET_PTR;
    olcf->keys = NGX_CONF_UNSET_PTR;
    olcf->channel = NGX_CONF_UNSET_UINT;
    olcf->countries = NGX_CONF_UNSET_PTR;
    olcf->couriers[OTPREG_CHANNEL_EMAIL - 1] = NGX_CONF_UNSET_PTR;
    olcf->couriers[OTPREG_CHANNEL_SMS - 1] = NGX_CONF_UNSET_PTR;
    olcf->sms_text = NGX_CONF_UNSET_PTR;
    olcf->mail_text = NGX_CONF_UNSET_PTR;
    olcf->mail_html = NGX_CONF_UNSET_PTR;
    olcf->code_length = NGX_CONF_UNSET_UINT;
    olcf->code_lifetime = NGX_CONF_UNSET;
    olcf->code_attempts = NGX_CONF_UNSET_UINT;
    olcf->resend_delay = NGX_CONF_UNSET;
    olcf->limits = NGX_CONF_UNSET_PTR;
    ngx_http_otpreg_create_sms_limits(olcf);
    olcf->password_min = NGX_CONF_UNSET_UINT;
    olcf->password_max = NGX_CONF_UNSET_UINT;
    olcf->blocklist = NGX_CONF_UNSET_PTR;
    olcf->hash_memory = NGX_CONF_UNSET_SIZE;
    olcf->hash_operations = NGX_CONF_UNSET_UINT;
    olcf->verify_all = NGX_CONF_UNSET;
    olcf->form_min = NGX_CONF_UNSET_MSEC;
    olcf->challenge = NGX_CONF_UNSET_PTR;
    olcf->response_time = NGX_CONF_UNSET_MSEC;
    olcf->breach = NGX_CONF_UNSET_PTR;
    olcf->cookie_secure = NGX_CONF_UNSET;
    olcf->csp = NGX_CONF_UNSET_PTR;
    olcf->languages = NGX_CONF_UNSET_PTR;
    olcf->smtp = NGX_CONF_UNSET_PTR;

    ngx_http_otpreg_limit_unset(olcf);

    return olcf;
}


static char *
ngx_http_otpreg_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_otpreg_loc_conf_t *prev = parent;
    ngx_http_otpreg_loc_conf_t *conf = child;

    ngx_http_otpreg_inherit_handler(cf, prev, conf);

    if (ngx_http_otpreg_merge_value(cf, &conf->register_uri,
                                    prev->register_uri, "/register")
        || ngx_http_otpreg_merge_value(cf, &conf->verify_uri,
                                       prev->verify_uri, "/verify-otp")
        || ngx_http_otpreg_merge_value(cf, &conf->resend_uri,
                                       prev->resend_uri, "/resend-otp")
        || ngx_http_otpreg_merge_value(cf, &conf->login_uri,
                                       prev->login_uri, "/login")
        || ngx_http_otpreg_merge_value(cf, &conf->csp, prev->csp,
                                       NGX_HTTP_OTPREG_CSP))
    {
        return NGX_CONF_ERROR;
    }

    ngx_conf_merge_ptr_value(conf->database, prev->database, NULL);
    ngx_conf_merge_ptr_value(conf->keys, prev->keys, NULL);
    ngx_conf_merge_str_value(conf->site, prev->site, "default");
    ngx_http_otpreg_merge_fields(conf, prev);
    ngx_conf_merge_uint_value(conf->channel, prev->channel,
                              OTPREG_CHANNEL_EMAIL);
    ngx_conf_merge_ptr_value(conf->countries, prev->countries, NULL);
    ngx_conf_merge_ptr_value(conf->couriers[OTPREG_CHANNEL_EMAIL - 1],
                             prev->couriers[OTPREG_CHANNEL_EMAIL - 1], NULL);
    ngx_conf_merge_ptr_value(conf->couriers[OTPREG_CHANNEL_SMS - 1],
                             prev->couriers[OTPREG_CHANNEL_SMS - 1], NULL);
    ngx_conf_merge_ptr_value(conf->sms_text, prev->sms_text, NULL);
    ngx_conf_merge_str_value(conf->sms_origin, prev->sms_origin, "");
    ngx_conf_merge_ptr_value(conf->mail_text, prev->mail_text, NULL);
    ngx_conf_merge_ptr_value(conf->mail_html, prev->mail_html, NULL);
    ngx_conf_merge_uint_value(conf->code_length, prev->code_length, 6);
    ngx_conf_merge_sec_value(conf->code_lifetime, prev->code_lifetime, 600);
    ngx_conf_merge_uint_value(conf->code_attempts, prev->code_attempts, 5);
    ngx_conf_merge_sec_value(conf->resend_delay, prev->resend_delay, 60);
    ngx_conf_merge_ptr_value(conf->limits, prev->limits,
                             &ngx_http_otpreg_address_limit);
    ngx_http_otpreg_limit_merge(conf, prev);
    ngx_http_otpreg_merge_sms_limits(conf, prev);
    ngx_conf_merge_uint_value(conf->password_min, prev->password_min, 15);
    ngx_conf_merge_uint_value(conf->password_max, prev->password_max, 128);
    ngx_conf_merge_ptr_value(conf->blocklist, prev->blocklist, NULL);
    ngx_conf_merge_size_value(conf->hash_memory, prev->hash_memory,
                              64 * 1024 * 1024);
    ngx_conf_merge_uint_value(conf->hash_operations, prev->hash_operations, 2);
    ngx_conf_merge_value(conf->verify_all, prev->verify_all, 0);
    ngx_conf_merge_str_value(conf->honeypot, prev->honeypot, "homepage");

    if (conf->form_min == NGX_CONF_UNSET_MSEC
        && prev->form_min != NGX_CONF_UNSET_MSEC)
    {
        conf->form_min = prev->form_min;
        conf->form_max = prev->form_max;
        conf->once = prev->once;
    }

    ngx_conf_init_msec_value(conf->form_min, 0);
    ngx_conf_merge_ptr_value(conf->challenge, prev->challenge, NULL);
    ngx_conf_merge_msec_value(conf->response_time, prev->response_time, 500);
    ngx_conf_merge_ptr_value(conf->breach, prev->breach, NULL);
    ngx_conf_merge_value(conf->cookie_secure, prev->cookie_secure, 1);
    ngx_conf_merge_ptr_value(conf->languages, prev->languages, NULL);
    ngx_conf_merge_ptr_value(conf->smtp, prev->smtp, NULL);

    if (ngx_http_otpreg_service_complete(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* "if" and "limit_except" are locations of their own to nginx */

static void
ngx_http_otpreg_inherit_handler(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *prev, ngx_http_otpreg_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (!clcf->noname || clcf->handler != NULL
        || prev->role == NGX_HTTP_OTPREG_NONE)
    {
        return;
    }

    clcf->handler = prev->handler;

    conf->handler = prev->handler;
    conf->role = prev->role;
    conf->page = prev->page;
    conf->file = prev->file;
    conf->line = prev->line;
}


/* returns NULL, or NGX_CONF_ERROR */

static char *
ngx_http_otpreg_merge_value(ngx_conf_t *cf, ngx_http_complex_value_t **conf,
    ngx_http_complex_value_t *prev, const char *value)
{
    if (*conf != NGX_CONF_UNSET_PTR) {
        return NULL;
    }

    if (prev != NGX_CONF_UNSET_PTR) {
        *conf = prev;
        return NULL;
    }

    *conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (*conf == NULL) {
        return NGX_CONF_ERROR;
    }

    (*conf)->value.data = (u_char *) value;
    (*conf)->value.len = ngx_strlen(value);

    return NULL;
}


/*
 * An internal redirect clears the contexts of a request, but not its pool: the
 * cleanup handler is the mark by which the context is found again.
 */

ngx_http_otpreg_ctx_t *
ngx_http_otpreg_get_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_otpreg_ctx_t  *ctx;

    r = r->main;

    ctx = ngx_http_get_module_ctx(r, ngx_http_otpreg_module);

    if (ctx != NULL || !r->internal) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_otpreg_ctx_cleanup) {
            ctx = cln->data;
            ngx_http_set_ctx(r, ctx, ngx_http_otpreg_module);
            return ctx;
        }
    }

    return NULL;
}


ngx_http_otpreg_ctx_t *
ngx_http_otpreg_make_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t     *cln;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);
    if (ctx != NULL) {
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_otpreg_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_otpreg_ctx_t));

    cln->handler = ngx_http_otpreg_ctx_cleanup;

    ngx_http_set_ctx(r, ctx, ngx_http_otpreg_module);

    return ctx;
}


static void
ngx_http_otpreg_ctx_cleanup(void *data)
{
    ngx_http_otpreg_ctx_t *ctx = data;

    ngx_http_otpreg_release_cancel(ctx);

    /* a form that no handler came to wipe */

    ngx_http_otpreg_wipe_body(ctx);

    if (ctx->form.data != NULL) {
        sodium_memzero(ctx->form.data, ctx->form.len);
    }

    sodium_memzero(&ctx->ticket, sizeof(otpreg_ticket_t));
}


ngx_thread_pool_t *
ngx_http_otpreg_pool(ngx_http_request_t *r, ngx_http_otpreg_pool_e kind)
{
    ngx_http_otpreg_main_conf_t  *omcf;

    omcf = ngx_http_get_module_main_conf(r, ngx_http_otpreg_module);

    return omcf->pools[kind];
}
