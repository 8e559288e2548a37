
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_flow.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_page.h"
#include "ngx_http_otpreg_reissue.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_response_time.h"
#include "ngx_http_otpreg_robot.h"
#include "ngx_http_otpreg_task.h"
#include "ngx_http_otpreg_ticket.h"


static ngx_int_t ngx_http_otpreg_resend_parse(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_store_to_t *to);
static void ngx_http_otpreg_resend_post(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, const otpreg_store_to_t *to,
    ngx_http_otpreg_reservation_t *taken);
static void ngx_http_otpreg_resend_store(void *data);
static void ngx_http_otpreg_resend_settle(void *data);
static void ngx_http_otpreg_resend_stored(ngx_http_request_t *r, void *data);


const ngx_http_otpreg_page_t  ngx_http_otpreg_resend_page = {
    .directive = "otpreg_resend",
    .flow = &ngx_http_otpreg_signup_flow,
    .methods = NGX_HTTP_POST,
    .allow = "POST",
    .status = NGX_HTTP_OK,
    .said_on = &ngx_http_otpreg_verify_page,
    .bare = 1,
    .act = ngx_http_otpreg_resend_act
};


void
ngx_http_otpreg_resend_act(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    otpreg_store_to_t              to;
    ngx_http_otpreg_ctx_t         *ctx;
    ngx_http_otpreg_reservation_t  taken;

    ctx = ngx_http_otpreg_get_ctx(r);

    to.address[0] = '\0';

    rc = ngx_http_otpreg_resend_parse(r, ctx, &to);

    ngx_http_otpreg_wipe_form(r);

    if (rc != NGX_OK) {
        ngx_http_otpreg_page_finish(r, OTPREG_ERROR);
        return;
    }

    if (ctx->outcome == OTPREG_OK) {
        ctx->outcome = ctx->has_ticket
                       ? ngx_http_otpreg_limit(r, NGX_HTTP_OTPREG_LIMIT_RESEND,
                                               &taken)
                       : OTPREG_NO_SIGNUP;
    }

    if (ctx->outcome != OTPREG_OK) {
        ngx_http_otpreg_page_finish(r, ctx->outcome);
        return;
    }

    ngx_http_otpreg_resend_post(r, ctx, &to, &taken);
}


/* a form with an address changes it, one without sends again */

static ngx_int_t
ngx_http_otpreg_resend_parse(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_store_to_t *to)
{
    otpreg_form_field_t  fields[NGX_HTTP_OTPREG_CHANNEL + 1];

    if (ctx->body.form.len == 0) {
        return NGX_OK;
    }

    ngx_http_otpreg_name_fields(fields, NGX_HTTP_OTPREG_USERNAME,
                                NGX_HTTP_OTPREG_CHANNEL);

    ctx->outcome = ngx_http_otpreg_parse_form(r, fields,
                                              NGX_HTTP_OTPREG_CHANNEL + 1);

    if (ctx->outcome != OTPREG_OK
        || (!fields[NGX_HTTP_OTPREG_EMAIL].present
            && !fields[NGX_HTTP_OTPREG_PHONE].present))
    {
        return NGX_OK;
    }

    if (ngx_http_otpreg_keep_typed(r, ctx, fields) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_otpreg_check_address(r, ctx, fields, to);

    return ngx_http_otpreg_judge_fields(ctx);
}


static void
ngx_http_otpreg_resend_post(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    const otpreg_store_to_t *to, ngx_http_otpreg_reservation_t *taken)
{
    otpreg_outcome_t            outcome;
    ngx_http_otpreg_job_t       job;
    ngx_http_otpreg_reissue_t  *reissue;

    reissue = ngx_http_otpreg_reissue_make(r, ctx, to->address[0] != '\0'
                                               ? to->channel
                                               : ctx->ticket.otp.channel, to);
    if (reissue == NULL) {
        ngx_http_otpreg_page_finish(r, OTPREG_ERROR);
        return;
    }

    reissue->taken = *taken;

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_resend_store;
    job.settle = ngx_http_otpreg_resend_settle;
    job.resume = ngx_http_otpreg_resend_stored;
    job.data = reissue;
    job.abandon = 1;

    outcome = ngx_http_otpreg_query_post(r, &reissue->query, &job);

    if (outcome != OTPREG_OK) {
        ngx_http_otpreg_limit_give_back_global(&reissue->taken);
        ngx_http_otpreg_reissue_unused(reissue);
        ngx_http_otpreg_page_finish(r, outcome);
    }
}


static void
ngx_http_otpreg_resend_store(void *data)
{
    ngx_http_otpreg_reissue_store(data);
}


static void
ngx_http_otpreg_resend_settle(void *data)
{
    ngx_http_otpreg_reissue_t *reissue = data;

    if (reissue->query.outcome == OTPREG_OK) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_RESENDS, 1);

    } else {

        /* nothing was sent: it is no load on all, as one that is too soon */

        ngx_http_otpreg_limit_give_back_global(&reissue->taken);
    }

    ngx_http_otpreg_reissue_settle(reissue);
}


static void
ngx_http_otpreg_resend_stored(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_reissue_t *reissue = data;

    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    reissue->query.outcome = ngx_http_otpreg_robot_resent(ctx,
                                        reissue->query.outcome,
                                        &reissue->in.to, &reissue->out);

    ctx->answer.retry_after = reissue->out.retry_after;

    if (reissue->query.outcome == OTPREG_OK) {
        ngx_http_otpreg_reissue_ticket(ctx, reissue);
        ctx->answer.argument = (reissue->in.to.address[0] != '\0')
                               ? "changed=1" : "resent=1";
    }

    ctx->outcome = reissue->query.outcome;

    ngx_http_otpreg_reply_later(r);
}
