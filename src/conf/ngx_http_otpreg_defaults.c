
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_mail_limit.h"
#include "ngx_http_otpreg_realm.h"
#include "ngx_http_otpreg_sms_limit.h"


#define NGX_HTTP_OTPREG_CSP                                                   \
    "default-src 'self'; base-uri 'none'; object-src 'none'; "                \
    "frame-ancestors 'none'"


static void ngx_http_otpreg_inherit_handler(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *prev, ngx_http_otpreg_loc_conf_t *conf);
static char *ngx_http_otpreg_merge_value(ngx_conf_t *cf,
    ngx_http_complex_value_t **conf, ngx_http_complex_value_t *prev,
    const char *value);


void *
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
     *     omcf->limit_networks = { { 0, 0 } };
     */

    omcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_otpreg_main_conf_t));
    if (omcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&omcf->realms, cf->pool, 2,
                       sizeof(ngx_http_otpreg_realm_t *))
        != NGX_OK
        || ngx_array_init(&omcf->databases, cf->pool, 2,
                          sizeof(otpreg_db_conf_t *))
           != NGX_OK
        || ngx_array_init(&omcf->secrets, cf->pool, 4, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NULL;
    }

    omcf->nlimit_networks = NGX_CONF_UNSET_UINT;

    return omcf;
}


char *
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

    ngx_http_otpreg_limit_default_networks(omcf);

    ngx_str_set(&name, "otpreg_lang");

    omcf->lang_index = ngx_http_get_variable_index(cf, &name);

    return (omcf->lang_index == NGX_ERROR) ? NGX_CONF_ERROR : NGX_CONF_OK;
}


void *
ngx_http_otpreg_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_otpreg_loc_conf_t  *olcf;

    /*
     * set by ngx_pcalloc():
     *
     *     olcf->role = NGX_HTTP_OTPREG_NONE;
     *     olcf->handler = NULL;
     *     olcf->page = NULL;
     *     olcf->page_uri = NULL;
     *     olcf->site = olcf->sms_origin = olcf->honeypot = { 0, NULL };
     *     olcf->form_max = 0;
     *     olcf->used_forms = NULL;
     *     olcf->identifiers = { NGX_HTTP_OTPREG_ABSENT };
     *     olcf->realm = NULL;
     */

    olcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_otpreg_loc_conf_t));
    if (olcf == NULL) {
        return NULL;
    }

    olcf->register_uri = NGX_CONF_UNSET_PTR;
    olcf->verify_uri = NGX_CONF_UNSET_PTR;
    olcf->resend_uri = NGX_CONF_UNSET_PTR;
    olcf->login_uri = NGX_CONF_UNSET_PTR;
    olcf->site_name = NGX_CONF_UNSET_PTR;
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
    ngx_http_otpreg_create_mail_limits(olcf);
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
    olcf->username_address = NGX_CONF_UNSET;
    olcf->cookie_secure = NGX_CONF_UNSET;
    olcf->csp = NGX_CONF_UNSET_PTR;
    olcf->languages = NGX_CONF_UNSET_PTR;
    olcf->smtp = NGX_CONF_UNSET_PTR;
    olcf->rules = NGX_CONF_UNSET_PTR;

    ngx_http_otpreg_limit_unset(olcf);

    return olcf;
}


char *
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
        || ngx_http_otpreg_merge_value(cf, &conf->site_name,
                                       prev->site_name, "")
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
    ngx_http_otpreg_merge_address_limit(conf, prev);
    ngx_http_otpreg_limit_merge(conf, prev);
    ngx_http_otpreg_merge_sms_limits(conf, prev);
    ngx_http_otpreg_merge_mail_limits(conf, prev);
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
        conf->used_forms = prev->used_forms;
    }

    ngx_conf_init_msec_value(conf->form_min, 0);
    ngx_conf_merge_ptr_value(conf->challenge, prev->challenge, NULL);
    ngx_conf_merge_msec_value(conf->response_time, prev->response_time, 500);
    ngx_conf_merge_ptr_value(conf->breach, prev->breach, NULL);
    ngx_conf_merge_value(conf->username_address, prev->username_address, 0);
    ngx_conf_merge_value(conf->cookie_secure, prev->cookie_secure, 1);
    ngx_conf_merge_ptr_value(conf->languages, prev->languages, NULL);
    ngx_conf_merge_ptr_value(conf->smtp, prev->smtp, NULL);
    ngx_conf_merge_ptr_value(conf->rules, prev->rules, NULL);

    if (ngx_http_otpreg_realm_complete(cf, conf) != NGX_OK) {
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
    conf->page_uri = prev->page_uri;
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
