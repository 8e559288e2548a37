
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_delivery_status.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_query.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_response_time.h"


/* a look at what became of the code */

typedef struct {
    ngx_http_otpreg_query_t     query;
    uint8_t                     id[OTPREG_ID_LEN];
    unsigned                    attempts_max;
    otpreg_store_delivery_t     out;
} ngx_http_otpreg_delivery_look_t;


static void ngx_http_otpreg_delivery_status_look(void *data);
static void ngx_http_otpreg_delivery_status_settle(void *data);
static void ngx_http_otpreg_delivery_status_looked(ngx_http_request_t *r,
    void *data);


/* the page says it when the message was not delivered, or the code is dead */

ngx_int_t
ngx_http_otpreg_delivery_status(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx)
{
    ngx_int_t                         rc;
    ngx_http_otpreg_job_t             job;
    ngx_http_otpreg_delivery_look_t  *look;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    /* the page itself needs no database */

    if (ngx_http_otpreg_limit(r, NGX_HTTP_OTPREG_LIMIT_STATUS, NULL)
        != OTPREG_OK)
    {
        return ngx_http_otpreg_reply(r, ctx);
    }

    look = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_delivery_look_t));
    if (look == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_otpreg_query_init(&look->query, ctx->conf);
    look->attempts_max = ctx->conf->code_attempts;
    ngx_memcpy(look->id, ctx->ticket.otp.id, OTPREG_ID_LEN);

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_delivery_status_look;
    job.settle = ngx_http_otpreg_delivery_status_settle;
    job.resume = ngx_http_otpreg_delivery_status_looked;
    job.data = look;
    job.abandon = 1;

    if (ngx_http_otpreg_query_post(r, &look->query, &job) != OTPREG_OK) {
        return ngx_http_otpreg_reply(r, ctx);
    }

    r->main->count++;

    return NGX_DONE;
}


static void
ngx_http_otpreg_delivery_status_look(void *data)
{
    ngx_http_otpreg_delivery_look_t *look = data;

    look->query.outcome = otpreg_store_delivery(look->query.database, look->id,
                                          look->attempts_max, &look->out,
                                          look->query.error);
}


static void
ngx_http_otpreg_delivery_status_settle(void *data)
{
    ngx_http_otpreg_delivery_look_t *look = data;

    ngx_http_otpreg_query_settle(&look->query);
}


static void
ngx_http_otpreg_delivery_status_looked(ngx_http_request_t *r, void *data)
{
    ngx_http_otpreg_delivery_look_t *look = data;

    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (look->out.spent) {
        ctx->outcome = OTPREG_CODE_SPENT;

    } else if (look->out.failed) {
        ctx->outcome = OTPREG_UNDELIVERABLE;
    }

    ngx_http_otpreg_reply_later(r);
}
