
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_refusal.h"


/* the last digits of a number are in no log */
#define NGX_HTTP_OTPREG_REFUSAL_HIDDEN  4

/* between two lines about one scope, milliseconds */
#define NGX_HTTP_OTPREG_REFUSAL_PAUSE   60000


typedef struct {
    ngx_http_otpreg_metric_e    metric;
    const char                 *why;
    ngx_msec_t                  logged;         /* 0: never */
    ngx_uint_t                  unsaid;         /* since then */
} ngx_http_otpreg_refusals_t;


/* of this worker */

static ngx_http_otpreg_refusals_t
    ngx_http_otpreg_refusals[OTPREG_STORE_SCOPES] =
{
    [OTPREG_STORE_SMS_TOTAL] = {
        NGX_HTTP_OTPREG_METRIC_SMS_REFUSED_TOTAL,
        "\"otpreg_sms_limit\" is reached", 0, 0 },

    [OTPREG_STORE_SMS_PREFIX] = {
        NGX_HTTP_OTPREG_METRIC_SMS_REFUSED_PREFIX,
        "\"otpreg_sms_prefix_limit\" is reached", 0, 0 },

    [OTPREG_STORE_SMS_SHARE] = {
        NGX_HTTP_OTPREG_METRIC_SMS_REFUSED_SHARE,
        "fewer codes are verified than \"otpreg_sms_verified_share\"", 0, 0 },

    [OTPREG_STORE_SMS_COUNTRY] = {
        NGX_HTTP_OTPREG_METRIC_SMS_REFUSED_COUNTRY,
        "\"otpreg_sms_countries\" excludes it", 0, 0 },

    [OTPREG_STORE_MAIL_TOTAL] = {
        NGX_HTTP_OTPREG_METRIC_MAIL_REFUSED_TOTAL,
        "\"otpreg_mail_limit\" is reached", 0, 0 },

    [OTPREG_STORE_MAIL_DOMAIN] = {
        NGX_HTTP_OTPREG_METRIC_MAIL_REFUSED_DOMAIN,
        "\"otpreg_mail_domain_limit\" is reached", 0, 0 }
};


void
ngx_http_otpreg_refused(ngx_http_otpreg_loc_conf_t *conf,
    otpreg_store_scope_t scope, const char *address)
{
    ngx_str_t                    to;
    const char                  *domain;
    ngx_http_otpreg_refusals_t  *refusals;

    if (scope == OTPREG_STORE_FREE) {
        return;
    }

    refusals = &ngx_http_otpreg_refusals[scope];

    ngx_http_otpreg_metric_add(refusals->metric, 1);

    if (refusals->logged != 0
        && ngx_current_msec - refusals->logged < NGX_HTTP_OTPREG_REFUSAL_PAUSE)
    {
        refusals->unsaid++;
        return;
    }

    to.data = (u_char *) address;
    to.len = ngx_strlen(address);

    domain = ngx_strchr(address, '@');

    if (domain != NULL) {
        to.data = (u_char *) domain;
        to.len = ngx_strlen(domain);

    } else {
        to.len = ngx_min(1 + conf->sms_limits.digits,
                         to.len - NGX_HTTP_OTPREG_REFUSAL_HIDDEN);
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "otpreg: no %s to %s%V%s of site \"%V\": %s; "
                  "%ui more such refusals before",
                  domain ? "mail" : "SMS", domain ? "***" : "", &to,
                  domain ? "" : "***", &conf->site, refusals->why,
                  refusals->unsaid);

    refusals->logged = ngx_max(ngx_current_msec, 1);
    refusals->unsaid = 0;
}
