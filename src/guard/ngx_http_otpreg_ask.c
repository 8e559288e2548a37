
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ask.h"
#include "ngx_http_otpreg_detached.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_task.h"


#define NGX_HTTP_OTPREG_ASK_TIME_MIN  100       /* milliseconds */
#define NGX_HTTP_OTPREG_ASK_TIME_MAX  30000


static char *ngx_http_otpreg_set_ask_when(ngx_conf_t *cf,
    ngx_http_otpreg_ask_conf_t *conf, ngx_str_t *arg, ngx_str_t *value);
static void ngx_http_otpreg_ask_start(ngx_http_otpreg_ask_t *ask,
    ngx_http_otpreg_loc_conf_t *olcf);
static ngx_int_t ngx_http_otpreg_ask_answer(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);
static ngx_uint_t ngx_http_otpreg_ask_is_complete(ngx_http_request_t *sr);
static void ngx_http_otpreg_ask_sink(void *data, const u_char *p, size_t len);
static void ngx_http_otpreg_ask_wake(ngx_http_request_t *r);
static void ngx_http_otpreg_ask_freed(void *data);
static void ngx_http_otpreg_ask_over(ngx_event_t *ev);
static void ngx_http_otpreg_ask_resume(ngx_http_request_t *r, void *data);


/* cmd->offset is where it goes */

char *
ngx_http_otpreg_set_ask(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char  *p = conf;

    ngx_int_t                     time;
    ngx_str_t                    *value, option;
    ngx_uint_t                    i, challenge;
    ngx_http_otpreg_ask_conf_t  **to, *ask;

    to = (ngx_http_otpreg_ask_conf_t **) (p + cmd->offset);

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

    ask = ngx_pcalloc(cf->pool, sizeof(ngx_http_otpreg_ask_conf_t));
    if (ask == NULL) {
        return NGX_CONF_ERROR;
    }

    challenge = (cmd->offset == offsetof(ngx_http_otpreg_loc_conf_t,
                                         challenge));

    ask->uri = value[1];
    ask->time = challenge ? 5000 : 2000;
    ask->open = !challenge;

    for (i = 2; i < cf->args->nelts; i++) {

        if (challenge
            && ngx_http_otpreg_option(&value[i], "when", &option))
        {
            if (ngx_http_otpreg_set_ask_when(cf, ask, &value[i], &option)
                != NGX_CONF_OK)
            {
                return NGX_CONF_ERROR;
            }

        } else if (ngx_strcmp(value[i].data, "fail=open") == 0) {
            ask->open = 1;

        } else if (ngx_strcmp(value[i].data, "fail=closed") == 0) {
            ask->open = 0;

        } else if (ngx_http_otpreg_option(&value[i], "timeout", &option)) {
            time = ngx_parse_time(&option, 0);

            if (time < NGX_HTTP_OTPREG_ASK_TIME_MIN
                || time > NGX_HTTP_OTPREG_ASK_TIME_MAX)
            {
                return ngx_http_otpreg_invalid(cf, &value[i]);
            }

            ask->time = time;

        } else {
            return ngx_http_otpreg_invalid(cf, &value[i]);
        }
    }

    *to = ask;

    return NGX_CONF_OK;
}


static char *
ngx_http_otpreg_set_ask_when(ngx_conf_t *cf, ngx_http_otpreg_ask_conf_t *conf,
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
ngx_http_otpreg_ask(ngx_http_request_t *r, ngx_http_otpreg_ask_t *ask)
{
    ngx_http_core_srv_conf_t    *cscf;
    ngx_http_otpreg_loc_conf_t  *olcf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    ask->request = r;
    ask->length = -1;

    ask->over.handler = ngx_http_otpreg_ask_over;
    ask->over.data = ask;
    ask->over.log = ngx_cycle->log;

    if (ngx_http_otpreg_task_wait(r, ngx_http_otpreg_ask_resume, ask)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ask->detached = ngx_http_otpreg_detached_create(cscf->ctx, ask->time,
                                                ngx_http_otpreg_ask_wake,
                                                NULL,
                                                ngx_http_otpreg_ask_freed,
                                                ask);

    if (ask->detached == NULL) {
        ngx_http_otpreg_ask_freed(ask);

    } else {
        ngx_http_otpreg_ask_start(ask, olcf);
    }

    return NGX_AGAIN;
}


static void
ngx_http_otpreg_ask_start(ngx_http_otpreg_ask_t *ask,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    ngx_http_request_t     *r;
    ngx_http_otpreg_ctx_t  *ctx;

    r = ask->detached;
    ctx = ngx_http_otpreg_make_ctx(r);

    if (ctx != NULL) {
        ctx->background.ask = ask;
        ctx->conf = olcf;

        ask->subrequest = ngx_http_otpreg_detached_stream(r, &ask->uri,
                                                  ask->body,
                                                  ngx_http_otpreg_ask_sink,
                                                  ngx_http_otpreg_ask_answer,
                                                  ask);
    }

    if (ask->subrequest == NULL) {
        ngx_http_otpreg_detached_end(r);
        return;
    }

    ngx_http_otpreg_detached_run(r);
}


/* called twice when an answer of 300 or more comes from nginx itself */

static ngx_int_t
ngx_http_otpreg_ask_answer(ngx_http_request_t *sr, void *data, ngx_int_t rc)
{
    ngx_http_otpreg_ask_t *ask = data;

    ask->status = sr->headers_out.status;

    if (ask->status == 0 && rc >= NGX_HTTP_OK && rc < 600) {
        ask->status = rc;
    }

    ask->length = sr->headers_out.content_length_n;
    ask->complete = (rc != NGX_ERROR) && ngx_http_otpreg_ask_is_complete(sr);

    return NGX_OK;
}


/* nginx only logs it when an answer without a length is cut off */

static ngx_uint_t
ngx_http_otpreg_ask_is_complete(ngx_http_request_t *sr)
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
ngx_http_otpreg_ask_sink(void *data, const u_char *p, size_t len)
{
    ngx_http_otpreg_ask_t *ask = data;

    ngx_event_t  *rev;

    ask->received += len;

    if (ask->received <= (off_t) ask->max) {
        ask->sink(ask->data, p, len);
        return;
    }

    if (ask->large) {
        return;
    }

    /* break off, as if the time were over, but not while it writes */

    ask->large = 1;

    rev = ask->detached->connection->read;
    rev->timedout = 1;

    ngx_post_event(rev, &ngx_posted_events);
}


static void
ngx_http_otpreg_ask_wake(ngx_http_request_t *r)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (!ctx->background.ask->subrequest->done) {
        return;
    }

    ngx_http_otpreg_detached_flush(r);
    ngx_http_otpreg_detached_end(r);
}


/* the detached request is gone, and who waits is in the middle of nothing */

static void
ngx_http_otpreg_ask_freed(void *data)
{
    ngx_http_otpreg_ask_t *ask = data;

    ngx_post_event(&ask->over, &ngx_posted_events);
}


static void
ngx_http_otpreg_ask_over(ngx_event_t *ev)
{
    ngx_http_otpreg_ask_t *ask = ev->data;

    if (!ask->complete || ask->large
        || (ask->length != -1 && ask->length != ask->received))
    {
        ask->status = 0;
    }

    ngx_http_otpreg_task_wake(ask->request);
}


static void
ngx_http_otpreg_ask_resume(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_ask_t *ask = data;

    ask->asked(r, ask);
}


ngx_int_t
ngx_http_otpreg_ask_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) "";
    v->len = 0;

    if (ctx != NULL && ctx->background.ask != NULL
        && ctx->background.ask->kind == data)
    {
        v->data = ctx->background.ask->variable.data;
        v->len = ctx->background.ask->variable.len;
    }

    return NGX_OK;
}
