
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "ngx_http_otpreg_json.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_request.h"


/* what a client should wait after a 503, seconds */
#define NGX_HTTP_OTPREG_RETRY_AFTER     5


/* a sentence may hold "{n}", the number that belongs to it */

typedef struct {
    ngx_uint_t                  status;
    ngx_str_t                   code;
    ngx_str_t                   sentence;
} ngx_http_otpreg_answer_t;


static ngx_int_t ngx_http_otpreg_reply_ok(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static ngx_int_t ngx_http_otpreg_add_argument(ngx_http_request_t *r,
    ngx_str_t *uri, const char *argument);
static ngx_int_t ngx_http_otpreg_reply_json_ok(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_str_t *next);
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
static ngx_int_t ngx_http_otpreg_add_headers(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
static ngx_int_t ngx_http_otpreg_add_retry_after(ngx_http_request_t *r,
    time_t seconds);
static ngx_uint_t ngx_http_otpreg_number(ngx_http_otpreg_ctx_t *ctx,
    otpreg_outcome_t outcome);


static const ngx_http_otpreg_answer_t
    ngx_http_otpreg_answers[OTPREG_OUTCOMES] =
{
    [OTPREG_OK] = {
        200, ngx_null_string, ngx_null_string },

    [OTPREG_BODY_MALFORMED] = {
        400, ngx_string("malformed_body"),
        ngx_string("The form could not be read. Please try again.") },

    [OTPREG_BODY_TOO_LARGE] = {
        413, ngx_string("body_too_large"),
        ngx_string("What was sent is too large.") },

    [OTPREG_BODY_TYPE] = {
        415, ngx_string("unsupported_content_type"),
        ngx_string("Send application/x-www-form-urlencoded or "
                   "application/json.") },

    [OTPREG_CROSS_SITE] = {
        403, ngx_string("cross_site"),
        ngx_string("The form was sent by another site. Please fill it in "
                   "here.") },

    [OTPREG_INVALID_FIELDS] = {
        422, ngx_string("invalid_fields"),
        ngx_string("Please correct the fields below.") },

    [OTPREG_NO_SIGNUP] = {
        409, ngx_string("no_signup"),
        ngx_string("No sign-up is waiting for a code in this browser. Please "
                   "register first.") },

    [OTPREG_CODE_WRONG] = {
        422, ngx_string("code_wrong"),
        ngx_string("Invalid OTP. Please try again.") },

    [OTPREG_CODE_SPENT] = {
        422, ngx_string("code_spent"),
        ngx_string("Too many wrong attempts. This code no longer works. "
                   "Please request a new one.") },

    [OTPREG_CODE_EXPIRED] = {
        422, ngx_string("code_expired"),
        ngx_string("This code has expired. Please request a new one.") },

    [OTPREG_CODE_USED] = {
        409, ngx_string("code_used"),
        ngx_string("This code was used already. If that was you, you can log "
                   "in.") },

    [OTPREG_ADDRESS_PROVED] = {
        409, ngx_string("address_proved"),
        ngx_string("This address belongs to an account already. Please log "
                   "in.") },

    [OTPREG_USERNAME_PROVED] = {
        409, ngx_string("username_proved"),
        ngx_string("Somebody else took this username in the meantime. Please "
                   "register with another one.") },

    [OTPREG_RESEND_TOO_SOON] = {
        429, ngx_string("resend_too_soon"),
        ngx_string("Please wait {n} seconds before you request another "
                   "message.") },

    [OTPREG_BUSY] = {
        503, ngx_string("busy"),
        ngx_string("We are very busy right now. Please try again in a few "
                   "seconds.") },

    [OTPREG_DATABASE_DOWN] = {
        503, ngx_string("unavailable"),
        ngx_string("The service is not available right now. Please try again "
                   "in a few seconds.") },

    [OTPREG_ERROR] = {
        500, ngx_string("internal_error"),
        ngx_string("Something went wrong on our side. Please try again.") },

    [OTPREG_REQUIRED] = {
        422, ngx_string("required"),
        ngx_string("This field is required.") },

    [OTPREG_NOT_UTF8] = {
        422, ngx_string("not_utf8"),
        ngx_string("This holds characters that cannot be read.") },

    [OTPREG_USERNAME_INVALID] = {
        422, ngx_string("username_invalid"),
        ngx_string("Enter a valid username: letters, digits and @ . + - _ "
                   "only.") },

    [OTPREG_USERNAME_TOO_LONG] = {
        422, ngx_string("username_too_long"),
        ngx_string("Use at most {n} characters.") },

    [OTPREG_USERNAME_TAKEN] = {
        422, ngx_string("username_taken"),
        ngx_string("A user with that username already exists.") },

    [OTPREG_EMAIL_INVALID] = {
        422, ngx_string("email_invalid"),
        ngx_string("Enter a valid email address.") },

    [OTPREG_EMAIL_TOO_LONG] = {
        422, ngx_string("email_too_long"),
        ngx_string("This email address is too long.") },

    [OTPREG_PASSWORD_TOO_SHORT] = {
        422, ngx_string("password_too_short"),
        ngx_string("Use at least {n} characters.") },

    [OTPREG_PASSWORD_TOO_LONG] = {
        422, ngx_string("password_too_long"),
        ngx_string("Use at most {n} characters.") },

    [OTPREG_PASSWORD_COMMON] = {
        422, ngx_string("password_common"),
        ngx_string("This password is on a list of common passwords. Choose "
                   "another one.") },

    [OTPREG_PASSWORD_PERSONAL] = {
        422, ngx_string("password_personal"),
        ngx_string("The password must not be your username or email "
                   "address.") },

    [OTPREG_PASSWORD_CONTROL] = {
        422, ngx_string("password_control"),
        ngx_string("The password must not hold control characters.") },

    [OTPREG_PASSWORD_MISMATCH] = {
        422, ngx_string("password_mismatch"),
        ngx_string("Passwords do not match.") },

    [OTPREG_CODE_FORMAT] = {
        422, ngx_string("code_format"),
        ngx_string("Enter the {n} digits of the code.") }
};


static const ngx_str_t  ngx_http_otpreg_field_names[] = {
    ngx_string("username"),
    ngx_string("email"),
    ngx_string("password"),
    ngx_string("confirm_password"),
    ngx_string("otp")
};


ngx_int_t
ngx_http_otpreg_reply(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    if (!ctx->done && ngx_http_otpreg_add_headers(r, ctx) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->done = 1;

    if (ctx->outcome == OTPREG_OK) {
        return ngx_http_otpreg_reply_ok(r, ctx);
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "otpreg: refused: %V",
                  &ngx_http_otpreg_answers[ctx->outcome].code);

    if (ctx->json) {
        return ngx_http_otpreg_reply_problem(r, ctx);
    }

    return ngx_http_otpreg_reply_page(r, ctx);
}


static ngx_int_t
ngx_http_otpreg_reply_ok(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    ngx_int_t                    rc;
    ngx_str_t                    uri;

    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD)) {
        return ngx_http_otpreg_reply_page(r, ctx);
    }

    if (ngx_http_complex_value(r, (ctx->role == NGX_HTTP_OTPREG_VERIFY)
                                  ? ctx->conf->login_uri : ctx->conf->verify_uri, &uri)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = (ctx->role == NGX_HTTP_OTPREG_VERIFY)
         ? ngx_http_otpreg_clear_cookie(r, ctx)
         : ngx_http_otpreg_set_cookie(r, ctx);

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->json) {
        return ngx_http_otpreg_reply_json_ok(r, ctx, &uri);
    }

    if (ctx->role == NGX_HTTP_OTPREG_RESEND
        && ngx_http_otpreg_add_argument(r, &uri, "resent=1") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_otpreg_redirect(r, &uri);
}


/* the page that comes next says so: $arg_resent */

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
    ngx_str_t               to;
    ngx_http_otpreg_json_t  json;

    if (ngx_http_otpreg_json_create(r->pool, &json) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_otpreg_json_string(&json, "next", next);

    if (ctx->role != NGX_HTTP_OTPREG_VERIFY) {
        to.data = masked;
        to.len = otpreg_email_mask(ctx->ticket.otp.address, (char *) masked);

        ngx_http_otpreg_json_text(&json, "channel", "email");
        ngx_http_otpreg_json_string(&json, "to", &to);
        ngx_http_otpreg_json_number(&json, "expires_in",
                                    ngx_http_otpreg_expires_in(ctx));
        ngx_http_otpreg_json_number(&json, "resend_in",
                                    ngx_http_otpreg_resend_in(ctx));
    }

    return ngx_http_otpreg_send_json(r, &json,
                                     (ctx->role == NGX_HTTP_OTPREG_REGISTER)
                                     ? NGX_HTTP_CREATED : NGX_HTTP_OK,
                                     "application/json");
}


/* RFC 9457, with a stable code for the whole and for each field */

static ngx_int_t
ngx_http_otpreg_reply_problem(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    ngx_str_t                        detail;
    ngx_http_otpreg_json_t           json;
    const ngx_http_otpreg_answer_t  *answer;

    answer = &ngx_http_otpreg_answers[ctx->outcome];

    if (ngx_http_otpreg_json_create(r->pool, &json) != NGX_OK
        || ngx_http_otpreg_outcome_sentence(r, ctx, ctx->outcome, &detail)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_otpreg_json_text(&json, "type", "about:blank");
    ngx_http_otpreg_json_number(&json, "status", answer->status);
    ngx_http_otpreg_json_string(&json, "code", &answer->code);
    ngx_http_otpreg_json_string(&json, "detail", &detail);

    if (ctx->has_attempts) {
        ngx_http_otpreg_json_number(&json, "attempts_left",
                                    ctx->attempts_left);
    }

    if (ctx->outcome == OTPREG_INVALID_FIELDS
        && ngx_http_otpreg_problem_fields(r, ctx, &json) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_otpreg_send_json(r, &json, answer->status,
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
                                    &ngx_http_otpreg_field_names[i]);
        ngx_http_otpreg_json_string(json, "code",
                             &ngx_http_otpreg_answers[ctx->fields[i]].code);
        ngx_http_otpreg_json_string(json, "detail", &detail);
        ngx_http_otpreg_json_close(json);
    }

    ngx_http_otpreg_json_close(json);

    return NGX_OK;
}


/*
 * A page is a URI: nginx goes there by an internal redirect, as GET, with the
 * status of the outcome.  A resend has no page of its own: what it has to say
 * is said on the verify page, which finds the outcome in the context.
 */

static ngx_int_t
ngx_http_otpreg_reply_page(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    ngx_str_t                    uri;

    if (ngx_http_complex_value(r, (ctx->role == NGX_HTTP_OTPREG_RESEND)
                                  ? ctx->conf->verify_uri
                                  : (ctx->outcome == OTPREG_NO_SIGNUP)
                                  ? ctx->conf->register_uri : ctx->conf->page, &uri)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ctx->outcome == OTPREG_NO_SIGNUP
        || (ctx->role == NGX_HTTP_OTPREG_RESEND
            && (uri.len == 0 || uri.data[0] != '/')))
    {
        return ngx_http_otpreg_redirect(r, &uri);
    }

    if (ctx->outcome != OTPREG_OK) {
        r->err_status = ngx_http_otpreg_answers[ctx->outcome].status;
    }

    if (r->method != NGX_HTTP_HEAD) {
        r->method = NGX_HTTP_GET;
        r->method_name.data = (u_char *) "GET";
        r->method_name.len = 3;
    }

    if (uri.len != 0 && uri.data[0] == '@') {
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
ngx_http_otpreg_add_headers(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx)
{
    ngx_str_t                    csp;
    ngx_uint_t                   i;

    static struct {
        const char  *name;
        ngx_str_t    value;
    } headers[] = {
        { "Cache-Control", ngx_string("no-store") },
        { "Vary", ngx_string("Accept") },
        { "Referrer-Policy", ngx_string("no-referrer") },
        { "X-Content-Type-Options", ngx_string("nosniff") },
        { "X-Frame-Options", ngx_string("DENY") }
    };

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        if (ngx_http_otpreg_add_header(r, headers[i].name, &headers[i].value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_complex_value(r, ctx->conf->csp, &csp) != NGX_OK
        || (csp.len != 0
            && ngx_http_otpreg_add_header(r, "Content-Security-Policy", &csp)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    switch (ctx->outcome) {

    case OTPREG_BUSY:
    case OTPREG_DATABASE_DOWN:
        return ngx_http_otpreg_add_retry_after(r, NGX_HTTP_OTPREG_RETRY_AFTER);

    case OTPREG_RESEND_TOO_SOON:
        return ngx_http_otpreg_add_retry_after(r, ctx->retry_after);

    default:
        return NGX_OK;
    }
}


static ngx_int_t
ngx_http_otpreg_add_retry_after(ngx_http_request_t *r, time_t seconds)
{
    ngx_str_t  value;

    value.data = ngx_pnalloc(r->pool, NGX_TIME_T_LEN);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    value.len = ngx_sprintf(value.data, "%T", seconds) - value.data;

    return ngx_http_otpreg_add_header(r, "Retry-After", &value);
}


void
ngx_http_otpreg_outcome_code(otpreg_outcome_t outcome, ngx_str_t *code)
{
    *code = ngx_http_otpreg_answers[outcome].code;
}


ngx_int_t
ngx_http_otpreg_outcome_sentence(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_outcome_t outcome, ngx_str_t *sentence)
{
    u_char           *n, *p;
    const ngx_str_t  *text;

    text = &ngx_http_otpreg_answers[outcome].sentence;
    *sentence = *text;

    n = text->len ? ngx_strnstr(text->data, "{n}", text->len) : NULL;
    if (n == NULL) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, text->len + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    sentence->data = p;

    p = ngx_cpymem(p, text->data, n - text->data);
    p = ngx_sprintf(p, "%ui", ngx_http_otpreg_number(ctx, outcome));
    n += sizeof("{n}") - 1;
    p = ngx_cpymem(p, n, text->data + text->len - n);

    sentence->len = p - sentence->data;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_otpreg_number(ngx_http_otpreg_ctx_t *ctx, otpreg_outcome_t outcome)
{

    switch (outcome) {

    case OTPREG_USERNAME_TOO_LONG:
        return OTPREG_USERNAME_MAX;

    case OTPREG_PASSWORD_TOO_SHORT:
        return ctx->conf->password_min;

    case OTPREG_PASSWORD_TOO_LONG:
        return ctx->conf->password_max;

    case OTPREG_CODE_FORMAT:
        return ctx->has_ticket ? ctx->ticket.otp.digits : ctx->conf->code_length;

    default:                            /* OTPREG_RESEND_TOO_SOON */
        return ctx->retry_after;
    }
}


time_t
ngx_http_otpreg_expires_in(ngx_http_otpreg_ctx_t *ctx)
{
    return ngx_max(ctx->ticket.expires_at - ngx_time(), 0);
}


time_t
ngx_http_otpreg_resend_in(ngx_http_otpreg_ctx_t *ctx)
{

    return ngx_max(ctx->ticket.sent_at + ctx->conf->resend_delay - ngx_time(), 0);
}
