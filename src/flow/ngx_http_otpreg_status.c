
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_outcome.h"
#include "ngx_http_otpreg_status.h"


/* "# HELP" and "# TYPE", or a line with labels and a number */
#define NGX_HTTP_OTPREG_STATUS_LINE  320


typedef struct {
    const char                 *name;
    const char                 *labels;
    const char                 *help;
} ngx_http_otpreg_status_row_t;


static u_char *ngx_http_otpreg_status_print(u_char *p);
static u_char *ngx_http_otpreg_status_print_head(u_char *p, const char *name,
    const char *help);
static u_char *ngx_http_otpreg_status_print_outcomes(u_char *p,
    const char *name, const char *help, ngx_uint_t first, ngx_uint_t last);


#define NGX_HTTP_OTPREG_STATUS_ROW(name, text, labels, help)                  \
    { text, labels, help },

static const ngx_http_otpreg_status_row_t  ngx_http_otpreg_status_rows[] = {
    NGX_HTTP_OTPREG_METRIC_LIST(NGX_HTTP_OTPREG_STATUS_ROW)
};


ngx_int_t
ngx_http_otpreg_status_handler(ngx_http_request_t *r)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    ngx_chain_t  out;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    b = ngx_create_temp_buf(r->pool, NGX_HTTP_OTPREG_STATUS_LINE
                                     * (2 * NGX_HTTP_OTPREG_METRICS
                                        + OTPREG_OUTCOMES + 2));
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_http_otpreg_status_print(b->pos);
    b->last_buf = (r == r->main);
    b->last_in_chain = 1;

    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = b->last - b->pos;
    ngx_str_set(&r->headers_out.content_type,
                "text/plain; version=0.0.4; charset=utf-8");
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}


static u_char *
ngx_http_otpreg_status_print(u_char *p)
{
    ngx_uint_t                       i;
    const ngx_http_otpreg_status_row_t  *row;

    row = ngx_http_otpreg_status_rows;

    for (i = 0; i < NGX_HTTP_OTPREG_METRICS; i++) {

        if (i == 0 || ngx_strcmp(row[i].name, row[i - 1].name) != 0) {
            p = ngx_http_otpreg_status_print_head(p, row[i].name, row[i].help);
        }

        p = ngx_sprintf(p, row[i].labels[0] ? "%s{%s} %uA\n" : "%s%s %uA\n",
                        row[i].name, row[i].labels,
                        ngx_http_otpreg_metrics->counters[i]);
    }

    p = ngx_http_otpreg_status_print_outcomes(p, "otpreg_refusals_total",
                              "Requests that were refused, by error code.",
                              OTPREG_OK + 1, OTPREG_FIELD_FIRST);

    return ngx_http_otpreg_status_print_outcomes(p,
                              "otpreg_field_errors_total",
                              "Fields that were refused, by error code.",
                              OTPREG_FIELD_FIRST, OTPREG_OUTCOMES);
}


static u_char *
ngx_http_otpreg_status_print_head(u_char *p, const char *name,
    const char *help)
{
    return ngx_sprintf(p, "# HELP %s %s\n# TYPE %s counter\n",
                       name, help, name);
}


static u_char *
ngx_http_otpreg_status_print_outcomes(u_char *p, const char *name,
    const char *help, ngx_uint_t first, ngx_uint_t last)
{
    ngx_uint_t  i;

    p = ngx_http_otpreg_status_print_head(p, name, help);

    for (i = first; i < last; i++) {
        p = ngx_sprintf(p, "%s{code=\"%V\"} %uA\n", name,
                        ngx_http_otpreg_outcome_code(i),
                        ngx_http_otpreg_metrics->outcomes[i]);
    }

    return p;
}
