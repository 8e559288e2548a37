
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_json.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_outcome.h"
#include "ngx_http_otpreg_page.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_ticket.h"


static ngx_uint_t ngx_http_otpreg_reply_news(
    const ngx_http_otpreg_ctx_t *ctx);
static ngx_int_t ngx_http_otpreg_reply_ok(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static ngx_int_t ngx_http_otpreg_add_argument(ngx_http_request_t *r,
    ngx_str_t *uri, const char *argument);
static ngx_int_t ngx_http_otpreg_reply_json_ok(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_str_t *next);
static ngx_http_complex_value_t *ngx_http_otpreg_reply_uri(
    ngx_http_otpreg_ctx_t *ctx, size_t offset);
static ngx_int_t ngx_http_otpreg_reply_problem(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static ngx_int_t ngx_http_otpreg_problem_fields(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_json_t *json);
static ngx_int_t ngx_http_otpreg_reply_page(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static ngx_int_t ngx_http_otpreg_redirect(ngx_http_request_t *r,
    ngx_str_t *uri);
static ngx_int_t ngx_http_otpreg_send_json(ngx_http_request_t *r,
    ngx_http_otpreg_json_t *json, ngx_uint_t status, const char *type);
static ngx_int_t ngx_http_otpreg_add_retry_after(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);


ngx_int_t
ngx_http_otpreg_reply(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    if (!ctx->done) {
        ngx_http_otpreg_metric_refusal(ctx);

        if (ngx_http_otpreg_add_retry_after(r, ctx) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ctx->done = 1;

    if (ctx->outcome == OTPREG_OK
        || (ctx->answer.json && ngx_http_otpreg_reply_news(ctx)))
    {
        return ngx_http_otpreg_reply_ok(r, ctx);
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "otpreg: refused: %V",
                  ngx_http_otpreg_outcome_code(ctx->outcome));

    if (ctx->answer.json) {
        return ngx_http_otpreg_reply_problem(r, ctx);
    }

    return ngx_http_otpreg_reply_page(r, ctx);
}


/* what a page that was asked for has to say about the code: no error */

static ngx_uint_t
ngx_http_otpreg_reply_news(const ngx_http_otpreg_ctx_t *ctx)
{
    return !ctx->posted
           && (ctx->outcome == OTPREG_UNDELIVERABLE
               || ctx->outcome == OTPREG_CODE_SPENT);
}


static ngx_int_t
ngx_http_otpreg_reply_ok(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    ngx_int_t  rc;
    ngx_str_t  uri;
    size_t     next;

    if (!ctx->posted && !(ctx->answer.json && ctx->page->tells)) {
        return ngx_http_otpreg_reply_page(r, ctx);
    }

    next = ctx->answer.ended ? ctx->flow->end_uri : ctx->flow->verify_uri;

    if (ngx_http_complex_value(r, ngx_http_otpreg_reply_uri(ctx, next), &uri)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (!ctx->posted) {                 /* a look: the cookie stays */
        return ngx_http_otpreg_reply_json_ok(r, ctx, &uri);
    }

    /* by when the answer leaves, not by when the work ended */

    ctx->ticket.sent_at = ngx_time();

    if (ctx->answer.lifetime != 0) {
        ctx->ticket.expires_at = ngx_time() + ctx->answer.lifetime;
    }

    rc = ctx->answer.ended ? ngx_http_otpreg_clear_cookie(r, ctx)
                           : ngx_http_otpreg_set_cookie(r, ctx);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->answer.json) {
        return ngx_http_otpreg_reply_json_ok(r, ctx, &uri);
    }

    if (ctx->answer.argument != NULL
        && ngx_http_otpreg_add_argument(r, &uri, ctx->answer.argument)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_otpreg_redirect(r, &uri);
}


/* one of ctx->flow */

static ngx_http_complex_value_t *
ngx_http_otpreg_reply_uri(ngx_http_otpreg_ctx_t *ctx, size_t offset)
{
    char  *conf;

    conf = (char *) ctx->conf;

    return *(ngx_http_complex_value_t **) (conf + offset);
}


/*
 * the page that comes next says so: $arg_resent, $arg_changed, $arg_next,
 * $arg_no_signup
 */

static ngx_int_t
ngx_http_otpreg_add_argument(ngx_http_request_t *r, ngx_str_t *uri,
    const char *argument)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, uri->len + 1 + ngx_strlen(argument));
    if (p == NULL) {
        return NGX_ERROR;
    }

    uri->len = ngx_sprintf(p, "%V%c%s", uri,
                           ngx_strlchr(uri->data, uri->data + uri->len, '?')
                           ? '&' : '?', argument)
               - p;
    uri->data = p;

    return NGX_OK;
}


static ngx_int_t
ngx_http_otpreg_reply_json_ok(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_str_t *next)
{
    u_char                  masked[OTPREG_EMAIL_MAX + 4];
    ngx_str_t               to, detail;
    ngx_http_otpreg_json_t  json;

    if (ngx_http_otpreg_json_create(r->pool, &json) != NGX_OK
        || ngx_http_otpreg_outcome_sentence(r, ctx, ctx->outcome, &detail)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_otpreg_json_string(&json, "next", next);

    if (!ctx->answer.ended) {
        to.data = masked;
        to.len = ngx_http_otpreg_mask(&ctx->ticket.otp, masked);

        ngx_http_otpreg_json_text(&json, "channel",
                     ngx_http_otpreg_channel_name(ctx->ticket.otp.channel));
        ngx_http_otpreg_json_string(&json, "to", &to);
        ngx_http_otpreg_json_number(&json, "expires_in",
                                    ngx_http_otpreg_expires_in(ctx));
        ngx_http_otpreg_json_number(&json, "resend_in",
                                    ngx_http_otpreg_resend_in(ctx));
    }

    if (ctx->outcome != OTPREG_OK) {
        ngx_http_otpreg_json_string(&json, "code",
                                ngx_http_otpreg_outcome_code(ctx->outcome));
        ngx_http_otpreg_json_string(&json, "detail", &detail);
    }

    return ngx_http_otpreg_send_json(r, &json, ctx->page->status,
                                     "application/json");
}


/* RFC 9457, with a stable code for the whole and for each field */

static ngx_int_t
ngx_http_otpreg_reply_problem(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    ngx_str_t               detail;
    ngx_uint_t              status;
    ngx_http_otpreg_json_t  json;

    status = ngx_http_otpreg_outcome_status(ctx->outcome);

    if (ngx_http_otpreg_json_create(r->pool, &json) != NGX_OK
        || ngx_http_otpreg_outcome_sentence(r, ctx, ctx->outcome, &detail)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_otpreg_json_text(&json, "type", "about:blank");
    ngx_http_otpreg_json_number(&json, "status", status);
    ngx_http_otpreg_json_string(&json, "code",
                                ngx_http_otpreg_outcome_code(ctx->outcome));
    ngx_http_otpreg_json_string(&json, "detail", &detail);

    if (ctx->answer.has_attempts) {
        ngx_http_otpreg_json_number(&json, "attempts_left",
                                    ctx->answer.attempts_left);
    }

    if (ctx->outcome == OTPREG_INVALID_FIELDS
        && ngx_http_otpreg_problem_fields(r, ctx, &json) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_otpreg_send_json(r, &json, status,
                                     "application/problem+json");
}


static ngx_int_t
ngx_http_otpreg_problem_fields(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_json_t *json)
{
    ngx_str_t   detail;
    ngx_uint_t  i;

    ngx_http_otpreg_json_array(json, "errors");

    for (i = 0; i < NGX_HTTP_OTPREG_FIELDS; i++) {

        if (ctx->fields[i] == OTPREG_OK) {
            continue;
        }

        if (ngx_http_otpreg_outcome_sentence(r, ctx, ctx->fields[i], &detail)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_otpreg_json_object(json);
        ngx_http_otpreg_json_string(json, "field",
                                    ngx_http_otpreg_field_name(i));
        ngx_http_otpreg_json_string(json, "code",
                             ngx_http_otpreg_outcome_code(ctx->fields[i]));
        ngx_http_otpreg_json_string(json, "detail", &detail);
        ngx_http_otpreg_json_close(json);
    }

    ngx_http_otpreg_json_close(json);

    return NGX_OK;
}


/*
 * A page is a URI: nginx goes there by an internal redirect, as GET, with the
 * status of the outcome.  What has no page of its own, as a resend, goes to the
 * one where it is said, which finds the outcome in the context.
 */

static ngx_int_t
ngx_http_otpreg_reply_page(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    ngx_str_t                  uri;
    ngx_http_complex_value_t  *value;

    if (ctx->outcome == OTPREG_NO_SIGNUP && !ctx->posted) {
        value = ngx_http_otpreg_reply_uri(ctx, ctx->flow->begin_uri);

    } else if (ctx->page->said_on != NULL) {
        value = ngx_http_otpreg_reply_uri(ctx, ctx->flow->verify_uri);

    } else {
        value = ctx->conf->page_uri;
    }

    if (ngx_http_complex_value(r, value, &uri) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->outcome == OTPREG_NO_SIGNUP && !ctx->posted) {

        if (ngx_http_otpreg_add_argument(r, &uri, "no_signup=1") != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_otpreg_redirect(r, &uri);
    }

    if (ctx->page->said_on != NULL
        && (uri.len == 0 || uri.data[0] != '/'))
    {
        return ngx_http_otpreg_redirect(r, &uri);
    }

    /* a page that was asked for is no error, whatever it has to say */

    if (ctx->outcome != OTPREG_OK && !ngx_http_otpreg_reply_news(ctx)) {
        r->err_status = ngx_http_otpreg_outcome_status(ctx->outcome);
    }

    if (r->method != NGX_HTTP_HEAD) {
        r->method = NGX_HTTP_GET;
        r->method_name.data = (u_char *) "GET";
        r->method_name.len = 3;
    }

    if (uri.len == 0) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "otpreg: the page \"%V\" is empty", &value->value);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (uri.data[0] == '@') {
        return ngx_http_named_location(r, &uri);
    }

    return ngx_http_internal_redirect(r, &uri, &r->args);
}


static ngx_int_t
ngx_http_otpreg_redirect(ngx_http_request_t *r, ngx_str_t *uri)
{
    ngx_int_t  rc;
    ngx_str_t  location;

    location = *uri;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    /*
     * not through headers_out.location: nginx would make it absolute from the
     * Host header, which the client chooses
     */

    if (ngx_http_otpreg_add_header(r, "Location", &location) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_SEE_OTHER;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


static ngx_int_t
ngx_http_otpreg_send_json(ngx_http_request_t *r, ngx_http_otpreg_json_t *json,
    ngx_uint_t status, const char *type)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_http_otpreg_json_finish(json);
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = b->last - b->pos;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static ngx_int_t
ngx_http_otpreg_add_retry_after(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    time_t     seconds;
    ngx_str_t  value;

    seconds = ngx_http_otpreg_outcome_retry_after(ctx);

    if (seconds == -1) {
        return NGX_OK;
    }

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", seconds) - value.data;

    return ngx_http_otpreg_add_header(r, "Retry-After", &value);
}
