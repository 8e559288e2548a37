
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"


static ngx_int_t ngx_http_otpreg_metric_init_zone(ngx_shm_zone_t *zone,
    void *data);


ngx_http_otpreg_metrics_t  *ngx_http_otpreg_metrics;


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
