
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_background.h"
#include "ngx_http_otpreg_background_request.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"


#if (NGX_HTTP_SSI)
#include <ngx_http_ssi_filter_module.h>
#endif


#define NGX_HTTP_OTPREG_BACKGROUND_POOL  4096


static ngx_int_t ngx_http_otpreg_background_ssi(ngx_http_request_t *r);


ngx_http_request_t *
ngx_http_otpreg_background_request(ngx_connection_t *c,
    ngx_http_conf_ctx_t *conf)
{
    ngx_pool_t             *pool;
    ngx_http_request_t     *r;
    ngx_http_log_ctx_t     *lctx;
    ngx_http_connection_t  *hc;

    hc = ngx_pcalloc(c->pool, sizeof(ngx_http_connection_t));
    c->buffer = ngx_create_temp_buf(c->pool, 1);

    if (hc == NULL || c->buffer == NULL) {
        return NULL;
    }

    hc->conf_ctx = conf;

    pool = ngx_http_otpreg_background_create_pool(
                                     NGX_HTTP_OTPREG_BACKGROUND_POOL, c->log);
    if (pool == NULL) {
        return NULL;
    }

    r = ngx_pcalloc(pool, sizeof(ngx_http_request_t));
    if (r == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    r->pool = pool;
    r->http_connection = hc;
    r->signature = NGX_HTTP_MODULE;
    r->connection = c;

    r->main_conf = conf->main_conf;
    r->srv_conf = conf->srv_conf;
    r->loc_conf = conf->loc_conf;

    r->header_in = c->buffer;
    r->main = r;
    r->count = 1;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    c->data = r;

    lctx = c->log->data;
    lctx->request = r;
    lctx->current_request = r;

    return r;
}


/*
 * SSI keeps what "set" and "block" say in the context of the main request, and
 * takes it for granted that SSI is on there, too.
 */

static ngx_int_t
ngx_http_otpreg_background_ssi(ngx_http_request_t *r)
{
#if (NGX_HTTP_SSI)

    ngx_http_ssi_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_ssi_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_ssi_filter_module);

#endif

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_background_fill(ngx_http_request_t *r)
{
    ngx_time_t                 *tp;
    ngx_table_elt_t            *h;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_core_main_conf_t  *cmcf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->ctx = ngx_pcalloc(r->pool, sizeof(void *) * ngx_http_max_module);
    r->variables = ngx_pcalloc(r->pool, cmcf->variables.nelts
                                        * sizeof(ngx_http_variable_value_t));

    if (r->ctx == NULL || r->variables == NULL
        || ngx_list_init(&r->headers_in.headers, r->pool, 4,
                         sizeof(ngx_table_elt_t))
           != NGX_OK
        || ngx_list_init(&r->headers_out.headers, r->pool, 4,
                         sizeof(ngx_table_elt_t))
           != NGX_OK
        || ngx_list_init(&r->headers_out.trailers, r->pool, 4,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_background_ssi(r) != NGX_OK) {
        return NGX_ERROR;
    }

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Content-Type");
    ngx_str_set(&h->value, "application/json");
    h->lowcase_key = (u_char *) "content-type";

    r->headers_in.content_type = h;
    r->headers_in.content_length_n = -1;
    r->headers_in.keep_alive_n = -1;
    r->headers_in.server = cscf->server_name;
    r->headers_out.content_length_n = -1;
    r->headers_out.last_modified_time = -1;

    r->method = NGX_HTTP_POST;
    ngx_str_set(&r->method_name, "POST");
    r->http_version = NGX_HTTP_VERSION_11;
    ngx_str_set(&r->http_protocol, "HTTP/1.1");
    ngx_str_set(&r->request_line, "POST / HTTP/1.1");
    ngx_str_set(&r->uri, "/");
    ngx_str_set(&r->unparsed_uri, "/");

    r->uri_changes = NGX_HTTP_MAX_URI_CHANGES + 1;
    r->subrequests = NGX_HTTP_MAX_SUBREQUESTS + 1;

    tp = ngx_timeofday();
    r->start_sec = tp->sec;
    r->start_msec = tp->msec;

    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
    r->internal = 1;
    r->expect_tested = 1;
    r->logged = 1;                      /* it has no line in the access log */

    return NGX_OK;
}
