
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_message.h"

#include "ngx_http_otpreg_background.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_task.h"
#include "ngx_http_otpreg_verdict.h"


static ngx_http_otpreg_delivery_t *ngx_http_otpreg_deliver_create(
    ngx_http_otpreg_realm_t *realm, const otpreg_store_message_t *message);
static void ngx_http_otpreg_deliver_wake(ngx_http_request_t *r);
static ngx_int_t ngx_http_otpreg_deliver_next(ngx_http_request_t *r,
    ngx_http_otpreg_delivery_t *d);
static ngx_int_t ngx_http_otpreg_deliver_start(ngx_http_request_t *r,
    ngx_http_otpreg_delivery_t *d, ngx_str_t *uri, ngx_str_t *body);
static ngx_int_t ngx_http_otpreg_deliver_answer(ngx_http_request_t *sr,
    void *data, ngx_int_t rc);
static time_t ngx_http_otpreg_deliver_retry_after(ngx_http_request_t *sr);
static ngx_int_t ngx_http_otpreg_deliver_rendered(
    ngx_http_otpreg_delivery_t *d);
static ngx_uint_t ngx_http_otpreg_deliver_another(
    ngx_http_otpreg_delivery_t *d);
static ngx_int_t ngx_http_otpreg_deliver_courier(ngx_http_request_t *r,
    ngx_http_otpreg_delivery_t *d);
static void ngx_http_otpreg_deliver_broken(void *data);
static void ngx_http_otpreg_deliver_done(void *data);


ngx_int_t
ngx_http_otpreg_deliver(ngx_http_otpreg_realm_t *realm,
    const otpreg_store_message_t *message)
{
    ngx_http_request_t          *r;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_delivery_t  *d;

    d = ngx_http_otpreg_deliver_create(realm, message);

    if (d == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_deliver_code(d) != NGX_OK) {
        ngx_http_otpreg_deliver_done(d);
        return NGX_OK;
    }

    r = ngx_http_otpreg_background_create(realm->conf_ctx,
                                        NGX_HTTP_OTPREG_SEND_TIME,
                                        ngx_http_otpreg_deliver_wake,
                                        ngx_http_otpreg_deliver_broken,
                                        ngx_http_otpreg_deliver_done, d);
    if (r == NULL) {
        d->error = 1;
        ngx_sprintf(d->reason, "no free connection%Z");
        ngx_http_otpreg_deliver_done(d);
        return NGX_OK;
    }

    ctx = ngx_http_otpreg_make_ctx(r);

    if (ctx != NULL) {
        ctx->background.delivery = d;
        ctx->conf = realm->conf;
        r->write_event_handler(r);

    } else {
        d->error = 1;
        ngx_http_otpreg_background_end(r);
    }

    return NGX_OK;
}


static ngx_http_otpreg_delivery_t *
ngx_http_otpreg_deliver_create(ngx_http_otpreg_realm_t *realm,
    const otpreg_store_message_t *message)
{
    ngx_pool_t                  *pool;
    ngx_http_otpreg_delivery_t  *d;

    pool = ngx_http_otpreg_background_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    d = ngx_pcalloc(pool, sizeof(ngx_http_otpreg_delivery_t));
    if (d == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    d->realm = realm;
    d->pool = pool;
    d->message = *message;
    d->start = ngx_http_otpreg_task_now();
    d->step = NGX_HTTP_OTPREG_STEP_TEXT;

    return d;
}


/* begins a delivery, and goes on with it after each subrequest */

static void
ngx_http_otpreg_deliver_wake(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_delivery_t  *d;

    ctx = ngx_http_otpreg_get_ctx(r);
    d = ctx->background.delivery;

    if (d->waiting) {

        if (!d->waiting->done) {
            return;
        }

        d->waiting = NULL;

        if (d->step == NGX_HTTP_OTPREG_STEP_COURIER
            ? !ngx_http_otpreg_deliver_another(d)
            : ngx_http_otpreg_deliver_rendered(d) != NGX_OK)
        {
            ngx_http_otpreg_background_end(r);
            return;
        }

        if (d->step != NGX_HTTP_OTPREG_STEP_COURIER) {
            d->step++;
        }
    }

    rc = ngx_http_otpreg_deliver_next(r, d);

    if (rc != NGX_OK) {
        d->error = 1;
        ngx_http_otpreg_background_end(r);
        return;
    }

    ngx_http_otpreg_background_run(r);
}


static ngx_int_t
ngx_http_otpreg_deliver_next(ngx_http_request_t *r,
    ngx_http_otpreg_delivery_t *d)
{
    ngx_str_t                    uri;
    ngx_http_complex_value_t    *template;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = d->realm->conf;

    for ( /* void */ ; d->step < NGX_HTTP_OTPREG_STEP_COURIER; d->step++) {

        if (d->message.otp.channel == OTPREG_CHANNEL_SMS) {
            template = (d->step == NGX_HTTP_OTPREG_STEP_TEXT) ? olcf->sms_text
                                                              : NULL;
        } else {
            template = (d->step == NGX_HTTP_OTPREG_STEP_TEXT)
                       ? olcf->mail_text : olcf->mail_html;
        }

        if (template == NULL) {
            continue;
        }

        if (ngx_http_complex_value(r, template, &uri) != NGX_OK) {
            return NGX_ERROR;
        }

        if (uri.len != 0) {
            d->template = uri;
            return ngx_http_otpreg_deliver_start(r, d, &uri, NULL);
        }
    }

    return ngx_http_otpreg_deliver_courier(r, d);
}


static ngx_int_t
ngx_http_otpreg_deliver_start(ngx_http_request_t *r,
    ngx_http_otpreg_delivery_t *d, ngx_str_t *uri, ngx_str_t *body)
{
    d->status = 0;
    d->answered = 0;
    d->error = 0;
    d->unsent = 0;
    d->asked = NULL;
    ngx_str_null(&d->body);

    d->waiting = ngx_http_otpreg_background_subrequest(r, uri, body,
                                          ngx_http_otpreg_deliver_answer, d);

    return d->waiting ? NGX_OK : NGX_ERROR;
}


/*
 * Called twice when an answer of 300 or more comes from nginx itself: only
 * state is overwritten here, the decision is taken at the end.
 */

static ngx_int_t
ngx_http_otpreg_deliver_answer(ngx_http_request_t *sr, void *data,
    ngx_int_t rc)
{
    ngx_http_otpreg_delivery_t  *d = data;

    ngx_buf_t  *b;
    ngx_str_t   body;

    if (!d->answered) {

        /* an "error_page" of the server may lead it elsewhere afterwards */

        d->asked = ngx_http_get_module_loc_conf(sr, ngx_http_otpreg_module);
    }

    d->answered = 1;
    d->status = sr->headers_out.status;

    if (d->status == 0 && rc >= NGX_HTTP_OK && rc < 600) {
        d->status = rc;
    }

    d->retry_after = ngx_http_otpreg_deliver_retry_after(sr);

    d->error = (rc == NGX_ERROR);
    b = (sr->out != NULL) ? sr->out->buf : NULL;

    if (d->step == NGX_HTTP_OTPREG_STEP_COURIER || d->error || b == NULL) {
        return NGX_OK;
    }

    body.data = b->pos;
    body.len = b->last - b->pos;

    d->body.data = ngx_pstrdup(d->pool, &body);
    d->body.len = body.len;

    if (d->body.data == NULL) {
        d->error = 1;
    }

    return NGX_OK;
}


static time_t
ngx_http_otpreg_deliver_retry_after(ngx_http_request_t *sr)
{
    time_t            seconds;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &sr->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash == 0
                || h[i].key.len != sizeof("Retry-After") - 1
                || ngx_strncasecmp(h[i].key.data, (u_char *) "Retry-After",
                                   h[i].key.len)
                   != 0)
            {
                continue;
            }

            seconds = ngx_atotm(h[i].value.data, h[i].value.len);

            if (seconds == NGX_ERROR) {
                seconds = ngx_parse_http_time(h[i].value.data,
                                              h[i].value.len)
                          - ngx_time();
            }

            return ngx_max(seconds, 0);
        }
    }

    return 0;
}


/* a template was rendered: NGX_OK, or NGX_ERROR with the reason */

static ngx_int_t
ngx_http_otpreg_deliver_rendered(ngx_http_otpreg_delivery_t *d)
{
    otpreg_str_t  subject, body;

    if (d->error || d->status != NGX_HTTP_OK || d->body.len == 0) {
        ngx_snprintf(d->reason, OTPREG_REASON_MAX,
                     "the %s template answered %ui%s%Z",
                     (d->step == NGX_HTTP_OTPREG_STEP_TEXT) ? "text" : "html",
                     d->status, d->error ? ", too large or broken off" : "");
        d->error = 1;
        d->fault = 1;
        return NGX_ERROR;
    }

    if (d->step == NGX_HTTP_OTPREG_STEP_HTML) {
        d->html = d->body;
        return ngx_http_otpreg_text_check(d, "html", &d->html);
    }

    otpreg_text_split(ngx_http_otpreg_str(&d->body), &subject, &body);

    d->subject.data = (u_char *) subject.data;
    d->subject.len = subject.len;
    d->text.data = (u_char *) body.data;
    d->text.len = body.len;

    return ngx_http_otpreg_text_check(d, "text", &d->text);
}


/*
 * Whether the next courier shall try: the failure was the courier's, not the
 * message's.
 */

static ngx_uint_t
ngx_http_otpreg_deliver_another(ngx_http_otpreg_delivery_t *d)
{
    u_char                     hex[OTPREG_ID_LEN * 2];
    ngx_str_t                  id, *uri;
    ngx_array_t               *couriers;
    ngx_http_otpreg_verdict_e  verdict;

    couriers = d->realm->conf->couriers[d->message.otp.channel - 1];
    verdict = ngx_http_otpreg_verdict(d->asked, d->status);

    if (d->courier + 1 == couriers->nelts
        || verdict == NGX_HTTP_OTPREG_VERDICT_SENT
        || verdict == NGX_HTTP_OTPREG_VERDICT_REFUSED)
    {
        return 0;
    }

    ngx_http_otpreg_deliver_reason(d);

    uri = couriers->elts;
    id.data = hex;
    id.len = sizeof(hex);
    ngx_hex_dump(hex, d->message.id, OTPREG_ID_LEN);

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "otpreg: message %V not sent by %V: %s; %V is next",
                  &id, &uri[d->courier], d->reason, &uri[d->courier + 1]);

    d->reason[0] = '\0';
    d->courier++;

    return 1;
}


static ngx_int_t
ngx_http_otpreg_deliver_courier(ngx_http_request_t *r,
    ngx_http_otpreg_delivery_t *d)
{
    char                    *json;
    u_char                   id[OTPREG_ID_LEN * 2];
    ngx_int_t                rc;
    ngx_str_t                body, *uri;
    ngx_array_t             *couriers;
    const char              *channel;
    otpreg_binding_t         parts;
    otpreg_message_member_t  members[8];

    channel = ngx_http_otpreg_channel_name(d->message.otp.channel);

    if (d->step != NGX_HTTP_OTPREG_STEP_COURIER || d->courier == 0) {

        rc = (d->message.otp.channel == OTPREG_CHANNEL_SMS)
             ? ngx_http_otpreg_text_sms(d)
             : ngx_http_otpreg_text_mail(d);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    d->step = NGX_HTTP_OTPREG_STEP_COURIER;

    /* what a template, or the courier before, has answered counts no more */

    d->answered = 0;
    d->status = 0;

    parts = ngx_http_otpreg_deliver_parts(d);

    if (!ngx_http_otpreg_deliver_is_bound(&parts, NULL, d->tag)) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "otpreg: two messages were mixed up, none is sent");
        return NGX_ERROR;
    }

    couriers = d->realm->conf->couriers[d->message.otp.channel - 1];
    uri = couriers->elts;

    ngx_hex_dump(id, d->message.id, OTPREG_ID_LEN);

#define ngx_http_otpreg_member(i, text, bytes, size)                          \
    members[i].name = text;                                                   \
    members[i].value.data = (uint8_t *) (bytes);                              \
    members[i].value.len = size

    ngx_http_otpreg_member(0, "message_id", id, sizeof(id));
    ngx_http_otpreg_member(1, "channel", channel, ngx_strlen(channel));
    ngx_http_otpreg_member(2, "template", d->message.template,
                           ngx_strlen(d->message.template));
    ngx_http_otpreg_member(3, "to", d->message.otp.address,
                           ngx_strlen(d->message.otp.address));
    ngx_http_otpreg_member(4, "subject", d->subject.data, d->subject.len);
    ngx_http_otpreg_member(5, "text", d->text.data, d->text.len);
    ngx_http_otpreg_member(6, "html", d->html.data, d->html.len);
    ngx_http_otpreg_member(7, "code", d->code, ngx_strlen(d->code));

#undef ngx_http_otpreg_member

    json = otpreg_message_json(members, 8, &body.len);

    if (json == NULL) {
        ngx_sprintf(d->reason, "a template is not UTF-8%Z");
        return NGX_ERROR;
    }

    body.data = (u_char *) json;

    rc = ngx_http_otpreg_deliver_start(r, d, &uri[d->courier], &body);

    sodium_memzero(json, body.len);
    free(json);

    return rc;
}


/*
 * It ends, maybe in the middle of an answer: a status that has come counts,
 * or what was accepted would be sent again.
 */

static void
ngx_http_otpreg_deliver_broken(void *data)
{
    ngx_http_otpreg_delivery_t  *d = data;

    if (d->step == NGX_HTTP_OTPREG_STEP_COURIER && d->waiting != NULL
        && !d->answered && d->waiting->headers_out.status >= NGX_HTTP_OK)
    {
        d->answered = 1;
        d->status = d->waiting->headers_out.status;
        d->retry_after = ngx_http_otpreg_deliver_retry_after(d->waiting);
    }
}


/* the end of every delivery, whatever happened to it */

static void
ngx_http_otpreg_deliver_done(void *data)
{
    ngx_http_otpreg_delivery_t  *d = data;

    ngx_http_otpreg_deliver_result(d);
    ngx_http_otpreg_dispatch_finish(d);
}
