
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_outcome.h"


/* "# HELP" and "# TYPE", or a line with labels and a number */
#define NGX_HTTP_OTPREG_METRIC_LINE  320


typedef struct {
    const char                 *name;
    const char                 *labels;
    const char                 *help;
} ngx_http_otpreg_metric_t;


typedef struct {
    ngx_atomic_t                counters[NGX_HTTP_OTPREG_METRICS];
    ngx_atomic_t                outcomes[OTPREG_OUTCOMES];
} ngx_http_otpreg_metrics_t;


static ngx_int_t ngx_http_otpreg_metric_init_zone(ngx_shm_zone_t *zone,
    void *data);
static u_char *ngx_http_otpreg_metric_print(u_char *p);
static u_char *ngx_http_otpreg_metric_print_head(u_char *p, const char *name,
    const char *help);
static u_char *ngx_http_otpreg_metric_print_outcomes(u_char *p,
    const char *name, const char *help, ngx_uint_t first, ngx_uint_t last);


#define NGX_HTTP_OTPREG_METRIC_ROW(name, text, labels, help)                  \
    { text, labels, help },

static const ngx_http_otpreg_metric_t  ngx_http_otpreg_metric_rows[] = {
    NGX_HTTP_OTPREG_METRIC_LIST(NGX_HTTP_OTPREG_METRIC_ROW)
};


/* in shared memory; set once in each process */
static ngx_http_otpreg_metrics_t  *ngx_http_otpreg_metrics;


void
ngx_http_otpreg_metric_add(ngx_http_otpreg_metric_e metric, ngx_uint_t n)
{
    if (ngx_http_otpreg_metrics != NULL) {
        (void) ngx_atomic_fetch_add(&ngx_http_otpreg_metrics->counters[metric],
                                    n);
    }
}


void
ngx_http_otpreg_metric_refusal(const ngx_http_otpreg_ctx_t *ctx)
{
    ngx_uint_t     i;
    ngx_atomic_t  *outcomes;

    if (ngx_http_otpreg_metrics == NULL || ctx->outcome == OTPREG_OK
        || !ctx->posted)
    {
        return;
    }

    outcomes = ngx_http_otpreg_metrics->outcomes;

    (void) ngx_atomic_fetch_add(&outcomes[ctx->outcome], 1);

    if (ctx->outcome != OTPREG_INVALID_FIELDS) {
        return;
    }

    for (i = 0; i < NGX_HTTP_OTPREG_FIELDS; i++) {
        if (ctx->fields[i] != OTPREG_OK) {
            (void) ngx_atomic_fetch_add(&outcomes[ctx->fields[i]], 1);
        }
    }
}


void
ngx_http_otpreg_metric_database(otpreg_outcome_t outcome)
{
    if (outcome == OTPREG_BUSY) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_HASH_FULL
                                   + NGX_HTTP_OTPREG_POOL_DATABASE, 1);

    } else if (outcome == OTPREG_DATABASE_DOWN) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_DATABASE_DOWN, 1);

    } else if (outcome == OTPREG_ERROR) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_DATABASE_ERRORS, 1);
    }
}


ngx_int_t
ngx_http_otpreg_metric_zone(ngx_conf_t *cf)
{
    ngx_str_t                     name;
    ngx_http_otpreg_main_conf_t  *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_otpreg_module);

    if (omcf->metrics != NULL) {
        return NGX_OK;
    }

    ngx_str_set(&name, "otpreg_metrics");

    omcf->metrics = ngx_shared_memory_add(cf, &name, 8 * ngx_pagesize,
                                          &ngx_http_otpreg_module);
    if (omcf->metrics == NULL) {
        return NGX_ERROR;
    }

    omcf->metrics->init = ngx_http_otpreg_metric_init_zone;

    return NGX_OK;
}


/* data is that of the cycle before */

static ngx_int_t
ngx_http_otpreg_metric_init_zone(ngx_shm_zone_t *zone, void *data)
{
    ngx_slab_pool_t  *pool;

    pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data == NULL && !zone->shm.exists) {
        pool->data = ngx_slab_calloc(pool, sizeof(ngx_http_otpreg_metrics_t));
    }

    zone->data = pool->data;

    return zone->data ? NGX_OK : NGX_ERROR;
}


void
ngx_http_otpreg_metric_init_process(ngx_http_otpreg_main_conf_t *omcf)
{
    if (omcf->metrics != NULL) {
        ngx_http_otpreg_metrics = omcf->metrics->data;
    }
}


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

    b = ngx_create_temp_buf(r->pool, NGX_HTTP_OTPREG_METRIC_LINE
                                     * (2 * NGX_HTTP_OTPREG_METRICS
                                        + OTPREG_OUTCOMES + 2));
    if (b == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b->last = ngx_http_otpreg_metric_print(b->pos);
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
ngx_http_otpreg_metric_print(u_char *p)
{
    ngx_uint_t                       i;
    const ngx_http_otpreg_metric_t  *row;

    row = ngx_http_otpreg_metric_rows;

    for (i = 0; i < NGX_HTTP_OTPREG_METRICS; i++) {

        if (i == 0 || ngx_strcmp(row[i].name, row[i - 1].name) != 0) {
            p = ngx_http_otpreg_metric_print_head(p, row[i].name, row[i].help);
        }

        p = ngx_sprintf(p, row[i].labels[0] ? "%s{%s} %uA\n" : "%s%s %uA\n",
                        row[i].name, row[i].labels,
                        ngx_http_otpreg_metrics->counters[i]);
    }

    p = ngx_http_otpreg_metric_print_outcomes(p, "otpreg_refusals_total",
                              "Requests that were refused, by error code.",
                              OTPREG_OK + 1, OTPREG_FIELD_FIRST);

    return ngx_http_otpreg_metric_print_outcomes(p,
                              "otpreg_field_errors_total",
                              "Fields that were refused, by error code.",
                              OTPREG_FIELD_FIRST, OTPREG_OUTCOMES);
}


static u_char *
ngx_http_otpreg_metric_print_head(u_char *p, const char *name,
    const char *help)
{
    return ngx_sprintf(p, "# HELP %s %s\n# TYPE %s counter\n",
                       name, help, name);
}


static u_char *
ngx_http_otpreg_metric_print_outcomes(u_char *p, const char *name,
    const char *help, ngx_uint_t first, ngx_uint_t last)
{
    ngx_uint_t  i;

    p = ngx_http_otpreg_metric_print_head(p, name, help);

    for (i = first; i < last; i++) {
        p = ngx_sprintf(p, "%s{code=\"%V\"} %uA\n", name,
                        ngx_http_otpreg_outcome_code(i),
                        ngx_http_otpreg_metrics->outcomes[i]);
    }

    return p;
}
