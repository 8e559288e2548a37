
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_body.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_loc_conf.h"


/* a body stays in memory up to here, whatever its transfer coding */
#define NGX_HTTP_OTPREG_BUFFER_SIZE  131072


static ngx_int_t ngx_http_otpreg_body_error_page(ngx_conf_t *cf,
    ngx_http_core_loc_conf_t *clcf);
static ngx_int_t ngx_http_otpreg_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


static ngx_http_request_body_filter_pt  ngx_http_otpreg_body_next_filter;


ngx_int_t
ngx_http_otpreg_body_bound(ngx_conf_t *cf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->client_body_buffer_size = NGX_HTTP_OTPREG_BUFFER_SIZE;
    clcf->client_body_in_file_only = 0;

    if (clcf->client_max_body_size == 0
        || clcf->client_max_body_size > NGX_HTTP_OTPREG_BUFFER_SIZE)
    {
        clcf->client_max_body_size = NGX_HTTP_OTPREG_BUFFER_SIZE;
    }

    return ngx_http_otpreg_body_error_page(cf, clcf);
}


/* "error_page 413 $uri", in an array of its own: it may be inherited */

static ngx_int_t
ngx_http_otpreg_body_error_page(ngx_conf_t *cf, ngx_http_core_loc_conf_t *clcf)
{
    ngx_uint_t                         i, n;
    ngx_array_t                       *pages;
    ngx_http_err_page_t               *page;
    ngx_http_compile_complex_value_t   ccv;

    static ngx_str_t  uri = ngx_string("$uri");

    n = 0;
    page = NULL;

    if (clcf->error_pages != NULL) {
        n = clcf->error_pages->nelts;
        page = clcf->error_pages->elts;
    }

    for (i = 0; i < n; i++) {
        if (page[i].status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
            return NGX_OK;
        }
    }

    pages = ngx_array_create(cf->pool, n + 1, sizeof(ngx_http_err_page_t));
    if (pages == NULL) {
        return NGX_ERROR;
    }

    if (n != 0) {
        ngx_memcpy(ngx_array_push_n(pages, n), page,
                   n * sizeof(ngx_http_err_page_t));
    }

    page = ngx_array_push(pages);

    ngx_memzero(page, sizeof(ngx_http_err_page_t));

    page->status = NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    page->overwrite = -1;

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &uri;
    ccv.complex_value = &page->value;

    clcf->error_pages = pages;

    return ngx_http_compile_complex_value(&ccv);
}


void
ngx_http_otpreg_body_init(void)
{
    ngx_http_otpreg_body_next_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = ngx_http_otpreg_body_filter;
}


/*
 * The condition is the one on which nginx's last filter writes to a temporary
 * file.  The buffer has the bytes of the connection: chunks of one byte with
 * long extensions fill it long before client_max_body_size is reached.
 */

static ngx_int_t
ngx_http_otpreg_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_request_body_t     *rb;
    ngx_http_otpreg_loc_conf_t  *olcf;

    rb = r->request_body;

    if (rb->rest > 0 && rb->buf != NULL && rb->buf->last == rb->buf->end) {

        olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

        if (olcf->role == NGX_HTTP_OTPREG_PAGE) {
            ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                          "otpreg: the body of the request does not fit its "
                          "buffer");
            return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
        }
    }

    return ngx_http_otpreg_body_next_filter(r, in);
}


ngx_uint_t
ngx_http_otpreg_body_is_refused(ngx_http_request_t *r)
{
    ngx_http_otpreg_ctx_t  *ctx;

    if (!r->internal || r->err_status != NGX_HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return 0;
    }

    ctx = ngx_http_otpreg_get_ctx(r);

    return ctx == NULL || !ctx->done;
}


ngx_uint_t
ngx_http_otpreg_body_is_encoded(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = ngx_http_otpreg_find_header(r, "content-encoding");

    return h != NULL
           && (h->value.len != sizeof("identity") - 1
               || ngx_strncasecmp(h->value.data, (u_char *) "identity",
                                  h->value.len)
                  != 0);
}
