
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_verdict.h"


#define NGX_HTTP_OTPREG_BACKOFF_MIN   2000U     /* ms */
#define NGX_HTTP_OTPREG_BACKOFF_MAX   30000U
#define NGX_HTTP_OTPREG_RETRY_MAX     3600000   /* of a Retry-After */


static void ngx_http_otpreg_result_decide(ngx_http_otpreg_delivery_t *d);
static unsigned ngx_http_otpreg_result_backoff(unsigned attempts);
static void ngx_http_otpreg_result_count(ngx_http_otpreg_delivery_t *d);
static void ngx_http_otpreg_result_log(ngx_http_otpreg_delivery_t *d);


void
ngx_http_otpreg_deliver_result(ngx_http_otpreg_delivery_t *d)
{
    if (d->step != NGX_HTTP_OTPREG_STEP_END) {
        ngx_http_otpreg_result_decide(d);
    }

    ngx_http_otpreg_result_count(d);
    ngx_http_otpreg_result_log(d);
}


static void
ngx_http_otpreg_result_decide(ngx_http_otpreg_delivery_t *d)
{
    ngx_uint_t                 answered;
    ngx_http_otpreg_verdict_e  verdict;

    answered = (d->step == NGX_HTTP_OTPREG_STEP_COURIER && d->answered);

    verdict = answered ? ngx_http_otpreg_verdict(d->asked, d->status)
                       : NGX_HTTP_OTPREG_VERDICT_LATER;

    if (verdict == NGX_HTTP_OTPREG_VERDICT_SENT) {
        d->result = OTPREG_STORE_SENT;
        return;
    }

    ngx_http_otpreg_deliver_reason(d);

    if (verdict == NGX_HTTP_OTPREG_VERDICT_NEXT
        || verdict == NGX_HTTP_OTPREG_VERDICT_REFUSED)
    {
        d->result = OTPREG_STORE_GIVEN_UP;
        return;
    }

    if (d->unsent && d->courier == 0) {
        d->result = OTPREG_STORE_UNSENT;
        d->delay_ms = ngx_http_otpreg_result_backoff(1);
        return;
    }

    if (verdict == NGX_HTTP_OTPREG_VERDICT_FAULT) {
        d->fault = 1;
    }

    d->result = OTPREG_STORE_LATER;
    d->delay_ms = ngx_http_otpreg_result_backoff(d->message.attempts);

    if (answered && d->retry_after > 0) {
        d->delay_ms = ngx_max(d->delay_ms,
                              ngx_min((ngx_msec_t) d->retry_after * 1000,
                                      NGX_HTTP_OTPREG_RETRY_MAX));
    }
}


/* unless a courier of ours has told it */

void
ngx_http_otpreg_deliver_reason(ngx_http_otpreg_delivery_t *d)
{
    if (d->reason[0] != '\0') {
        return;
    }

    if (d->step == NGX_HTTP_OTPREG_STEP_COURIER && d->answered) {
        ngx_snprintf(d->reason, OTPREG_REASON_MAX,
                     "the courier answered %ui%Z", d->status);

    } else {
        ngx_sprintf(d->reason, "broken off%Z");
    }
}


/* exponential, with jitter: between a half and the whole of it */

static unsigned
ngx_http_otpreg_result_backoff(unsigned attempts)
{
    unsigned  ms;

    ms = NGX_HTTP_OTPREG_BACKOFF_MAX;

    if (attempts < 5) {
        ms = ngx_min(ms, NGX_HTTP_OTPREG_BACKOFF_MIN << (attempts - 1));
    }

    return ms / 2 + randombytes_uniform(ms / 2 + 1);
}


static void
ngx_http_otpreg_result_count(ngx_http_otpreg_delivery_t *d)
{
    ngx_uint_t  metric;

    switch (d->result) {

    case OTPREG_STORE_SENT:
        metric = NGX_HTTP_OTPREG_METRIC_MAIL_SENT;
        break;

    case OTPREG_STORE_UNSENT:
        return;

    case OTPREG_STORE_LATER:
        metric = NGX_HTTP_OTPREG_METRIC_MAIL_LATER;
        break;

    default:                            /* OTPREG_STORE_GIVEN_UP */

        if (d->message.obsolete) {
            return;
        }

        metric = NGX_HTTP_OTPREG_METRIC_MAIL_GIVEN_UP;
    }

    /* those of SMS come next to those of mail */

    ngx_http_otpreg_metric_add(metric + d->message.otp.channel
                               - OTPREG_CHANNEL_EMAIL, 1);
}


static void
ngx_http_otpreg_result_log(ngx_http_otpreg_delivery_t *d)
{
    u_char      hex[OTPREG_ID_LEN * 2];
    ngx_str_t   id;
    ngx_uint_t  level;

    id.data = hex;
    id.len = sizeof(hex);
    ngx_hex_dump(hex, d->message.id, OTPREG_ID_LEN);

    switch (d->result) {

    case OTPREG_STORE_SENT:
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "otpreg: message %V sent, attempt %ui",
                      &id, (ngx_uint_t) d->message.attempts);
        break;

    case OTPREG_STORE_UNSENT:
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "otpreg: message %V waited for too long: %s; "
                      "next in %ui ms",
                      &id, d->reason, (ngx_uint_t) d->delay_ms);
        break;

    case OTPREG_STORE_LATER:
        level = d->fault ? NGX_LOG_ERR : NGX_LOG_WARN;
        ngx_log_error(level, ngx_cycle->log, 0,
                      "otpreg: message %V not sent, attempt %ui: %s; "
                      "next in %ui ms",
                      &id, (ngx_uint_t) d->message.attempts, d->reason,
                      (ngx_uint_t) d->delay_ms);
        break;

    case OTPREG_STORE_GIVEN_UP:
        level = d->message.obsolete ? NGX_LOG_INFO : NGX_LOG_ERR;
        ngx_log_error(level, ngx_cycle->log, 0,
                      "otpreg: message %V given up, attempt %ui: %s",
                      &id, (ngx_uint_t) d->message.attempts, d->reason);
        break;
    }
}
