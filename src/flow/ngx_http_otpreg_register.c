
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_breach.h"
#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_challenge.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_flow.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_page.h"
#include "ngx_http_otpreg_register.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_response_time.h"
#include "ngx_http_otpreg_robot.h"
#include "ngx_http_otpreg_task.h"
#include "ngx_http_otpreg_ticket.h"


static void ngx_http_otpreg_register_prefill(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static void ngx_http_otpreg_register_ask(ngx_http_request_t *r, void *data);
static ngx_http_otpreg_signup_t *ngx_http_otpreg_register_signup(
    ngx_http_request_t *r);
static void ngx_http_otpreg_register_wipe(void *data);
static void ngx_http_otpreg_register_hash(void *data);
static void ngx_http_otpreg_register_hashed(ngx_http_request_t *r,
    void *data);
static void ngx_http_otpreg_register_lang(ngx_http_request_t *r,
    ngx_http_otpreg_loc_conf_t *olcf, char *lang);
static void ngx_http_otpreg_register_store(void *data);
static void ngx_http_otpreg_register_settle(void *data);
static void ngx_http_otpreg_register_stored(ngx_http_request_t *r,
    void *data);
static void ngx_http_otpreg_register_finish(ngx_http_request_t *r,
    ngx_http_otpreg_signup_t *s, otpreg_outcome_t outcome);


const ngx_http_otpreg_flow_t  ngx_http_otpreg_signup_flow = {
    .purpose = OTPREG_PURPOSE_SIGNUP,
    .cookie = "otpreg",
    .begin_uri = offsetof(ngx_http_otpreg_loc_conf_t, register_uri),
    .verify_uri = offsetof(ngx_http_otpreg_loc_conf_t, verify_uri),
    .end_uri = offsetof(ngx_http_otpreg_loc_conf_t, login_uri)
};


const ngx_http_otpreg_page_t  ngx_http_otpreg_register_page = {
    .directive = "otpreg_register",
    .flow = &ngx_http_otpreg_signup_flow,
    .methods = NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST,
    .allow = "GET, HEAD, POST",
    .status = NGX_HTTP_CREATED,
    .begins = 1,
    .show = ngx_http_otpreg_register_show,
    .act = ngx_http_otpreg_register_act
};


ngx_int_t
ngx_http_otpreg_register_show(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    ngx_http_otpreg_register_prefill(r, ctx);

    return ngx_http_otpreg_reply(r, ctx);
}


/* from the cookie */

static void
ngx_http_otpreg_register_prefill(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    ngx_str_t  *address;

    ngx_http_otpreg_open_cookie(r, ctx);

    if (!ctx->has_ticket) {
        return;
    }

    ctx->has_ticket = 0;                        /* there is no code here */

    ctx->typed.username.data = (u_char *) ctx->ticket.username;
    ctx->typed.username.len = ngx_strlen(ctx->typed.username.data);

    address = (ctx->ticket.otp.channel == OTPREG_CHANNEL_SMS)
              ? &ctx->typed.phone : &ctx->typed.email;
    address->data = (u_char *) ctx->ticket.otp.address;
    address->len = ngx_strlen(address->data);

    ctx->typed.channel = ctx->ticket.otp.channel;
}


void
ngx_http_otpreg_register_act(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_http_otpreg_ctx_t     *ctx;
    ngx_http_otpreg_signup_t  *s;

    ctx = ngx_http_otpreg_get_ctx(r);

    s = ngx_http_otpreg_register_signup(r);

    rc = (s == NULL) ? NGX_ERROR : ngx_http_otpreg_register_parse(r, ctx, s);

    ngx_http_otpreg_wipe_form(r);

    if (rc != NGX_OK) {
        ngx_http_otpreg_register_finish(r, s, OTPREG_ERROR);
        return;
    }

    /*
     * A form that is refused for what is in it costs no more than the page
     * does, and is not counted: people who make mistakes do not lock out those
     * who share their address, nor do empty forms in masses lock out anybody.
     */

    if (ctx->outcome == OTPREG_OK
        && ngx_http_otpreg_challenge_is_missing(r, ctx))
    {
        ctx->outcome = OTPREG_CHALLENGE_REQUIRED;
    }

    if (ctx->outcome == OTPREG_OK) {
        ctx->outcome = ngx_http_otpreg_limit(r, NGX_HTTP_OTPREG_LIMIT_REGISTER,
                                             &s->taken);
    }

    ngx_http_otpreg_register_ask(r, s);
}


/* one service after the other: stop at the first error */

static void
ngx_http_otpreg_register_ask(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    otpreg_outcome_t         outcome;
    ngx_http_otpreg_job_t    job;
    ngx_http_otpreg_ctx_t   *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx->outcome == OTPREG_OK && !s->challenged) {
        s->challenged = 1;

        if (ngx_http_otpreg_challenge(r, ctx, ngx_http_otpreg_register_ask, s)
            == NGX_AGAIN)
        {
            return;
        }
    }

    if (ctx->outcome == OTPREG_OK && !s->looked_up) {
        s->looked_up = 1;

        if (ngx_http_otpreg_breach(r, ctx, &s->password,
                                   ngx_http_otpreg_register_ask, s)
            == NGX_AGAIN)
        {
            return;
        }
    }

    if (ctx->outcome != OTPREG_OK) {

        /* nothing was hashed, written or sent: it is no load on all */

        ngx_http_otpreg_limit_give_back_global(&s->taken);

        ngx_http_otpreg_register_finish(r, s, ctx->outcome);
        return;
    }

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_register_hash;
    job.resume = ngx_http_otpreg_register_hashed;
    job.data = s;

    outcome = ngx_http_otpreg_task_outcome(
              ngx_http_otpreg_task_post(r, NGX_HTTP_OTPREG_POOL_HASH, &job));

    if (outcome != OTPREG_OK) {
        ngx_http_otpreg_register_finish(r, s, outcome);
    }
}


static ngx_http_otpreg_signup_t *
ngx_http_otpreg_register_signup(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_otpreg_signup_t    *s;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_otpreg_signup_t));
    if (cln == NULL) {
        return NULL;
    }

    s = cln->data;
    ngx_memzero(s, sizeof(ngx_http_otpreg_signup_t));
    cln->handler = ngx_http_otpreg_register_wipe;

    ngx_http_otpreg_query_init(&s->query, olcf);
    s->memory = olcf->hash_memory;
    s->operations = olcf->hash_operations;
    s->in.lifetime = olcf->code_lifetime;

    ngx_http_otpreg_budgets(r, &s->in.budgets);
    otpreg_id_make(ngx_http_otpreg_now_ms(), s->in.otp.id);

    return s;
}


static void
ngx_http_otpreg_register_wipe(void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    ngx_http_otpreg_used_form_give_back(&s->form);

    sodium_memzero(s, sizeof(ngx_http_otpreg_signup_t));
}


static void
ngx_http_otpreg_register_hash(void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    s->query.outcome = otpreg_password_hash(&s->password, s->memory,
                                            s->operations, s->in.phc)
                       ? OTPREG_OK : OTPREG_ERROR;

    sodium_memzero(&s->password, sizeof(otpreg_password_t));
}


static void
ngx_http_otpreg_register_hashed(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    otpreg_otp_t                *otp;
    otpreg_outcome_t             outcome;
    ngx_http_otpreg_job_t        job;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_loc_conf_t  *olcf;

    if (s->query.outcome != OTPREG_OK) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                      "otpreg: no memory to hash a password");
        ngx_http_otpreg_register_finish(r, s, OTPREG_BUSY);
        return;
    }

    ctx = ngx_http_otpreg_get_ctx(r);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    otp = &s->in.otp;
    otpreg_id_make(ngx_http_otpreg_now_ms(), s->in.message_id);
    otp->purpose = ctx->flow->purpose;
    otp->digits = olcf->code_length;
    ngx_memcpy(otp->key_name, olcf->keys->key[0].name, sizeof(otp->key_name));

    ctx->ticket.otp = *otp;
    ngx_memcpy(ctx->ticket.username, s->in.username.name,
               sizeof(ctx->ticket.username));
    ngx_http_otpreg_robot_ticket(ctx);

    ngx_http_otpreg_register_lang(r, olcf, s->in.lang);

    ngx_http_otpreg_place_reserve(&s->place, s->query.realm, otp->channel,
                                  &s->in.outbox);

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_register_store;
    job.settle = ngx_http_otpreg_register_settle;
    job.resume = ngx_http_otpreg_register_stored;
    job.data = s;

    outcome = ngx_http_otpreg_query_post(r, &s->query, &job);

    if (outcome != OTPREG_OK) {
        ngx_http_otpreg_place_unused(&s->place);
        ngx_http_otpreg_register_finish(r, s, outcome);
    }
}


/* the messages of a sign-up are in the language of its form */

static void
ngx_http_otpreg_register_lang(ngx_http_request_t *r,
    ngx_http_otpreg_loc_conf_t *olcf, char *lang)
{
    const ngx_http_otpreg_language_t  *language;

    language = ngx_http_otpreg_language(r, olcf);

    if (language != NULL) {
        ngx_cpystrn((u_char *) lang, language->tag.data,
                    language->tag.len + 1);
    }
}


static void
ngx_http_otpreg_register_store(void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    s->query.outcome = otpreg_store_signup(s->query.database, &s->in, &s->out,
                                           s->query.error);
}


/* the message is committed: it goes out whatever became of the request */

static void
ngx_http_otpreg_register_settle(void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    ngx_http_otpreg_query_settle(&s->query);

    /* who was refused may send the same form again: it is still there */

    if (s->query.outcome == OTPREG_OK) {
        s->form.zone = NULL;

    } else {
        ngx_http_otpreg_used_form_give_back(&s->form);
    }

    if (s->query.outcome == OTPREG_OK && !s->in.dry) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_SIGNUPS, 1);
    }

    ngx_http_otpreg_place_settle(&s->place, s->query.outcome, &s->out,
                                 &s->in.otp);
}


static void
ngx_http_otpreg_register_stored(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (s->query.outcome == OTPREG_USERNAME_TAKEN) {
        ctx->fields[NGX_HTTP_OTPREG_USERNAME] = s->query.outcome;
        s->query.outcome = OTPREG_INVALID_FIELDS;
    }

    ctx->outcome = s->query.outcome;
    ctx->answer.retry_after = s->out.retry_after;
    ctx->answer.lifetime = s->in.lifetime;

    ngx_http_otpreg_reply_later(r);
}


static void
ngx_http_otpreg_register_finish(ngx_http_request_t *r,
    ngx_http_otpreg_signup_t *s, otpreg_outcome_t outcome)
{
    if (s != NULL) {
        ngx_http_otpreg_used_form_give_back(&s->form);
    }

    ngx_http_otpreg_page_finish(r, outcome);
}
