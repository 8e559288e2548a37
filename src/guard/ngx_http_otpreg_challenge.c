
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_challenge.h"

#include "ngx_http_otpreg_challenge.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"


#define NGX_HTTP_OTPREG_CHALLENGE_ANSWER  16384


typedef struct {
    ngx_http_otpreg_callout_t   callout;
    ngx_http_otpreg_next_pt     next;
    void                       *data;
    ngx_str_t                   body;
    ngx_str_t                   answer;
} ngx_http_otpreg_challenge_t;


static ngx_uint_t ngx_http_otpreg_challenge_wanted(ngx_http_request_t *r,
    ngx_http_otpreg_loc_conf_t *olcf);
static ngx_int_t ngx_http_otpreg_challenge_body(ngx_http_request_t *r,
    ngx_http_otpreg_challenge_t *c);
static void ngx_http_otpreg_challenge_sink(void *data, const u_char *p,
    size_t len);
static void ngx_http_otpreg_challenge_asked(ngx_http_request_t *r,
    ngx_http_otpreg_callout_t *callout);
static otpreg_outcome_t ngx_http_otpreg_challenge_result(
    ngx_http_request_t *r, ngx_http_otpreg_callout_t *callout,
    otpreg_str_t answer);


void
ngx_http_otpreg_challenge_fields(otpreg_form_field_t *fields)
{
    fields[0].name = "challenge";
    fields[1].name = "cf-turnstile-response";
    fields[2].name = "h-captcha-response";
    fields[3].name = "g-recaptcha-response";
}


ngx_int_t
ngx_http_otpreg_challenge_keep(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, const otpreg_form_field_t *fields)
{
    ngx_str_t   value;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_OTPREG_CHALLENGE_FIELDS; i++) {

        if (fields[i].value.len == 0) {
            continue;
        }

        value.data = (u_char *) fields[i].value.data;
        value.len = fields[i].value.len;

        ctx->robot.solution.len = value.len;
        ctx->robot.solution.data = ngx_pstrdup(r->pool, &value);

        return ctx->robot.solution.data ? NGX_OK : NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_otpreg_challenge_wanted(ngx_http_request_t *r,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    ngx_str_t  value;

    if (olcf->challenge == NULL) {
        return 0;
    }

    if (olcf->challenge->when == NULL) {
        return 1;
    }

    /* in doubt it is */

    return ngx_http_complex_value(r, olcf->challenge->when, &value) != NGX_OK
           || (value.len != 0
               && !(value.len == 1 && value.data[0] == '0'));
}


ngx_uint_t
ngx_http_otpreg_challenge_is_missing(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    return ctx->robot.solution.len == 0
           && ngx_http_otpreg_challenge_wanted(r, ctx->conf);
}


ngx_int_t
ngx_http_otpreg_challenge(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    ngx_http_otpreg_next_pt next, void *data)
{
    ngx_http_otpreg_callout_t    *callout;
    ngx_http_otpreg_challenge_t  *c;

    if (!ngx_http_otpreg_challenge_wanted(r, ctx->conf)) {
        return NGX_OK;
    }

    if (ctx->robot.solution.len == 0) {
        ctx->outcome = OTPREG_CHALLENGE_REQUIRED;
        return NGX_OK;
    }

    if (!otpreg_solution_is_valid(ngx_http_otpreg_str(&ctx->robot.solution))) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_CHALLENGE_REFUSED,
                                   1);
        ctx->outcome = OTPREG_CHALLENGE_FAILED;
        return NGX_OK;
    }

    c = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_challenge_t));

    if (c == NULL || ngx_http_otpreg_challenge_body(r, c) != NGX_OK) {
        ctx->outcome = OTPREG_ERROR;
        return NGX_OK;
    }

    c->next = next;
    c->data = data;

    callout = &c->callout;
    callout->uri = ctx->conf->challenge->uri;
    callout->body = &c->body;
    callout->time = ctx->conf->challenge->time;
    callout->max = NGX_HTTP_OTPREG_CHALLENGE_ANSWER;
    callout->variable = ctx->robot.solution;
    callout->kind = NGX_HTTP_OTPREG_CALLOUT_CHALLENGE;
    callout->sink = ngx_http_otpreg_challenge_sink;
    callout->asked = ngx_http_otpreg_challenge_asked;
    callout->data = c;

    if (ngx_http_otpreg_callout(r, callout) != NGX_AGAIN) {
        ctx->outcome = OTPREG_ERROR;
        return NGX_OK;
    }

    return NGX_AGAIN;
}


/* what a service of one's own may take as it is */

static ngx_int_t
ngx_http_otpreg_challenge_body(ngx_http_request_t *r,
    ngx_http_otpreg_challenge_t *c)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    c->body.data = ngx_pnalloc(r->pool, sizeof("{\"response\":\"\"}") - 1
                                        + ctx->robot.solution.len);
    c->answer.data = ngx_pnalloc(r->pool, NGX_HTTP_OTPREG_CHALLENGE_ANSWER);

    if (c->body.data == NULL || c->answer.data == NULL) {
        return NGX_ERROR;
    }

    c->body.len = ngx_sprintf(c->body.data, "{\"response\":\"%V\"}",
                              &ctx->robot.solution)
                  - c->body.data;

    return NGX_OK;
}


static void
ngx_http_otpreg_challenge_sink(void *data, const u_char *p, size_t len)
{
    ngx_http_otpreg_challenge_t *c = data;

    ngx_memcpy(c->answer.data + c->answer.len, p, len);
    c->answer.len += len;
}


static void
ngx_http_otpreg_challenge_asked(ngx_http_request_t *r,
    ngx_http_otpreg_callout_t *callout)
{
    ngx_http_otpreg_ctx_t        *ctx;
    ngx_http_otpreg_challenge_t  *c;

    ctx = ngx_http_otpreg_get_ctx(r);
    c = callout->data;

    ctx->outcome = ngx_http_otpreg_challenge_result(r, callout,
                                            ngx_http_otpreg_str(&c->answer));

    if (ctx->outcome == OTPREG_OK) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_CHALLENGE_PASSED, 1);

    } else if (ctx->outcome == OTPREG_CHALLENGE_FAILED) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_CHALLENGE_REFUSED,
                                   1);

    } else {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_CHALLENGE_DOWN, 1);

        if (ctx->conf->challenge->open) {
            ctx->outcome = OTPREG_OK;
        }
    }

    c->next(r, c->data);
}


/*
 * What a client can bring about by what it sends must never count as a service
 * that is away: else "fail=open" would be open to anybody.
 */

static otpreg_outcome_t
ngx_http_otpreg_challenge_result(ngx_http_request_t *r,
    ngx_http_otpreg_callout_t *callout, otpreg_str_t answer)
{
    char                   codes[OTPREG_CHALLENGE_CODES_SIZE];
    ngx_uint_t             level;
    otpreg_challenge_rc_t  rc;

    codes[0] = '\0';

    rc = (callout->status != 0) ? otpreg_challenge_read(answer, codes)
                            : OTPREG_CHALLENGE_UNCLEAR;

    if (rc == OTPREG_CHALLENGE_PASSED && callout->status / 100 == 2) {
        return OTPREG_OK;
    }

    if (rc == OTPREG_CHALLENGE_REFUSED) {

        /* "invalid-input-secret", "invalid-keys": everybody is refused */

        level = (ngx_strstr(codes, "secret") != NULL
                 || ngx_strstr(codes, "invalid-keys") != NULL)
                ? NGX_LOG_ERR : NGX_LOG_INFO;

        ngx_log_error(level, r->connection->log, 0,
                      "otpreg: challenge refused by %V: \"%s\"",
                      &callout->uri, codes);

        return OTPREG_CHALLENGE_FAILED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "otpreg: challenge not checked by %V, status %ui%s%s",
                  &callout->uri, callout->status, codes[0] ? ", codes " : "",
                  codes);

    if (callout->status >= 400 && callout->status < 500
        && callout->status != 408 && callout->status != 429)
    {
        return OTPREG_CHALLENGE_FAILED;
    }

    return OTPREG_CHALLENGE_DOWN;
}


ngx_int_t
ngx_http_otpreg_challenge_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_otpreg_page_conf(r);

    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) "1";
    v->len = ngx_http_otpreg_challenge_wanted(r, olcf) ? 1 : 0;

    return NGX_OK;
}
