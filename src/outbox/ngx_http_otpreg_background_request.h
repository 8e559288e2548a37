
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_BACKGROUND_REQUEST_H_INCLUDED_
#define _NGX_HTTP_OTPREG_BACKGROUND_REQUEST_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * The request of a background connection, as if it had been read from a client;
 * for ngx_http_otpreg_background.c.  NULL when there is no memory.
 */
ngx_http_request_t *ngx_http_otpreg_background_request(ngx_connection_t *c,
    ngx_http_conf_ctx_t *conf);

/* What nginx takes for granted in it; NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_otpreg_background_fill(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OTPREG_BACKGROUND_REQUEST_H_INCLUDED_ */
