
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_identity.h"

#include "ngx_http_otpreg_bot.h"
#include "ngx_http_otpreg_breach.h"
#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_challenge.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_flow.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_refusal.h"
#include "ngx_http_otpreg_release.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_task.h"
#include "ngx_http_otpreg_ticket.h"


/* the form: fields with a message of their own, then those against robots */

#define NGX_HTTP_OTPREG_BOT          (NGX_HTTP_OTPREG_CONFIRM + 1)
#define NGX_HTTP_OTPREG_SOLUTION                                              \
    (NGX_HTTP_OTPREG_BOT + NGX_HTTP_OTPREG_BOT_FIELDS)
#define NGX_HTTP_OTPREG_FORM_FIELDS                                           \
    (NGX_HTTP_OTPREG_SOLUTION + NGX_HTTP_OTPREG_CHALLENGE_FIELDS)


/* a sign-up from the form to the commit; shared with pool threads in turn */

typedef struct {
    ngx_http_otpreg_service_t  *service;
    otpreg_db_conf_t           *database;
    size_t                      memory;
    unsigned                    operations;
    otpreg_password_t           password;
    otpreg_store_signup_t       in;
    char                        lease[OTPREG_LEASE_MAX + 1];
    otpreg_store_queued_t       out;
    otpreg_outcome_t            outcome;
    char                        error[OTPREG_DB_ERROR_SIZE];
    ngx_http_otpreg_once_hold_t form;
    ngx_http_otpreg_limit_hold_t hold;
    unsigned                    challenged:1;
    unsigned                    looked_up:1;
} ngx_http_otpreg_signup_t;


static void ngx_http_otpreg_register_again(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static void ngx_http_otpreg_register_form(ngx_http_request_t *r);
static void ngx_http_otpreg_register_ask(ngx_http_request_t *r, void *data);
static ngx_int_t ngx_http_otpreg_register_parse(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_signup_t *s);
static void ngx_http_otpreg_register_check(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_signup_t *s,
    otpreg_form_field_t *fields);
static bool ngx_http_otpreg_register_same(otpreg_str_t password,
    otpreg_str_t confirm, ngx_http_otpreg_signup_t *s);
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


ngx_int_t
ngx_http_otpreg_register_handler(ngx_http_request_t *r)
{
    ngx_int_t               rc;
    ngx_http_otpreg_ctx_t  *ctx;

    rc = ngx_http_otpreg_begin(r, NGX_HTTP_OTPREG_REGISTER,
                               NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_POST,
                               "GET, HEAD, POST", &ctx);
    if (rc == NGX_DECLINED) {
        return ngx_http_otpreg_reply(r, ctx);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (r->method == NGX_HTTP_POST) {
        return ngx_http_otpreg_read_form(r, ctx,
                                         ngx_http_otpreg_register_form);
    }

    ngx_http_otpreg_register_again(r, ctx);

    return ngx_http_otpreg_reply(r, ctx);
}


/* who comes back to the form finds in it what this browser has sent before */

static void
ngx_http_otpreg_register_again(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    ngx_str_t  *address;

    ngx_http_otpreg_open_cookie(r, ctx);

    if (!ctx->has_ticket) {
        return;
    }

    ctx->has_ticket = 0;                        /* there is no code here */

    ctx->username.data = (u_char *) ctx->ticket.username;
    ctx->username.len = ngx_strlen(ctx->username.data);

    address = (ctx->ticket.otp.channel == OTPREG_CHANNEL_SMS) ? &ctx->phone
                                                              : &ctx->email;
    address->data = (u_char *) ctx->ticket.otp.address;
    address->len = ngx_strlen(address->data);

    ctx->channel = ctx->ticket.otp.channel;
}


static void
ngx_http_otpreg_register_form(ngx_http_request_t *r)
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
                                             &s->hold);
    }

    ngx_http_otpreg_register_ask(r, s);
}


/* one service after the other, as far as there is no error */

static void
ngx_http_otpreg_register_ask(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    ngx_int_t                rc;
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

        ngx_http_otpreg_limit_give_back_global(&s->hold);

        ngx_http_otpreg_register_finish(r, s, ctx->outcome);
        return;
    }

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_register_hash;
    job.resume = ngx_http_otpreg_register_hashed;
    job.data = s;

    rc = ngx_http_otpreg_task_post(r, NGX_HTTP_OTPREG_POOL_HASH, &job);

    if (rc != NGX_OK) {
        ngx_http_otpreg_register_finish(r, s, (rc == NGX_BUSY) ? OTPREG_BUSY
                                                               : OTPREG_ERROR);
    }
}


static ngx_int_t
ngx_http_otpreg_register_parse(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_signup_t *s)
{
    ngx_uint_t           i;
    otpreg_form_field_t  fields[] = {
        [NGX_HTTP_OTPREG_USERNAME] = { .name = "username" },
        [NGX_HTTP_OTPREG_EMAIL] = { .name = "email" },
        [NGX_HTTP_OTPREG_PHONE] = { .name = "phone" },
        [NGX_HTTP_OTPREG_CHANNEL] = { .name = "channel" },
        [NGX_HTTP_OTPREG_PASSWORD] = { .name = "password" },
        [NGX_HTTP_OTPREG_CONFIRM] = { .name = "confirm_password" },
        [NGX_HTTP_OTPREG_FORM_FIELDS - 1] = { .name = NULL }
    };

    ngx_http_otpreg_bot_fields(ctx->conf, &fields[NGX_HTTP_OTPREG_BOT]);
    ngx_http_otpreg_challenge_fields(&fields[NGX_HTTP_OTPREG_SOLUTION]);

    ctx->outcome = ngx_http_otpreg_parse_form(r, fields,
                                              NGX_HTTP_OTPREG_FORM_FIELDS);

    if (ctx->outcome != OTPREG_OK) {
        return NGX_OK;
    }

    if (ngx_http_otpreg_keep_typed(r, ctx, fields) != NGX_OK
        || ngx_http_otpreg_challenge_keep(r, ctx,
                                          &fields[NGX_HTTP_OTPREG_SOLUTION])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_otpreg_register_check(r, ctx, s, fields);

    for (i = 0; i < NGX_HTTP_OTPREG_FIELDS; i++) {

        if (ctx->fields[i] == OTPREG_ERROR) {
            return NGX_ERROR;
        }

        if (ctx->fields[i] != OTPREG_OK) {
            ctx->outcome = OTPREG_INVALID_FIELDS;
        }
    }

    ngx_http_otpreg_bot_check(r, ctx, &fields[NGX_HTTP_OTPREG_BOT],
                              &s->password, &s->in, &s->form);

    return NGX_OK;
}


/* every field, so that all errors are told at once */

static void
ngx_http_otpreg_register_check(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_signup_t *s,
    otpreg_form_field_t *fields)
{
    char                        *at;
    otpreg_str_t                 personal[4], *password, *confirm;
    otpreg_password_policy_t     policy;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    ngx_http_otpreg_check_identity(r, ctx, fields, &s->in);

    at = strchr(s->in.email.key, '@');

    personal[0].data = (u_char *) s->in.username.key;
    personal[0].len = ngx_strlen(s->in.username.key);
    personal[1].data = (u_char *) s->in.email.key;
    personal[1].len = ngx_strlen(s->in.email.key);
    personal[2].data = (u_char *) s->in.email.key;
    personal[2].len = at ? (size_t) (at - s->in.email.key) : 0;
    personal[3].data = (u_char *) s->in.phone.number;
    personal[3].len = ngx_strlen(s->in.phone.number);

    policy.chars_min = olcf->password_min;
    policy.chars_max = olcf->password_max;
    policy.blocklist = olcf->blocklist;

    password = &fields[NGX_HTTP_OTPREG_PASSWORD].value;
    confirm = &fields[NGX_HTTP_OTPREG_CONFIRM].value;

    ctx->fields[NGX_HTTP_OTPREG_PASSWORD] =
            otpreg_password_check(*password, &policy, personal, 4,
                                  &s->password);

    if (confirm->len == 0) {
        ctx->fields[NGX_HTTP_OTPREG_CONFIRM] = OTPREG_REQUIRED;

    } else if (!ngx_http_otpreg_register_same(*password, *confirm, s)) {
        ctx->fields[NGX_HTTP_OTPREG_CONFIRM] = OTPREG_PASSWORD_MISMATCH;
    }
}


/* byte for byte, or in their normal form */

static bool
ngx_http_otpreg_register_same(otpreg_str_t password, otpreg_str_t confirm,
    ngx_http_otpreg_signup_t *s)
{
    bool                      same;
    otpreg_password_t         other;
    otpreg_password_policy_t  any;

    if (password.len == confirm.len
        && sodium_memcmp(password.data, confirm.data, confirm.len) == 0)
    {
        return true;
    }

    any.chars_min = 1;
    any.chars_max = OTPREG_PASSWORD_CHARS_MAX;
    any.blocklist = NULL;

    same = otpreg_password_check(confirm, &any, NULL, 0, &other) == OTPREG_OK
           && other.len == s->password.len
           && sodium_memcmp(other.data, s->password.data, other.len) == 0;

    sodium_memzero(&other, sizeof(otpreg_password_t));

    return same;
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

    s->service = olcf->service;
    s->database = olcf->database;
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

    ngx_http_otpreg_once_give_back(&s->form);

    sodium_memzero(s, sizeof(ngx_http_otpreg_signup_t));
}


static void
ngx_http_otpreg_register_hash(void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    s->outcome = otpreg_password_hash(&s->password, s->memory, s->operations,
                                      s->in.phc)
                 ? OTPREG_OK : OTPREG_ERROR;

    sodium_memzero(&s->password, sizeof(otpreg_password_t));
}


static void
ngx_http_otpreg_register_hashed(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    ngx_int_t                    rc;
    otpreg_otp_t                *otp;
    ngx_http_otpreg_job_t        job;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_loc_conf_t  *olcf;

    if (s->outcome != OTPREG_OK) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                      "otpreg: no memory to hash a password");
        ngx_http_otpreg_register_finish(r, s, OTPREG_BUSY);
        return;
    }

    ctx = ngx_http_otpreg_get_ctx(r);
    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    otp = &s->in.otp;
    otpreg_id_make(ngx_http_otpreg_now_ms(), s->in.message_id);
    otp->purpose = OTPREG_PURPOSE_SIGNUP;
    otp->digits = olcf->code_length;
    ngx_memcpy(otp->key_name, olcf->keys->key[0].name, sizeof(otp->key_name));

    ctx->ticket.otp = *otp;
    ngx_memcpy(ctx->ticket.username, s->in.username.name,
               sizeof(ctx->ticket.username));
    ngx_http_otpreg_bot_ticket(ctx);

    ngx_http_otpreg_register_lang(r, olcf, s->in.lang);

    ngx_http_otpreg_dispatch_outbox(s->service, otp->channel, &s->in.outbox,
                                    s->lease);

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    s->outcome = OTPREG_BUSY;

    job.work = ngx_http_otpreg_register_store;
    job.settle = ngx_http_otpreg_register_settle;
    job.resume = ngx_http_otpreg_register_stored;
    job.data = s;

    rc = ngx_http_otpreg_task_database(r, s->database, &job);

    if (rc != NGX_OK) {
        ngx_http_otpreg_dispatch_unused(s->service, otp->channel,
                                        &s->in.outbox);
        ngx_http_otpreg_register_finish(r, s, (rc == NGX_BUSY) ? OTPREG_BUSY
                                                               : OTPREG_ERROR);
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

    s->outcome = otpreg_store_signup(s->database, &s->in, &s->out, s->error);
}


/* the message is committed: it goes out whatever became of the request */

static void
ngx_http_otpreg_register_settle(void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    ngx_http_otpreg_dispatch_database(s->service, s->outcome, s->error);

    /* who was refused may send the same form again: it is still there */

    if (s->outcome == OTPREG_OK) {
        s->form.zone = NULL;

    } else {
        ngx_http_otpreg_once_give_back(&s->form);
    }

    if (s->outcome == OTPREG_OK && !s->in.dry) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_SIGNUPS, 1);
    }

    ngx_http_otpreg_refused(s->service->conf, s->out.scope,
                            s->in.otp.address);

    if (s->outcome == OTPREG_OK && s->out.send) {
        ngx_http_otpreg_dispatch_send(s->service, &s->out.message);

    } else {
        ngx_http_otpreg_dispatch_unused(s->service, s->in.otp.channel,
                                        &s->in.outbox);
    }
}


static void
ngx_http_otpreg_register_stored(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_signup_t *s = data;

    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (s->outcome == OTPREG_USERNAME_TAKEN) {
        ctx->fields[NGX_HTTP_OTPREG_USERNAME] = s->outcome;
        s->outcome = OTPREG_INVALID_FIELDS;
    }

    ctx->outcome = s->outcome;
    ctx->retry_after = s->out.retry_after;
    ctx->lifetime = s->in.lifetime;

    ngx_http_otpreg_release(r);
}


static void
ngx_http_otpreg_register_finish(ngx_http_request_t *r,
    ngx_http_otpreg_signup_t *s, otpreg_outcome_t outcome)
{
    ngx_http_otpreg_ctx_t  *ctx;

    if (s != NULL) {
        ngx_http_otpreg_once_give_back(&s->form);
    }

    ctx = ngx_http_otpreg_get_ctx(r);
    ctx->outcome = outcome;

    ngx_http_finalize_request(r, ngx_http_otpreg_reply(r, ctx));
}
