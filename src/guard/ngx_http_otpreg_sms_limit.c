
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_sms_limit.h"


#define NGX_HTTP_OTPREG_SMS_COUNT_MAX   1000000
#define NGX_HTTP_OTPREG_SMS_SHARE_MAX   1000

#define NGX_HTTP_OTPREG_SMS_UNSET       ((unsigned) -1)


typedef struct {
    ngx_str_t                   digits;         /* with "+" */
    ngx_uint_t                  refused;        /* unsigned  refused:1; */
} ngx_http_otpreg_sms_country_t;


/* about as much as a busy small site needs, and the most that a bill grows */

static otpreg_store_limits_t  ngx_http_otpreg_sms_total = {
    0, 2, { { 200, 3600 }, { 1000, 86400 } }
};

static otpreg_store_limits_t  ngx_http_otpreg_sms_prefix = {
    0, 2, { { 20, 3600 }, { 50, 86400 } }
};


void
ngx_http_otpreg_create_sms_limits(ngx_http_otpreg_loc_conf_t *conf)
{
    conf->sms_limits.total = NGX_CONF_UNSET_PTR;
    conf->sms_limits.prefix = NGX_CONF_UNSET_PTR;
    conf->sms_limits.share = NGX_HTTP_OTPREG_SMS_UNSET;
}


char *
ngx_http_otpreg_set_sms_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    if (olcf->sms_limits.total != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    /* it is counted by minutes */

    olcf->sms_limits.total = ngx_http_otpreg_budget_parse(cf, 1,
                                            NGX_HTTP_OTPREG_SMS_COUNT_MAX, 60);

    return olcf->sms_limits.total ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* "digits=7 20/h 50/d", or "digits=7 off" */

char *
ngx_http_otpreg_set_sms_prefix_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_int_t    digits;
    ngx_str_t   *value, option;
    ngx_uint_t   first;

    if (olcf->sms_limits.prefix != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    digits = 7;
    first = 1;

    if (ngx_http_otpreg_option(&value[1], "digits", &option)) {

        digits = ngx_atoi(option.data, option.len);

        if (digits < 1 || digits > OTPREG_PHONE_DIGITS_MAX
            || cf->args->nelts == 2)
        {
            return ngx_http_otpreg_invalid(cf, &value[1]);
        }

        first = 2;
    }

    olcf->sms_limits.digits = digits;

    olcf->sms_limits.prefix = ngx_http_otpreg_budget_parse(cf, first,
                                             NGX_HTTP_OTPREG_SMS_COUNT_MAX, 1);

    return olcf->sms_limits.prefix ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* "10% of=20", or "off" */

char *
ngx_http_otpreg_set_sms_verified_share(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_int_t   share, of;
    ngx_str_t  *value, option;

    if (olcf->sms_limits.share != NGX_HTTP_OTPREG_SMS_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        olcf->sms_limits.share = 0;
        return NGX_CONF_OK;
    }

    share = ngx_http_otpreg_percent(&value[1]);

    if (share == NGX_ERROR) {
        return ngx_http_otpreg_invalid(cf, &value[1]);
    }

    of = 20;

    if (cf->args->nelts == 3) {

        of = ngx_http_otpreg_option(&value[2], "of", &option)
             ? ngx_atoi(option.data, option.len) : NGX_ERROR;

        if (of < 1 || of > NGX_HTTP_OTPREG_SMS_SHARE_MAX) {
            return ngx_http_otpreg_invalid(cf, &value[2]);
        }
    }

    olcf->sms_limits.share = share;
    olcf->sms_limits.share_of = of;

    return NGX_CONF_OK;
}


void
ngx_http_otpreg_merge_sms_limits(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev)
{
    otpreg_store_sms_limits_t  *limits, *from;

    limits = &conf->sms_limits;
    from = &prev->sms_limits;

    ngx_conf_merge_ptr_value(limits->total, from->total,
                             &ngx_http_otpreg_sms_total);

    if (limits->prefix == NGX_CONF_UNSET_PTR) {
        limits->digits = from->digits ? from->digits : 7;
    }

    ngx_conf_merge_ptr_value(limits->prefix, from->prefix,
                             &ngx_http_otpreg_sms_prefix);

    if (limits->share == NGX_HTTP_OTPREG_SMS_UNSET) {
        limits->share = from->share;
        limits->share_of = from->share_of;
    }

    if (limits->share == NGX_HTTP_OTPREG_SMS_UNSET) {
        limits->share = 10;
        limits->share_of = 20;
    }

    limits->lifetime = conf->code_lifetime;
}


/* "+44 !+4470": "!" is for numbers that get nothing */

char *
ngx_http_otpreg_set_sms_countries(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_str_t                      *value, digits;
    ngx_uint_t                      i, k, refused;
    ngx_http_otpreg_sms_country_t  *country;

    if (olcf->countries != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    olcf->countries = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                       sizeof(ngx_http_otpreg_sms_country_t));
    if (olcf->countries == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        digits = value[i];
        refused = (digits.len != 0 && digits.data[0] == '!');

        digits.data += refused;
        digits.len -= refused;

        if (digits.len < 2 || digits.len > OTPREG_PHONE_MAX
            || digits.data[0] != '+' || digits.data[1] == '0')
        {
            return ngx_http_otpreg_invalid(cf, &value[i]);
        }

        for (k = 1; k < digits.len; k++) {
            if (digits.data[k] < '0' || digits.data[k] > '9') {
                return ngx_http_otpreg_invalid(cf, &value[i]);
            }
        }

        country = ngx_array_push(olcf->countries);
        if (country == NULL) {
            return NGX_CONF_ERROR;
        }

        country->digits = digits;
        country->refused = refused;
    }

    return NGX_CONF_OK;
}


/* the longest prefix decides; what has none is in if only "!" are listed */

ngx_uint_t
ngx_http_otpreg_sms_is_allowed(ngx_http_otpreg_loc_conf_t *conf,
    const char *number)
{
    size_t                          longest;
    ngx_uint_t                      i, allowed, only_refused;
    ngx_http_otpreg_sms_country_t  *country;

    if (conf->countries == NULL) {
        return 1;
    }

    longest = 0;
    allowed = 0;
    only_refused = 1;
    country = conf->countries->elts;

    for (i = 0; i < conf->countries->nelts; i++) {

        only_refused &= country[i].refused;

        if (country[i].digits.len > longest
            && ngx_strncmp(number, country[i].digits.data,
                           country[i].digits.len) == 0)
        {
            longest = country[i].digits.len;
            allowed = !country[i].refused;
        }
    }

    return longest ? allowed : only_refused;
}
