
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_background.h"
#include "ngx_http_otpreg_callout.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_task.h"


#define NGX_HTTP_OTPREG_CALLOUT_TIME_MIN  100       /* milliseconds */
#define NGX_HTTP_OTPREG_CALLOUT_TIME_MAX  30000


static char *ngx_http_otpreg_set_callout_when(ngx_conf_t *cf,
    ngx_http_otpreg_callout_conf_t *conf, ngx_str_t *arg, ngx_str_t *value);
static void ngx_http_otpreg_callout_start(ngx_http_otpreg_callout_t *callout,
    ngx_http_otpreg_loc_conf_t *olcf);
static ngx_int_t ngx_http_otpreg_callout_answer(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);
static ngx_uint_t ngx_http_otpreg_callout_is_complete(ngx_http_request_t *sr);
static void ngx_http_otpreg_callout_sink(void *data, const u_char *p,
    size_t len);
static void ngx_http_otpreg_callout_wake(ngx_http_request_t *r);
static void ngx_http_otpreg_callout_freed(void *data);
static void ngx_http_otpreg_callout_over(ngx_event_t *ev);
static void ngx_http_otpreg_callout_resume(ngx_http_request_t *r, void *data);


/* cmd->offset is where it goes */

char *
ngx_http_otpreg_set_callout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t                         time;
    ngx_str_t                        *value, option;
    ngx_uint_t                        i, challenge;
    ngx_http_otpreg_callout_conf_t  **to, *callout;

    to = (ngx_http_otpreg_callout_conf_t **) (p + cmd->offset);

    if (*to != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        *to = NULL;
        return NGX_CONF_OK;
    }

    if (value[1].len == 0 || value[1].data[0] != '/') {
        return ngx_http_otpreg_invalid(cf, &value[1]);
    }

    callout = ngx_pcalloc(cf->pool, sizeof(ngx_http_otpreg_callout_conf_t));
    if (callout == NULL) {
        return NGX_CONF_ERROR;
    }

    challenge = (cmd->offset == offsetof(ngx_http_otpreg_loc_conf_t,
                                         challenge));

    callout->uri = value[1];
    callout->time = challenge ? 5000 : 2000;
    callout->open = !challenge;

    for (i = 2; i < cf->args->nelts; i++) {

        if (challenge
            && ngx_http_otpreg_option(&value[i], "when", &option))
        {
            if (ngx_http_otpreg_set_callout_when(cf, callout, &value[i],
                                                 &option)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }

        } else if (ngx_strcmp(value[i].data, "fail=open") == 0) {
            callout->open = 1;

        } else if (ngx_strcmp(value[i].data, "fail=closed") == 0) {
            callout->open = 0;

        } else if (ngx_http_otpreg_option(&value[i], "timeout", &option)) {
            time = ngx_parse_time(&option, 0);

            if (time < NGX_HTTP_OTPREG_CALLOUT_TIME_MIN
                || time > NGX_HTTP_OTPREG_CALLOUT_TIME_MAX)
            {
                return ngx_http_otpreg_invalid(cf, &value[i]);
            }

            callout->time = time;

        } else {
            return ngx_http_otpreg_invalid(cf, &value[i]);
        }
    }

    *to = callout;

    return NGX_CONF_OK;
}


static char *
ngx_http_otpreg_set_callout_when(ngx_conf_t *cf,
    ngx_http_otpreg_callout_conf_t *conf,
    ngx_str_t *arg, ngx_str_t *value)
{
    ngx_http_compile_complex_value_t  ccv;

    if (ngx_strcmp(value->data, "always") == 0) {
        conf->when = NULL;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(value->data, "hot") == 0) {
        ngx_str_set(value, "$otpreg_limit_hot");

    } else if (value->data[0] != '$') {
        return ngx_http_otpreg_invalid(cf, arg);
    }

    conf->when = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (conf->when == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = value;
    ccv.complex_value = conf->when;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK
                                                          : NGX_CONF_ERROR;
}


ngx_int_t
ngx_http_otpreg_callout(ngx_http_request_t *r,
    ngx_http_otpreg_callout_t *callout)
{
    ngx_http_core_srv_conf_t    *cscf;
    ngx_http_otpreg_loc_conf_t  *olcf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    callout->request = r;
    callout->length = -1;

    callout->over.handler = ngx_http_otpreg_callout_over;
    callout->over.data = callout;
    callout->over.log = ngx_cycle->log;

    if (ngx_http_otpreg_task_wait(r, ngx_http_otpreg_callout_resume, callout)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    callout->background = ngx_http_otpreg_background_create(cscf->ctx,
                                                callout->time,
                                                ngx_http_otpreg_callout_wake,
                                                NULL,
                                                ngx_http_otpreg_callout_freed,
                                                callout);

    if (callout->background == NULL) {
        ngx_http_otpreg_callout_freed(callout);

    } else {
        ngx_http_otpreg_callout_start(callout, olcf);
    }

    return NGX_AGAIN;
}


static void
ngx_http_otpreg_callout_start(ngx_http_otpreg_callout_t *callout,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    ngx_http_request_t     *r;
    ngx_http_otpreg_ctx_t  *ctx;

    r = callout->background;
    ctx = ngx_http_otpreg_make_ctx(r);

    if (ctx != NULL) {
        ctx->background.callout = callout;
        ctx->conf = olcf;

        callout->subrequest = ngx_http_otpreg_background_stream(r,
                                                  &callout->uri,
                                                  callout->body,
                                                  ngx_http_otpreg_callout_sink,
                                              ngx_http_otpreg_callout_answer,
                                                  callout);
    }

    if (callout->subrequest == NULL) {
        ngx_http_otpreg_background_end(r);
        return;
    }

    ngx_http_otpreg_background_run(r);
}


/* called twice when an answer of 300 or more comes from nginx itself */

static ngx_int_t
ngx_http_otpreg_callout_answer(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_otpreg_callout_t *callout = data;

    callout->status = sr->headers_out.status;

    if (callout->status == 0 && rc >= NGX_HTTP_OK && rc < 600) {
        callout->status = rc;
    }

    callout->length = sr->headers_out.content_length_n;
    callout->complete = (rc != NGX_ERROR)
                        && ngx_http_otpreg_callout_is_complete(sr);

    return NGX_OK;
}


/* nginx only logs it when an answer without a length is cut off */

static ngx_uint_t
ngx_http_otpreg_callout_is_complete(ngx_http_request_t *sr)
{
#if (NGX_HTTP_CACHE)
    if (sr->cached) {
        return 1;
    }
#endif

    if (sr->upstream == NULL || !sr->upstream->buffering
        || sr->upstream->pipe == NULL || !sr->upstream->header_sent)
    {
        return 1;
    }

    return sr->upstream->pipe->upstream_done
           || (sr->upstream->pipe->upstream_eof
               && sr->upstream->pipe->length == -1);
}


static void
ngx_http_otpreg_callout_sink(void *data, const u_char *p, size_t len)
{
    ngx_http_otpreg_callout_t *callout = data;

    ngx_event_t  *rev;

    callout->received += len;

    if (callout->received <= (off_t) callout->max) {
        callout->sink(callout->data, p, len);
        return;
    }

    if (callout->large) {
        return;
    }

    /* break off, as if the time were over, but not while it writes */

    callout->large = 1;

    rev = callout->background->connection->read;
    rev->timedout = 1;

    ngx_post_event(rev, &ngx_posted_events);
}


static void
ngx_http_otpreg_callout_wake(ngx_http_request_t *r)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (!ctx->background.callout->subrequest->done) {
        return;
    }

    ngx_http_otpreg_background_flush(r);
    ngx_http_otpreg_background_end(r);
}


/* the background request is gone; whoever waits is called from outside */

static void
ngx_http_otpreg_callout_freed(void *data)
{
    ngx_http_otpreg_callout_t *callout = data;

    ngx_post_event(&callout->over, &ngx_posted_events);
}


static void
ngx_http_otpreg_callout_over(ngx_event_t *ev)
{
    ngx_http_otpreg_callout_t *callout = ev->data;

    if (!callout->complete || callout->large
        || (callout->length != -1 && callout->length != callout->received))
    {
        callout->status = 0;
    }

    ngx_http_otpreg_task_wake(callout->request);
}


static void
ngx_http_otpreg_callout_resume(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_callout_t *callout = data;

    callout->asked(r, callout);
}


ngx_int_t
ngx_http_otpreg_callout_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) "";
    v->len = 0;

    if (ctx != NULL && ctx->background.callout != NULL
        && ctx->background.callout->kind == data)
    {
        v->data = ctx->background.callout->variable.data;
        v->len = ctx->background.callout->variable.len;
    }

    return NGX_OK;
}
