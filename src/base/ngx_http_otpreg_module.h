
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_MODULE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_otp.h"
#include "otpreg_str.h"


/*
 * The room "base": what every room of the nginx floor uses, and nothing that
 * is about one flow: the context of a request, jobs on thread pools, what a
 * configuration says, the cookie, header fields, metrics, secrets, options.
 * Not here: directives and defaults (conf), pages (flow), who may ask (guard),
 * messages (outbox).
 */


typedef struct ngx_http_otpreg_main_conf_s  ngx_http_otpreg_main_conf_t;
typedef struct ngx_http_otpreg_loc_conf_s  ngx_http_otpreg_loc_conf_t;
typedef struct ngx_http_otpreg_ctx_s  ngx_http_otpreg_ctx_t;
typedef struct ngx_http_otpreg_flow_s  ngx_http_otpreg_flow_t;
typedef struct ngx_http_otpreg_page_s  ngx_http_otpreg_page_t;
typedef struct ngx_http_otpreg_realm_s  ngx_http_otpreg_realm_t;
typedef struct ngx_http_otpreg_delivery_s  ngx_http_otpreg_delivery_t;
typedef struct ngx_http_otpreg_task_s  ngx_http_otpreg_task_t;
typedef struct ngx_http_otpreg_callout_s  ngx_http_otpreg_callout_t;
typedef struct ngx_http_otpreg_languages_s  ngx_http_otpreg_languages_t;


/* what a handler does next */
typedef void (*ngx_http_otpreg_next_pt)(ngx_http_request_t *r, void *data);

/* takes a piece of an answer */
typedef void (*ngx_http_otpreg_sink_pt)(void *data, const u_char *p,
    size_t len);


typedef enum {
    NGX_HTTP_OTPREG_POOL_HASH = 0,
    NGX_HTTP_OTPREG_POOL_DATABASE,
    NGX_HTTP_OTPREG_POOL_MAIL,
    NGX_HTTP_OTPREG_POOLS
} ngx_http_otpreg_pool_e;


/* mail and SMS: a courier, a template and a queue each */
#define NGX_HTTP_OTPREG_CHANNELS     2


static ngx_inline const char *
ngx_http_otpreg_channel_name(otpreg_channel_t channel)
{
    return (channel == OTPREG_CHANNEL_SMS) ? "sms" : "email";
}


static ngx_inline otpreg_str_t
ngx_http_otpreg_str(const ngx_str_t *s)
{
    return (otpreg_str_t) { s->data, s->len };
}


/* Unix milliseconds, for the order of ids only */

static ngx_inline uint64_t
ngx_http_otpreg_now_ms(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


extern ngx_module_t  ngx_http_otpreg_module;


#endif /* _NGX_HTTP_OTPREG_MODULE_H_INCLUDED_ */
