
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_courier.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_dispatch.h"


static void ngx_http_otpreg_console_print(ngx_log_t *log, ngx_str_t *text);


/*
 * A courier for development: the message goes to the error log, line by line.
 * It is the only place that writes a code anywhere, and does so on purpose.
 */

ngx_int_t
ngx_http_otpreg_console_handler(ngx_http_request_t *r)
{
    ngx_log_t                   *log;
    ngx_http_otpreg_ctx_t       *ctx;
    ngx_http_otpreg_delivery_t  *d;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL || ctx->background.delivery == NULL) {
        return NGX_HTTP_NOT_FOUND;              /* not by the dispatcher */
    }

    d = ctx->background.delivery;
    log = r->connection->log;

    ngx_log_error(NGX_LOG_WARN, log, 0, "otpreg console: To: %s",
                  d->message.otp.address);

    if (d->subject.len) {
        ngx_log_error(NGX_LOG_WARN, log, 0, "otpreg console: Subject: %V",
                      &d->subject);
    }

    ngx_http_otpreg_console_print(log, &d->text);

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->headers_out.content_length_n = 0;
    r->header_only = 1;

    return ngx_http_send_header(r);
}


static void
ngx_http_otpreg_console_print(ngx_log_t *log, ngx_str_t *text)
{
    u_char     *p, *last;
    ngx_str_t   line;

    last = text->data + text->len;

    for (p = text->data; p < last; p = line.data + line.len + 1) {

        line.data = p;

        while (p < last && *p != LF) {
            p++;
        }

        line.len = p - line.data;

        if (line.len && line.data[line.len - 1] == CR) {
            ngx_log_error(NGX_LOG_WARN, log, 0, "otpreg console: %*s",
                          line.len - 1, line.data);
            continue;
        }

        ngx_log_error(NGX_LOG_WARN, log, 0, "otpreg console: %V", &line);
    }
}
