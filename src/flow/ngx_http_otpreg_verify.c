
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_delivery_status.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_flow.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_page.h"
#include "ngx_http_otpreg_query.h"
#include "ngx_http_otpreg_reissue.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_response_time.h"
#include "ngx_http_otpreg_robot.h"
#include "ngx_http_otpreg_task.h"
#include "ngx_http_otpreg_ticket.h"


typedef struct {
    ngx_http_otpreg_query_t         query;
    otpreg_store_verify_t           in;
    otpreg_store_verified_t         out;
    ngx_http_otpreg_reissue_t      *next;       /* to the other address */
    ngx_http_otpreg_reservation_t taken;        /* as if it were wrong */
} ngx_http_otpreg_attempt_t;


static otpreg_outcome_t ngx_http_otpreg_verify_post(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, bool match);
static ngx_http_otpreg_attempt_t *ngx_http_otpreg_verify_make(
    ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx, bool match);
static otpreg_outcome_t ngx_http_otpreg_verify_parse(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, bool *match);
static void ngx_http_otpreg_verify_store(void *data);
static void ngx_http_otpreg_verify_settle(void *data);
static void ngx_http_otpreg_verify_count(ngx_http_otpreg_attempt_t *a);
static void ngx_http_otpreg_verify_stored(ngx_http_request_t *r, void *data);
static otpreg_outcome_t ngx_http_otpreg_verify_next(
    ngx_http_otpreg_ctx_t *ctx, const ngx_http_otpreg_reissue_t *next);


const ngx_http_otpreg_page_t  ngx_http_otpreg_verify_page = {
    .directive = "otpreg_verify",
    .flow = &ngx_http_otpreg_signup_flow,
    .methods = NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST,
    .allow = "GET, HEAD, POST",
    .status = NGX_HTTP_OK,
    .tells = 1,
    .show = ngx_http_otpreg_verify_show,
    .act = ngx_http_otpreg_verify_act
};


ngx_int_t
ngx_http_otpreg_verify_show(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    if (!ctx->has_ticket) {
        ctx->outcome = OTPREG_NO_SIGNUP;
        return ngx_http_otpreg_reply(r, ctx);
    }

    return ngx_http_otpreg_delivery_status(r, ctx);
}


void
ngx_http_otpreg_verify_act(ngx_http_request_t *r)
{
    bool                           match;
    otpreg_outcome_t               outcome;
    ngx_http_otpreg_ctx_t         *ctx;
    ngx_http_otpreg_reservation_t  taken;

    match = false;
    taken.n = 0;
    ctx = ngx_http_otpreg_get_ctx(r);

    /* without a sign-up it costs nothing, and gets no counter */

    outcome = ctx->has_ticket
              ? ngx_http_otpreg_limit(r, NGX_HTTP_OTPREG_LIMIT_VERIFY, &taken)
              : OTPREG_OK;

    if (outcome == OTPREG_OK) {
        outcome = ngx_http_otpreg_verify_parse(r, ctx, &match);

        if (outcome != OTPREG_OK) {
            ngx_http_otpreg_limit_give_back_global(&taken);
        }
    }

    ngx_http_otpreg_wipe_form(r);

    if (outcome == OTPREG_OK) {
        outcome = ngx_http_otpreg_verify_post(r, ctx, match);
    }

    if (outcome != OTPREG_OK) {
        ngx_http_otpreg_page_finish(r, outcome);
    }
}


/* OTPREG_OK: on its way to the database */

static otpreg_outcome_t
ngx_http_otpreg_verify_post(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    bool match)
{
    otpreg_outcome_t            outcome;
    ngx_http_otpreg_job_t       job;
    ngx_http_otpreg_attempt_t  *a;

    a = ngx_http_otpreg_verify_make(r, ctx, match);
    if (a == NULL) {
        return OTPREG_ERROR;
    }

    /*
     * Each code is taken for a wrong one until the database has said what it
     * is: else many at once would be more than the limit.
     */

    outcome = ngx_http_otpreg_limit(r, NGX_HTTP_OTPREG_LIMIT_WRONG, &a->taken);

    if (outcome == OTPREG_OK) {
        ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

        job.work = ngx_http_otpreg_verify_store;
        job.settle = ngx_http_otpreg_verify_settle;
        job.resume = ngx_http_otpreg_verify_stored;
        job.data = a;
        job.abandon = 1;

        outcome = ngx_http_otpreg_query_post(r, &a->query, &job);
        if (outcome == OTPREG_OK) {
            return OTPREG_OK;
        }
    }

    ngx_http_otpreg_limit_give_back(&a->taken);

    if (a->next != NULL) {
        ngx_http_otpreg_reissue_unused(a->next);
    }

    return outcome;
}


static ngx_http_otpreg_attempt_t *
ngx_http_otpreg_verify_make(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    bool match)
{
    otpreg_channel_t             other;
    ngx_http_otpreg_attempt_t   *a;
    ngx_http_otpreg_loc_conf_t  *olcf;

    a = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_attempt_t));
    if (a == NULL) {
        return NULL;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    ngx_http_otpreg_query_init(&a->query, olcf);
    a->in.purpose = ctx->flow->purpose;
    a->in.match = match;
    a->in.all = olcf->verify_all;
    a->in.attempts_max = olcf->code_attempts;
    ngx_memcpy(a->in.id, ctx->ticket.otp.id, OTPREG_ID_LEN);
    randombytes_buf(a->in.attempt, OTPREG_ID_LEN);

    if (!olcf->verify_all) {
        return a;
    }

    other = (ctx->ticket.otp.channel == OTPREG_CHANNEL_SMS)
            ? OTPREG_CHANNEL_EMAIL : OTPREG_CHANNEL_SMS;

    a->next = ngx_http_otpreg_reissue_make(r, ctx, other, NULL);

    return a->next ? a : NULL;
}


/*
 * The comparison happens here, but tells nothing before the database admitted
 * the attempt.
 */

static otpreg_outcome_t
ngx_http_otpreg_verify_parse(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    bool *match)
{
    char                         typed[OTPREG_CODE_DIGITS_MAX + 1];
    char                         code[OTPREG_CODE_DIGITS_MAX + 1];
    otpreg_otp_t                *otp;
    otpreg_outcome_t             outcome;
    otpreg_form_field_t          field;
    const otpreg_key_t          *key;
    ngx_http_otpreg_loc_conf_t  *olcf;

    ngx_http_otpreg_name_fields(&field, NGX_HTTP_OTPREG_OTP,
                                NGX_HTTP_OTPREG_OTP);

    outcome = ngx_http_otpreg_parse_form(r, &field, 1);
    if (outcome != OTPREG_OK) {
        return outcome;
    }

    if (!ctx->has_ticket) {
        return OTPREG_NO_SIGNUP;
    }

    if (field.value.len == 0) {
        ctx->fields[NGX_HTTP_OTPREG_OTP] = OTPREG_REQUIRED;
        return OTPREG_INVALID_FIELDS;
    }

    otp = &ctx->ticket.otp;

    if (!otpreg_code_parse(field.value, otp->digits, typed)) {
        ctx->fields[NGX_HTTP_OTPREG_OTP] = OTPREG_CODE_FORMAT;
        return OTPREG_INVALID_FIELDS;
    }

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    key = otpreg_keys_find(olcf->keys, otp->key_name);

    if (key == NULL) {
        outcome = OTPREG_NO_SIGNUP;

    } else {
        otpreg_code_derive(key->key, otp, code);
        *match = otpreg_code_equal(code, typed, otp->digits);
    }

    sodium_memzero(code, sizeof(code));
    sodium_memzero(typed, sizeof(typed));

    return outcome;
}


static void
ngx_http_otpreg_verify_store(void *data)
{
    ngx_http_otpreg_attempt_t *a = data;

    a->query.outcome = otpreg_store_verify(a->query.database, &a->in, &a->out,
                                           a->query.error);

    if (a->out.next) {
        ngx_http_otpreg_reissue_store(a->next);
    }
}


static void
ngx_http_otpreg_verify_settle(void *data)
{
    ngx_http_otpreg_attempt_t *a = data;

    ngx_http_otpreg_query_settle(&a->query);

    if (a->out.next) {
        ngx_http_otpreg_reissue_settle(a->next);

    } else if (a->next != NULL) {
        ngx_http_otpreg_reissue_unused(a->next);
    }

    switch (a->query.outcome) {

    case OTPREG_OK:
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_VERIFIED,
                                   !a->out.next);
        break;

    case OTPREG_CODE_SPENT:
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_CODES_SPENT, 1);
        /* fall through */

    case OTPREG_CODE_WRONG:
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_CODES_WRONG,
                                   !a->in.match);
        break;

    default:
        break;
    }

    ngx_http_otpreg_verify_count(a);
}


/*
 * Who tries codes that are dead can hit nothing, and is stopped by his own
 * limit: he must not use up that of all.  A robot's code that was never there
 * is expired, too.
 */

static void
ngx_http_otpreg_verify_count(ngx_http_otpreg_attempt_t *a)
{
    if (a->out.guessed) {
        return;
    }

    if (a->query.outcome == OTPREG_CODE_SPENT
        || a->query.outcome == OTPREG_CODE_EXPIRED)
    {
        ngx_http_otpreg_limit_give_back_global(&a->taken);
        return;
    }

    ngx_http_otpreg_limit_give_back(&a->taken);
}


static void
ngx_http_otpreg_verify_stored(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_attempt_t *a = data;

    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    a->query.outcome = ngx_http_otpreg_robot_verified(ctx, a->query.outcome,
                                              &a->out.left);

    if (a->query.outcome == OTPREG_CODE_WRONG
        || a->query.outcome == OTPREG_CODE_SPENT)
    {
        ctx->answer.attempts_left = a->out.left;
        ctx->answer.has_attempts = 1;
    }

    ctx->outcome = a->out.next ? ngx_http_otpreg_verify_next(ctx, a->next)
                               : a->query.outcome;
    ctx->answer.ended = (ctx->outcome == OTPREG_OK && !a->out.next);

    ngx_http_otpreg_reply_later(r);
}


/* this address is proved: on to the other one, which may have its code */

static otpreg_outcome_t
ngx_http_otpreg_verify_next(ngx_http_otpreg_ctx_t *ctx,
    const ngx_http_otpreg_reissue_t *next)
{
    ctx->answer.retry_after = next->out.retry_after;

    if (next->query.outcome != OTPREG_OK
        && next->query.outcome != OTPREG_RESEND_TOO_SOON)
    {
        return next->query.outcome;
    }

    ngx_http_otpreg_reissue_ticket(ctx, next);
    ctx->answer.argument = "next=1";

    return OTPREG_OK;
}
