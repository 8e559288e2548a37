
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_outcome.h"


/* seconds until a queue or a database may be free again */
#define NGX_HTTP_OTPREG_RETRY_AFTER  5


/* a sentence may hold "{n}", the number that belongs to it */

typedef struct {
    ngx_uint_t                  status;
    ngx_str_t                   code;
    ngx_str_t                   sentence;
} ngx_http_otpreg_answer_t;


typedef ngx_uint_t (*ngx_http_otpreg_number_pt)(ngx_http_otpreg_ctx_t *ctx);


/* whether a client may try again by itself, and when */

typedef enum {
    NGX_HTTP_OTPREG_RETRY_NEVER = 0,
    NGX_HTTP_OTPREG_RETRY_SOON,
    NGX_HTTP_OTPREG_RETRY_THEN          /* ctx->answer.retry_after */
} ngx_http_otpreg_retry_e;


static ngx_uint_t ngx_http_otpreg_number_name(ngx_http_otpreg_ctx_t *ctx);
static ngx_uint_t ngx_http_otpreg_number_short(ngx_http_otpreg_ctx_t *ctx);
static ngx_uint_t ngx_http_otpreg_number_long(ngx_http_otpreg_ctx_t *ctx);
static ngx_uint_t ngx_http_otpreg_number_digits(ngx_http_otpreg_ctx_t *ctx);
static ngx_uint_t ngx_http_otpreg_number_seconds(ngx_http_otpreg_ctx_t *ctx);
static ngx_uint_t ngx_http_otpreg_number_minutes(ngx_http_otpreg_ctx_t *ctx);


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

    [OTPREG_PLAIN_HTTP] = {
        403, ngx_string("plain_http"),
        ngx_string("Signing up works over a secure connection only. Please "
                   "open this page with https:// in its address.") },

    [OTPREG_INVALID_FIELDS] = {
        422, ngx_string("invalid_fields"),
        ngx_string("Please correct the fields below.") },

    [OTPREG_FORM_EXPIRED] = {
        422, ngx_string("form_expired"),
        ngx_string("This form was open for too long. Enter your password "
                   "again and resubmit the form.") },

    [OTPREG_CHALLENGE_REQUIRED] = {
        422, ngx_string("challenge_required"),
        ngx_string("Please complete the check that you are not a robot.") },

    [OTPREG_CHALLENGE_FAILED] = {
        422, ngx_string("challenge_failed"),
        ngx_string("We could not confirm that you are not a robot. Please try "
                   "again.") },

    [OTPREG_NO_SIGNUP] = {
        409, ngx_string("no_signup"),
        ngx_string("No sign-up in this browser is waiting for verification. "
                   "If you have already verified it, log in. Otherwise, sign "
                   "up first.") },

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
        ngx_string("This email address or phone number already belongs to an "
                   "account. Please log in.") },

    [OTPREG_USERNAME_PROVED] = {
        409, ngx_string("username_proved"),
        ngx_string("Someone else has taken this username in the meantime. "
                   "Please sign up with another one.") },

    [OTPREG_RESEND_TOO_SOON] = {
        429, ngx_string("resend_too_soon"),
        ngx_string("Please wait {n} s before you request another message.") },

    [OTPREG_ADDRESS_LIMIT] = {
        429, ngx_string("address_limit"),
        ngx_string("Too many codes were requested for this email address or "
                   "phone number. Please try again later.") },

    [OTPREG_CLIENT_LIMIT] = {
        429, ngx_string("client_limit"),
        ngx_string("Too many requests came from your network. Please try "
                   "again in {n} minutes.") },

    [OTPREG_SMS_LIMIT] = {
        429, ngx_string("sms_limit"),
        ngx_string("We cannot send more text messages right now. Please try "
                   "again later, or use your email address if the form asks "
                   "for one.") },

    [OTPREG_MAIL_LIMIT] = {
        429, ngx_string("mail_limit"),
        ngx_string("We cannot send more emails right now. Please try again "
                   "later, or use your phone number if the form asks for "
                   "one.") },

    [OTPREG_CHANGE_LIMIT] = {
        422, ngx_string("change_limit"),
        ngx_string("The address was changed too often. Please sign up "
                   "again.") },

    [OTPREG_UNDELIVERABLE] = {
        422, ngx_string("undeliverable"),
        ngx_string("The message with your code could not be delivered. Please "
                   "correct the address or the number.") },

    [OTPREG_BUSY] = {
        503, ngx_string("busy"),
        ngx_string("We are very busy right now. Please try again in a few "
                   "seconds.") },

    [OTPREG_DATABASE_DOWN] = {
        503, ngx_string("unavailable"),
        ngx_string("The service is not available right now. Please try again "
                   "in a few seconds.") },

    [OTPREG_CHALLENGE_DOWN] = {
        503, ngx_string("challenge_unavailable"),
        ngx_string("The check that you are not a robot is not available right "
                   "now. Please try again in a few minutes.") },

    [OTPREG_BREACH_DOWN] = {
        503, ngx_string("password_unchecked"),
        ngx_string("Your password could not be checked right now. Please try "
                   "again in a few minutes.") },

    [OTPREG_ERROR] = {
        500, ngx_string("internal_error"),
        ngx_string("Something went wrong on our side. Please try again.") },

    [OTPREG_REQUIRED] = {
        422, ngx_string("required"),
        ngx_string("This field is required.") },

    [OTPREG_NOT_UTF8] = {
        422, ngx_string("not_utf8"),
        ngx_string("This field contains characters that cannot be read.") },

    [OTPREG_USERNAME_INVALID] = {
        422, ngx_string("username_invalid"),
        ngx_string("Enter a valid username: letters without accents, digits "
                   "and the characters . + - and underscore only.") },

    [OTPREG_USERNAME_ADDRESS] = {
        422, ngx_string("username_address"),
        ngx_string("Choose a username without @ that does not begin with "
                   "+.") },

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

    [OTPREG_PHONE_INVALID] = {
        422, ngx_string("phone_invalid"),
        ngx_string("Enter a phone number with its country code, for example "
                   "+44 7700 900018.") },

    [OTPREG_PHONE_COUNTRY] = {
        422, ngx_string("phone_country"),
        ngx_string("We cannot send messages to this country.") },

    [OTPREG_CHANNEL_INVALID] = {
        422, ngx_string("channel_invalid"),
        ngx_string("Choose where to send the code.") },

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

    [OTPREG_PASSWORD_BREACHED] = {
        422, ngx_string("password_breached"),
        ngx_string("This password has appeared in a data breach. Choose "
                   "another one.") },

    [OTPREG_PASSWORD_PERSONAL] = {
        422, ngx_string("password_personal"),
        ngx_string("The password must not be your username or email "
                   "address.") },

    [OTPREG_PASSWORD_CONTROL] = {
        422, ngx_string("password_control"),
        ngx_string("The password must not contain control characters.") },

    [OTPREG_PASSWORD_MISMATCH] = {
        422, ngx_string("password_mismatch"),
        ngx_string("Passwords do not match.") },

    [OTPREG_CODE_FORMAT] = {
        422, ngx_string("code_format"),
        ngx_string("Enter the {n} digits of the code.") }
};


/* what "{n}" is in a sentence */

static const ngx_http_otpreg_number_pt
    ngx_http_otpreg_numbers[OTPREG_OUTCOMES] =
{
    [OTPREG_USERNAME_TOO_LONG] = ngx_http_otpreg_number_name,
    [OTPREG_PASSWORD_TOO_SHORT] = ngx_http_otpreg_number_short,
    [OTPREG_PASSWORD_TOO_LONG] = ngx_http_otpreg_number_long,
    [OTPREG_CODE_FORMAT] = ngx_http_otpreg_number_digits,
    [OTPREG_RESEND_TOO_SOON] = ngx_http_otpreg_number_seconds,
    [OTPREG_CLIENT_LIMIT] = ngx_http_otpreg_number_minutes
};


static const ngx_http_otpreg_retry_e
    ngx_http_otpreg_retries[OTPREG_OUTCOMES] =
{
    [OTPREG_BUSY] = NGX_HTTP_OTPREG_RETRY_SOON,
    [OTPREG_DATABASE_DOWN] = NGX_HTTP_OTPREG_RETRY_SOON,
    [OTPREG_CHALLENGE_DOWN] = NGX_HTTP_OTPREG_RETRY_SOON,
    [OTPREG_BREACH_DOWN] = NGX_HTTP_OTPREG_RETRY_SOON,
    [OTPREG_RESEND_TOO_SOON] = NGX_HTTP_OTPREG_RETRY_THEN,
    [OTPREG_ADDRESS_LIMIT] = NGX_HTTP_OTPREG_RETRY_THEN,
    [OTPREG_CLIENT_LIMIT] = NGX_HTTP_OTPREG_RETRY_THEN,
    [OTPREG_SMS_LIMIT] = NGX_HTTP_OTPREG_RETRY_THEN,
    [OTPREG_MAIL_LIMIT] = NGX_HTTP_OTPREG_RETRY_THEN
};


ngx_uint_t
ngx_http_otpreg_outcome_status(otpreg_outcome_t outcome)
{
    return ngx_http_otpreg_answers[outcome].status;
}


const ngx_str_t *
ngx_http_otpreg_outcome_code(otpreg_outcome_t outcome)
{
    return &ngx_http_otpreg_answers[outcome].code;
}


ngx_int_t
ngx_http_otpreg_outcome_sentence(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_outcome_t outcome, ngx_str_t *sentence)
{
    u_char                            *n, *p;
    const ngx_str_t                   *text;
    ngx_http_otpreg_number_pt          number;
    const ngx_http_otpreg_language_t  *language;

    text = &ngx_http_otpreg_answers[outcome].sentence;
    language = ngx_http_otpreg_language(r, ctx->conf);

    if (language != NULL && language->sentences[outcome].len != 0) {
        text = &language->sentences[outcome];
    }

    *sentence = *text;

    n = text->len ? ngx_strnstr(text->data, "{n}", text->len) : NULL;
    if (n == NULL) {
        return NGX_OK;
    }

    number = ngx_http_otpreg_numbers[outcome];

    if (number == NULL) {
        number = ngx_http_otpreg_number_seconds;
    }

    p = ngx_pnalloc(r->pool, text->len + NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    sentence->data = p;

    p = ngx_cpymem(p, text->data, n - text->data);
    p = ngx_sprintf(p, "%ui", number(ctx));
    n += sizeof("{n}") - 1;
    p = ngx_cpymem(p, n, text->data + text->len - n);

    sentence->len = p - sentence->data;

    return NGX_OK;
}


time_t
ngx_http_otpreg_outcome_retry_after(ngx_http_otpreg_ctx_t *ctx)
{
    switch (ngx_http_otpreg_retries[ctx->outcome]) {

    case NGX_HTTP_OTPREG_RETRY_SOON:
        return NGX_HTTP_OTPREG_RETRY_AFTER;

    case NGX_HTTP_OTPREG_RETRY_THEN:
        return ctx->answer.retry_after;

    default:                            /* NGX_HTTP_OTPREG_RETRY_NEVER */
        return -1;
    }
}


static ngx_uint_t
ngx_http_otpreg_number_name(ngx_http_otpreg_ctx_t *ctx)
{
    return OTPREG_USERNAME_MAX;
}


static ngx_uint_t
ngx_http_otpreg_number_short(ngx_http_otpreg_ctx_t *ctx)
{
    return ctx->conf->password_min;
}


static ngx_uint_t
ngx_http_otpreg_number_long(ngx_http_otpreg_ctx_t *ctx)
{
    return ctx->conf->password_max;
}


static ngx_uint_t
ngx_http_otpreg_number_digits(ngx_http_otpreg_ctx_t *ctx)
{
    return ctx->has_ticket ? ctx->ticket.otp.digits : ctx->conf->code_length;
}


static ngx_uint_t
ngx_http_otpreg_number_seconds(ngx_http_otpreg_ctx_t *ctx)
{
    return ctx->answer.retry_after;
}


/* never one, so that a sentence needs no singular */

static ngx_uint_t
ngx_http_otpreg_number_minutes(ngx_http_otpreg_ctx_t *ctx)
{
    return ngx_max((ctx->answer.retry_after + 59) / 60, 2);
}
