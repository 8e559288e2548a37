
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_message.h"

#include "ngx_http_otpreg_background.h"
#include "ngx_http_otpreg_courier.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_task.h"


/* between the end of one delivery at the latest and the end of its lease */
#define NGX_HTTP_OTPREG_SMTP_MARGIN       5000      /* ms */


/*
 * One delivery, in a pool of its own with all that it points to, so that the
 * mail thread reads nothing that anybody else can free or write.
 */

typedef struct {
    const otpreg_smtp_conf_t   *conf;
    otpreg_mail_t               mail;
    otpreg_binding_t            parts;      /* of what follows */
    uint8_t                     id[OTPREG_ID_LEN];
    char                        to[OTPREG_OTP_ADDRESS_MAX + 1];
    char                        code[OTPREG_CODE_DIGITS_MAX + 1];
    char                        template[OTPREG_TEMPLATE_MAX + 1];
    uint8_t                     tag[OTPREG_BINDING_LEN];
    sig_atomic_t                unwanted;

    otpreg_smtp_result_t        result;
    ngx_uint_t                  begun;
    ngx_uint_t                  mixed;      /* not what belongs together */

    ngx_pool_t                 *pool;
    ngx_http_otpreg_delivery_t *dispatch;       /* event loop only */
} ngx_http_otpreg_smtp_delivery_t;



static ngx_http_otpreg_smtp_delivery_t *ngx_http_otpreg_smtp_create(
    ngx_http_otpreg_delivery_t *d);
static ngx_int_t ngx_http_otpreg_smtp_fill(ngx_http_request_t *r,
    ngx_http_otpreg_smtp_delivery_t *delivery);
static int64_t ngx_http_otpreg_smtp_begin_by(
    ngx_http_otpreg_smtp_delivery_t *delivery);
static char *ngx_http_otpreg_smtp_string(ngx_pool_t *pool, ngx_str_t *s);
static void ngx_http_otpreg_smtp_work(void *data);
static void ngx_http_otpreg_smtp_settle(void *data);
static void ngx_http_otpreg_smtp_done(ngx_http_request_t *r, void *data);
static ngx_uint_t ngx_http_otpreg_smtp_status(otpreg_smtp_result_t *result);


ngx_int_t
ngx_http_otpreg_smtp_handler(ngx_http_request_t *r)
{
    ngx_int_t                         rc;
    ngx_http_otpreg_job_t             job;
    ngx_http_otpreg_ctx_t            *ctx;
    ngx_http_otpreg_smtp_delivery_t  *delivery;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL || ctx->background.delivery == NULL) {
        return NGX_HTTP_NOT_FOUND;              /* not by the dispatcher */
    }

    delivery = ngx_http_otpreg_smtp_create(ctx->background.delivery);
    if (delivery == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_otpreg_smtp_fill(r, delivery) != NGX_OK) {
        ngx_destroy_pool(delivery->pool);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_smtp_work;
    job.settle = ngx_http_otpreg_smtp_settle;
    job.resume = ngx_http_otpreg_smtp_done;
    job.data = delivery;
    job.pool = delivery->pool;
    job.unwanted = &delivery->unwanted;
    job.begin_by = ngx_http_otpreg_smtp_begin_by(delivery);

    rc = ngx_http_otpreg_task_post(r, NGX_HTTP_OTPREG_POOL_MAIL, &job);

    if (rc == NGX_OK) {
        r->main->count++;
        return NGX_DONE;
    }

    if (rc == NGX_BUSY) {
        ngx_http_otpreg_smtp_settle(delivery);
    }

    ngx_destroy_pool(delivery->pool);

    return (rc == NGX_BUSY) ? NGX_HTTP_SERVICE_UNAVAILABLE
                            : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_http_otpreg_smtp_delivery_t *
ngx_http_otpreg_smtp_create(ngx_http_otpreg_delivery_t *d)
{
    ngx_pool_t                       *pool;
    ngx_http_otpreg_smtp_delivery_t  *delivery;

    pool = ngx_http_otpreg_background_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    delivery = ngx_pcalloc(pool, sizeof(ngx_http_otpreg_smtp_delivery_t));
    if (delivery == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    delivery->pool = pool;
    delivery->dispatch = d;

    return delivery;
}


static ngx_int_t
ngx_http_otpreg_smtp_fill(ngx_http_request_t *r,
    ngx_http_otpreg_smtp_delivery_t *delivery)
{
    u_char                      *p;
    ngx_pool_t                  *pool;
    otpreg_mail_t               *mail;
    ngx_http_otpreg_delivery_t  *d;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    d = delivery->dispatch;
    pool = delivery->pool;
    mail = &delivery->mail;

    delivery->conf = olcf->smtp;

    ngx_memcpy(delivery->id, d->message.id, OTPREG_ID_LEN);
    ngx_memcpy(delivery->tag, d->tag, OTPREG_BINDING_LEN);
    ngx_cpystrn((u_char *) delivery->to, (u_char *) d->message.otp.address,
                sizeof(delivery->to));
    ngx_cpystrn((u_char *) delivery->code, d->code, sizeof(delivery->code));
    ngx_cpystrn((u_char *) delivery->template, (u_char *) d->message.template,
                sizeof(delivery->template));

    delivery->parts.id = delivery->id;
    delivery->parts.purpose = d->message.otp.purpose;
    delivery->parts.channel = d->message.otp.channel;
    delivery->parts.template = delivery->template;
    delivery->parts.code = delivery->code;

    p = ngx_pnalloc(pool, OTPREG_ID_LEN * 2
                          + ngx_strlen(olcf->smtp->from_address) + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    mail->message_id = (char *) p;

    p = ngx_hex_dump(p, delivery->id, OTPREG_ID_LEN);
    ngx_sprintf(p, "%s%Z", ngx_strchr(olcf->smtp->from_address, '@'));

    mail->to = delivery->to;
    mail->subject = ngx_http_otpreg_smtp_string(pool, &d->subject);
    mail->text = ngx_http_otpreg_smtp_string(pool, &d->text);
    mail->html = d->html.len ? ngx_http_otpreg_smtp_string(pool, &d->html)
                             : NULL;
    mail->date = ngx_time();
    mail->unwanted = &delivery->unwanted;

    return (mail->subject == NULL || mail->text == NULL
            || (d->html.len && mail->html == NULL))
           ? NGX_ERROR : NGX_OK;
}


static char *
ngx_http_otpreg_smtp_string(ngx_pool_t *pool, ngx_str_t *s)
{
    char  *p;

    p = ngx_pnalloc(pool, s->len + 1);

    if (p != NULL) {
        ngx_cpystrn((u_char *) p, s->data, s->len + 1);
    }

    return p;
}


/*
 * What waits for a thread is not on its way yet.  A server that takes all its
 * time makes the queue long: who has waited for twice that time gives the
 * message back, and nobody begins what might outlast its lease.
 */

static int64_t
ngx_http_otpreg_smtp_begin_by(ngx_http_otpreg_smtp_delivery_t *delivery)
{
    int64_t  timeout;

    timeout = delivery->conf->timeout_ms;

    return delivery->dispatch->start
           + ngx_min(2 * timeout, NGX_HTTP_OTPREG_SEND_TIME
                                  - NGX_HTTP_OTPREG_SMTP_MARGIN - timeout);
}


static void
ngx_http_otpreg_smtp_work(void *data)
{
    ngx_http_otpreg_smtp_delivery_t  *delivery = data;

    delivery->begun = 1;

    /* the address is that of the mail, wherever it came from */

    delivery->parts.address = delivery->mail.to;

    if (!ngx_http_otpreg_deliver_is_bound(&delivery->parts,
                                          delivery->mail.text, delivery->tag))
    {
        delivery->mixed = 1;
        return;
    }

    otpreg_smtp_send(delivery->conf, &delivery->mail, &delivery->result);
}


/*
 * The result counts even when the request was broken off meanwhile: what was
 * sent is sent.  The dispatcher's part lives until the request is freed, and
 * that is not before this.
 */

static void
ngx_http_otpreg_smtp_settle(void *data)
{
    ngx_http_otpreg_smtp_delivery_t  *delivery = data;

    ngx_http_otpreg_delivery_t  *d;

    d = delivery->dispatch;

    if (!delivery->begun) {
        d->unsent = 1;
        ngx_sprintf(d->reason, "no mail thread was free%Z");
        return;
    }

    if (delivery->mixed) {
        ngx_sprintf(d->reason, "the mail is not that of the message%Z");
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "otpreg: a mail is not that of its message, not sent");
        return;
    }

    if (delivery->result.status != OTPREG_SMTP_SENT) {

        if (delivery->result.reply) {
            ngx_snprintf(d->reason, OTPREG_REASON_MAX, "SMTP: %s (%d)%Z",
                         delivery->result.error, delivery->result.reply);

        } else {
            ngx_snprintf(d->reason, OTPREG_REASON_MAX, "SMTP: %s%Z",
                         delivery->result.error);
        }
    }

    d->answered = 1;
    d->status = ngx_http_otpreg_smtp_status(&delivery->result);
}


static void
ngx_http_otpreg_smtp_done(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_smtp_delivery_t  *delivery = data;

    r->headers_out.status = (delivery->begun && !delivery->mixed)
                            ? ngx_http_otpreg_smtp_status(&delivery->result)
                            : NGX_HTTP_SERVICE_UNAVAILABLE;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    ngx_http_finalize_request(r, ngx_http_send_header(r));
}


/* as an HTTP courier would say it */

static ngx_uint_t
ngx_http_otpreg_smtp_status(otpreg_smtp_result_t *result)
{
    switch (result->status) {

    case OTPREG_SMTP_SENT:
        return NGX_HTTP_NO_CONTENT;

    case OTPREG_SMTP_REFUSED:
        return NGX_HTTP_BAD_REQUEST;

    default:                                    /* _LATER, _ABORTED */
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }
}
