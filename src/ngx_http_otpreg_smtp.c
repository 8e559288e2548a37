
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_task.h"


/* one delivery: strings that the mail thread may read for as long as it works */

typedef struct {
    const otpreg_smtp_conf_t   *conf;
    otpreg_mail_t               mail;
    otpreg_smtp_result_t        result;
} ngx_http_otpreg_delivery_t;


static ngx_int_t ngx_http_otpreg_smtp_fill(ngx_http_request_t *r,
    ngx_http_otpreg_dispatch_t *d, ngx_http_otpreg_delivery_t *delivery);
static char *ngx_http_otpreg_smtp_string(ngx_pool_t *pool, ngx_str_t *s);
static void ngx_http_otpreg_smtp_work(void *data);
static void ngx_http_otpreg_smtp_done(ngx_http_request_t *r, void *data);
static ngx_uint_t ngx_http_otpreg_smtp_status(otpreg_smtp_result_t *result);


ngx_int_t
ngx_http_otpreg_smtp_handler(ngx_http_request_t *r)
{
    ngx_int_t                    rc;
    ngx_http_otpreg_job_t        job;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_delivery_t  *delivery;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL || ctx->dispatch == NULL) {
        return NGX_HTTP_NOT_FOUND;              /* not by the dispatcher */
    }

    delivery = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_delivery_t));

    if (delivery == NULL
        || ngx_http_otpreg_smtp_fill(r, ctx->dispatch, delivery) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_smtp_work;
    job.resume = ngx_http_otpreg_smtp_done;
    job.data = delivery;

    rc = ngx_http_otpreg_task_post(r, NGX_HTTP_OTPREG_POOL_MAIL, &job);

    if (rc != NGX_OK) {
        return (rc == NGX_BUSY) ? NGX_HTTP_SERVICE_UNAVAILABLE
                                : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->main->count++;

    return NGX_DONE;
}


static ngx_int_t
ngx_http_otpreg_smtp_fill(ngx_http_request_t *r, ngx_http_otpreg_dispatch_t *d,
    ngx_http_otpreg_delivery_t *delivery)
{
    u_char                      *p;
    otpreg_mail_t               *mail;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    delivery->conf = olcf->smtp;
    mail = &delivery->mail;

    p = ngx_pnalloc(r->pool, OTPREG_ID_LEN * 2
                             + ngx_strlen(olcf->smtp->from_address) + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    mail->message_id = (char *) p;

    p = ngx_hex_dump(p, d->message.id, OTPREG_ID_LEN);
    ngx_sprintf(p, "%s%Z", ngx_strchr(olcf->smtp->from_address, '@'));

    mail->to = d->message.otp.address;
    mail->subject = ngx_http_otpreg_smtp_string(r->pool, &d->subject);
    mail->text = ngx_http_otpreg_smtp_string(r->pool, &d->text);
    mail->html = d->html.len ? ngx_http_otpreg_smtp_string(r->pool, &d->html)
                             : NULL;
    mail->date = ngx_time();

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


static void
ngx_http_otpreg_smtp_work(void *data)
{
    ngx_http_otpreg_delivery_t *delivery = data;

    otpreg_smtp_send(delivery->conf, &delivery->mail, &delivery->result);
}


static void
ngx_http_otpreg_smtp_done(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_delivery_t *delivery = data;

    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_dispatch_t  *d;

    if (delivery->result.status != OTPREG_SMTP_SENT) {
        ctx = ngx_http_otpreg_get_ctx(r);
        d = ctx->dispatch;

        ngx_snprintf(d->reason, OTPREG_REASON_MAX, "SMTP: %s%Z",
                     delivery->result.error);
    }

    r->headers_out.status = ngx_http_otpreg_smtp_status(&delivery->result);
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
