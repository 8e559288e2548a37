
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_message.h"

#include "ngx_http_otpreg_courier.h"
#include "ngx_http_otpreg_detached.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_secret.h"
#include "ngx_http_otpreg_task.h"


/* a delivery is over before its lease is, see dispatch */
#define NGX_HTTP_OTPREG_SMTP_TIMEOUT_MAX  90000     /* ms */


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
    ngx_http_otpreg_dispatch_t *dispatch;   /* event loop only */
} ngx_http_otpreg_delivery_t;


static char *ngx_http_otpreg_smtp_option(ngx_conf_t *cf,
    otpreg_smtp_conf_t *smtp, ngx_str_t *arg);
static char *ngx_http_otpreg_smtp_time(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *value, long *ms);
static char *ngx_http_otpreg_smtp_finish(ngx_conf_t *cf,
    otpreg_smtp_conf_t *smtp);
static ngx_int_t ngx_http_otpreg_smtp_check_url(ngx_conf_t *cf,
    ngx_str_t *url);
static ngx_uint_t ngx_http_otpreg_smtp_is_private(const char *url);
static ngx_int_t ngx_http_otpreg_smtp_from(ngx_conf_t *cf,
    otpreg_smtp_conf_t *smtp, ngx_str_t *from);

static ngx_http_otpreg_delivery_t *ngx_http_otpreg_smtp_create(
    ngx_http_otpreg_dispatch_t *d);
static ngx_int_t ngx_http_otpreg_smtp_fill(ngx_http_request_t *r,
    ngx_http_otpreg_delivery_t *delivery);
static int64_t ngx_http_otpreg_smtp_begin_by(
    ngx_http_otpreg_delivery_t *delivery);
static char *ngx_http_otpreg_smtp_string(ngx_pool_t *pool, ngx_str_t *s);
static void ngx_http_otpreg_smtp_work(void *data);
static void ngx_http_otpreg_smtp_settle(void *data);
static void ngx_http_otpreg_smtp_done(ngx_http_request_t *r, void *data);
static ngx_uint_t ngx_http_otpreg_smtp_status(otpreg_smtp_result_t *result);


char *
ngx_http_otpreg_set_smtp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    char                *rv;
    ngx_str_t           *value;
    ngx_uint_t           i;
    otpreg_smtp_conf_t  *smtp;

    rv = ngx_http_otpreg_set_role(cf, olcf, NGX_HTTP_OTPREG_COURIER,
                                  ngx_http_otpreg_smtp_handler);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    smtp = ngx_pcalloc(cf->pool, sizeof(otpreg_smtp_conf_t));
    if (smtp == NULL) {
        return NGX_CONF_ERROR;
    }

    smtp->abort = &ngx_terminate;               /* read by __atomic_load_n() */

    value = cf->args->elts;

    if (ngx_http_otpreg_smtp_check_url(cf, &value[1]) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    smtp->url = (char *) value[1].data;

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_otpreg_smtp_option(cf, smtp, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    olcf->smtp = smtp;

    return ngx_http_otpreg_smtp_finish(cf, smtp);
}


/* smtp[s]://host[:port] and nothing more: a password has a file */

static ngx_int_t
ngx_http_otpreg_smtp_check_url(ngx_conf_t *cf, ngx_str_t *url)
{
    size_t     i;
    ngx_url_t  u;

    ngx_memzero(&u, sizeof(ngx_url_t));

    if (ngx_strncmp(url->data, "smtp://", 7) == 0) {
        i = 7;

    } else if (ngx_strncmp(url->data, "smtps://", 8) == 0) {
        i = 8;

    } else {
        goto invalid;
    }

    u.url.data = url->data + i;
    u.url.len = url->len - i;
    u.default_port = 25;
    u.no_resolve = 1;

    for ( /* void */ ; i < url->len; i++) {
        if (url->data[i] <= ' ' || url->data[i] == '@'
            || url->data[i] == '/' || url->data[i] == '?'
            || url->data[i] == '#' || url->data[i] == '%')
        {
            goto invalid;
        }
    }

    if (u.url.len == 0 || ngx_parse_url(cf->pool, &u) != NGX_OK
        || u.host.len == 0 || u.family == AF_UNIX)
    {
        goto invalid;
    }

    return NGX_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid URL, it must be smtp://host[:port] or "
                       "smtps://host[:port]");
    return NGX_ERROR;
}


/* encrypted, or to this machine */

static ngx_uint_t
ngx_http_otpreg_smtp_is_private(const char *url)
{
    return ngx_strncmp(url, "smtps:", 6) == 0
           || ngx_strncmp(url, "smtp://127.", 11) == 0
           || ngx_strncmp(url, "smtp://[::1]", 12) == 0
           || (ngx_strncmp(url, "smtp://localhost", 16) == 0
               && (url[16] == '\0' || url[16] == ':'));
}


static char *
ngx_http_otpreg_smtp_option(ngx_conf_t *cf, otpreg_smtp_conf_t *smtp,
    ngx_str_t *arg)
{
    ngx_str_t  value, content;

    if (ngx_http_otpreg_option(arg, "from", &value)) {

        if (ngx_http_otpreg_smtp_from(cf, smtp, &value) != NGX_OK) {
            return ngx_http_otpreg_invalid(cf, arg);
        }

    } else if (ngx_http_otpreg_option(arg, "user", &value)) {
        smtp->user = (char *) value.data;

    } else if (ngx_http_otpreg_option(arg, "password_file", &value)) {

        if (ngx_http_otpreg_secret_read(cf, &value, &content) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        smtp->password = (char *) content.data;

    } else if (ngx_http_otpreg_option(arg, "ca", &value)) {

        if (ngx_conf_full_name(cf->cycle, &value, 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        smtp->ca_file = (char *) value.data;

    } else if (ngx_http_otpreg_option(arg, "helo", &value)) {

        if (value.len == 0
            || !otpreg_header_safe(ngx_http_otpreg_str(&value))
            || strpbrk((char *) value.data, " /?#%@") != NULL)
        {
            return ngx_http_otpreg_invalid(cf, arg);
        }

        smtp->helo = (char *) value.data;

    } else if (ngx_http_otpreg_option(arg, "starttls", &value)) {

        if (ngx_strcmp(value.data, "on") == 0) {
            smtp->starttls = 1;

        } else if (ngx_strcmp(value.data, "off") != 0) {
            return ngx_http_otpreg_invalid(cf, arg);
        }

    } else if (ngx_http_otpreg_option(arg, "connect_timeout", &value)) {
        return ngx_http_otpreg_smtp_time(cf, arg, &value,
                                         &smtp->connect_timeout_ms);

    } else if (ngx_http_otpreg_option(arg, "timeout", &value)) {
        return ngx_http_otpreg_smtp_time(cf, arg, &value, &smtp->timeout_ms);

    } else {
        return ngx_http_otpreg_unknown(cf, arg);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_otpreg_smtp_time(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value,
    long *ms)
{
    ngx_int_t  n;

    n = ngx_parse_time(value, 0);

    if (n <= 0 || n > NGX_HTTP_OTPREG_SMTP_TIMEOUT_MAX) {
        return ngx_http_otpreg_invalid(cf, arg);
    }

    *ms = n;

    return NGX_CONF_OK;
}


/* "address" or "Name <address>" */

static ngx_int_t
ngx_http_otpreg_smtp_from(ngx_conf_t *cf, otpreg_smtp_conf_t *smtp,
    ngx_str_t *from)
{
    u_char     *p, *last;
    ngx_str_t   address;

    if (!otpreg_header_safe(ngx_http_otpreg_str(from))) {
        return NGX_ERROR;
    }

    address = *from;
    last = from->data + from->len;
    p = ngx_strlchr(from->data, last, '<');

    if (p != NULL) {

        if (last[-1] != '>') {
            return NGX_ERROR;
        }

        address.data = p + 1;
        address.len = last - 1 - address.data;
    }

    last = address.data + address.len;
    p = ngx_strlchr(address.data, last, '@');

    if (p == NULL || p == address.data || p + 1 == last) {
        return NGX_ERROR;
    }

    for (p = address.data; p < last; p++) {
        if (*p <= ' ' || *p >= 0x7f || ngx_strchr("<>,;:\"\\", *p)) {
            return NGX_ERROR;
        }
    }

    p = ngx_pnalloc(cf->pool, address.len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_cpystrn(p, address.data, address.len + 1);

    smtp->from = (char *) from->data;
    smtp->from_address = (char *) p;

    return NGX_OK;
}


static char *
ngx_http_otpreg_smtp_finish(ngx_conf_t *cf, otpreg_smtp_conf_t *smtp)
{
    ngx_str_t  from;

    if ((smtp->user == NULL) != (smtp->password == NULL)) {
        return "must have both \"user\" and \"password_file\" parameters, "
               "or none";
    }

    if (smtp->from == NULL) {

        from.len = sizeof("noreply@") - 1 + cf->cycle->hostname.len;
        from.data = ngx_pnalloc(cf->pool, from.len + 1);
        if (from.data == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_sprintf(from.data, "noreply@%V%Z", &cf->cycle->hostname);

        if (ngx_http_otpreg_smtp_from(cf, smtp, &from) != NGX_OK) {
            return "must have \"from\" parameter";
        }
    }

    if (smtp->starttls && ngx_strncmp(smtp->url, "smtps:", 6) == 0) {
        return "must not have \"starttls\" parameter with smtps";
    }

    if (smtp->user != NULL && !smtp->starttls
        && !ngx_http_otpreg_smtp_is_private(smtp->url))
    {
        return "would send the password in clear, add \"starttls=on\"";
    }

    if (smtp->connect_timeout_ms == 0) {
        smtp->connect_timeout_ms = 5000;
    }

    if (smtp->timeout_ms == 0) {
        smtp->timeout_ms = 30000;
    }

    return NGX_CONF_OK;
}


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

    delivery = ngx_http_otpreg_smtp_create(ctx->dispatch);
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


static ngx_http_otpreg_delivery_t *
ngx_http_otpreg_smtp_create(ngx_http_otpreg_dispatch_t *d)
{
    ngx_pool_t                  *pool;
    ngx_http_otpreg_delivery_t  *delivery;

    pool = ngx_http_otpreg_detached_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    delivery = ngx_pcalloc(pool, sizeof(ngx_http_otpreg_delivery_t));
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
    ngx_http_otpreg_delivery_t *delivery)
{
    u_char                      *p;
    ngx_pool_t                  *pool;
    otpreg_mail_t               *mail;
    ngx_http_otpreg_dispatch_t  *d;
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
ngx_http_otpreg_smtp_begin_by(ngx_http_otpreg_delivery_t *delivery)
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
    ngx_http_otpreg_delivery_t *delivery = data;

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
    ngx_http_otpreg_delivery_t *delivery = data;

    ngx_http_otpreg_dispatch_t  *d;

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
    ngx_http_otpreg_delivery_t *delivery = data;

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
