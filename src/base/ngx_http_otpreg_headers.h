
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_HEADERS_H_INCLUDED_
#define _NGX_HTTP_OTPREG_HEADERS_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Header fields of requests and answers, and the cookie between the two steps.
 * Thread: event loop.
 */


/* The first field of that name in the request, or NULL. */
ngx_table_elt_t *ngx_http_otpreg_find_header(ngx_http_request_t *r,
    const char *name);


/* Add a header to the answer; value must live as long as the request. */
ngx_int_t ngx_http_otpreg_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);


/*
 * What every answer carries, an error page of nginx, too: no caching, no
 * framing, no referrer for others; policy is the Content-Security-Policy, or
 * empty.
 */
ngx_int_t ngx_http_otpreg_add_security_headers(ngx_http_request_t *r,
    ngx_http_complex_value_t *policy);


#endif /* _NGX_HTTP_OTPREG_HEADERS_H_INCLUDED_ */
