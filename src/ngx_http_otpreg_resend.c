
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_bot.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_sms_limit.h"
#include "ngx_http_otpreg_task.h"


typedef struct {
    ngx_http_otpreg_service_t  *service;
    otpreg_db_conf_t           *database;
    otpreg_channel_t            channel;
    otpreg_store_resend_t       in;
    char                        lease[OTPREG_LEASE_MAX + 1];
    otpreg_store_resent_t       out;
    otpreg_outcome_t            outcome;
    char                        error[OTPREG_DB_ERROR_SIZE];
} ngx_http_otpreg_again_t;


static ngx_int_t ngx_http_otpreg_resend_post(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static ngx_http_otpreg_again_t *ngx_http_otpreg_resend_make(
    ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx);
static void ngx_http_otpreg_resend_store(void *data);
static void ngx_http_otpreg_resend_settle(void *data);
static void ngx_http_otpreg_resend_stored(ngx_http_request_t *r, void *data);


ngx_int_t
ngx_http_otpreg_resend_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_otpreg_ctx_t  *ctx;

    rc = ngx_http_otpreg_begin(r, NGX_HTTP_OTPREG_RESEND, NGX_HTTP_POST,
                               "POST", &ctx);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_otpreg_open_cookie(r, ctx);

    if (ngx_http_otpreg_is_cross_site(r)) {
        ctx->outcome = OTPREG_CROSS_SITE;

    } else if (!ctx->has_ticket) {
        ctx->outcome = OTPREG_NO_SIGNUP;

    } else {
        ctx->outcome = ngx_http_otpreg_limit(r, NGX_HTTP_OTPREG_LIMIT_RESEND,
                                             NULL);
    }

    if (ctx->outcome != OTPREG_OK) {
        return ngx_http_otpreg_reply(r, ctx);
    }

    return ngx_http_otpreg_resend_post(r, ctx);
}


static ngx_int_t
ngx_http_otpreg_resend_post(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    ngx_int_t                 rc;
    ngx_http_otpreg_job_t     job;
    ngx_http_otpreg_again_t  *a;

    a = ngx_http_otpreg_resend_make(r, ctx);
    if (a == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    job.work = ngx_http_otpreg_resend_store;
    job.settle = ngx_http_otpreg_resend_settle;
    job.resume = ngx_http_otpreg_resend_stored;
    job.data = a;

    rc = ngx_http_otpreg_task_post(r, NGX_HTTP_OTPREG_POOL_DATABASE, &job);

    if (rc != NGX_OK) {
        ngx_http_otpreg_dispatch_unused(a->service, a->channel,
                                        &a->in.outbox);
        ctx->outcome = (rc == NGX_BUSY) ? OTPREG_BUSY : OTPREG_ERROR;
        return ngx_http_otpreg_reply(r, ctx);
    }

    r->main->count++;

    return NGX_DONE;
}


static ngx_http_otpreg_again_t *
ngx_http_otpreg_resend_make(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    uint64_t                     now_ms;
    ngx_http_otpreg_again_t     *a;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    a = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_again_t));
    if (a == NULL) {
        return NULL;
    }

    now_ms = ngx_http_otpreg_now_ms();

    a->service = olcf->service;
    a->database = olcf->database;
    ngx_memcpy(a->in.id, ctx->ticket.otp.id, OTPREG_ID_LEN);
    otpreg_id_make(now_ms, a->in.new_id);
    otpreg_id_make(now_ms, a->in.message_id);
    a->in.purpose = OTPREG_PURPOSE_SIGNUP;
    a->in.attempts_max = olcf->code_attempts;
    a->in.limits = olcf->limits;
    a->in.sms_limits = &olcf->sms_limits;
    a->in.delay = olcf->resend_delay;
    a->in.lifetime = olcf->code_lifetime;
    a->in.digits = olcf->code_length;
    a->in.key_name = olcf->keys->key[0].name;

    a->channel = ctx->ticket.otp.channel;

    ngx_http_otpreg_dispatch_outbox(a->service, a->channel, &a->in.outbox,
                                    a->lease);

    return a;
}


static void
ngx_http_otpreg_resend_store(void *data)
{
    ngx_http_otpreg_again_t *a = data;

    a->outcome = otpreg_store_resend(a->database, &a->in, &a->out, a->error);
}


static void
ngx_http_otpreg_resend_settle(void *data)
{
    ngx_http_otpreg_again_t *a = data;

    ngx_http_otpreg_dispatch_database(a->service, a->outcome, a->error);

    if (a->outcome == OTPREG_OK) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_RESENDS, 1);

    } else if (a->outcome == OTPREG_SMS_LIMIT) {
        ngx_http_otpreg_sms_refused(a->service->conf, a->out.queued.sms_scope,
                                    a->out.otp.address);
    }

    if (a->outcome == OTPREG_OK && a->out.queued.send) {
        ngx_http_otpreg_dispatch_send(a->service, &a->out.queued.message);

    } else {
        ngx_http_otpreg_dispatch_unused(a->service, a->channel,
                                        &a->in.outbox);
    }
}


static void
ngx_http_otpreg_resend_stored(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_again_t *a = data;

    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    a->outcome = ngx_http_otpreg_bot_resent(ctx, a->outcome, &a->out);

    ctx->outcome = a->outcome;
    ctx->retry_after = a->out.retry_after;

    if (a->outcome == OTPREG_OK) {
        ctx->ticket.otp = a->out.otp;
        ctx->ticket.sent_at = ngx_time();
        ctx->ticket.expires_at = ngx_time() + a->out.expires_in;
    }

    ngx_http_finalize_request(r, ngx_http_otpreg_reply(r, ctx));
}
