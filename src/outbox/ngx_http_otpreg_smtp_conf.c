
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_message.h"

#include "ngx_http_otpreg_courier.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_secret.h"


/* a delivery is over before its lease is, see dispatch */
#define NGX_HTTP_OTPREG_SMTP_TIMEOUT_MAX  90000     /* ms */


static ngx_int_t ngx_http_otpreg_smtp_check_url(ngx_conf_t *cf,
    ngx_str_t *url);
static ngx_uint_t ngx_http_otpreg_smtp_is_private(const char *url);
static char *ngx_http_otpreg_smtp_option(ngx_conf_t *cf,
    otpreg_smtp_conf_t *smtp, ngx_str_t *arg);
static char *ngx_http_otpreg_smtp_time(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *value, long *ms);
static ngx_int_t ngx_http_otpreg_smtp_from(ngx_conf_t *cf,
    otpreg_smtp_conf_t *smtp, ngx_str_t *from);
static char *ngx_http_otpreg_smtp_finish(ngx_conf_t *cf,
    otpreg_smtp_conf_t *smtp);


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
