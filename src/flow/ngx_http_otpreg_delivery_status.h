
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_DELIVERY_STATUS_H_INCLUDED_
#define _NGX_HTTP_OTPREG_DELIVERY_STATUS_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * A GET of the page to verify, with the ticket of a sign-up: it says when the
 * message was not delivered, or the code is dead, and comes without that when
 * nobody can be asked.  Returns what a content handler returns.  Thread: event
 * loop.
 */
ngx_int_t ngx_http_otpreg_delivery_status(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);


#endif /* _NGX_HTTP_OTPREG_DELIVERY_STATUS_H_INCLUDED_ */
