
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_message.h"

#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_secret.h"
#include "ngx_http_otpreg_task.h"


/* a delivery is over before its lease is, see dispatch */
#define NGX_HTTP_OTPREG_SMTP_TIMEOUT_MAX  90000     /* ms */


/* one delivery: what the mail thread may read for as long as it works */

typedef struct {
    const otpreg_smtp_conf_t   *conf;
    otpreg_mail_t               mail;
    otpreg_smtp_result_t        result;
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

static ngx_int_t ngx_http_otpreg_smtp_fill(ngx_http_request_t *r,
    ngx_http_otpreg_dispatch_t *d, ngx_http_otpreg_delivery_t *delivery);
static char *ngx_http_otpreg_smtp_string(ngx_pool_t *pool, ngx_str_t *s);
static void ngx_http_otpreg_smtp_work(void *data);
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

    smtp->abort = &ngx_terminate;

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

        if (delivery->result.reply) {
            ngx_snprintf(d->reason, OTPREG_REASON_MAX, "SMTP: %s (%d)%Z",
                         delivery->result.error, delivery->result.reply);

        } else {
            ngx_snprintf(d->reason, OTPREG_REASON_MAX, "SMTP: %s%Z",
                         delivery->result.error);
        }
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
