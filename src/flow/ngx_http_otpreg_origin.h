
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_ORIGIN_H_INCLUDED_
#define _NGX_HTTP_OTPREG_ORIGIN_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Where a form comes from, as far as the browser says.  Thread: event loop.
 */


/*
 * Whether a POST comes from a page of another site: by Sec-Fetch-Site, else by
 * Origin, else by Referer.  A program sends none of them.
 */
ngx_uint_t ngx_http_otpreg_is_cross_site(ngx_http_request_t *r);


/*
 * Whether the browser has the page of a form over plain HTTP, where it keeps
 * no Secure cookie.  Behind a proxy that ends TLS it has not.
 */
ngx_uint_t ngx_http_otpreg_is_plain_http(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OTPREG_ORIGIN_H_INCLUDED_ */
