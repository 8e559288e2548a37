
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_REPLY_H_INCLUDED_
#define _NGX_HTTP_OTPREG_REPLY_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Answer with ctx->outcome: OTPREG_OK is the page of a GET, or the redirect
 * (JSON: 200 or 201) of a POST; everything else is the page with its messages
 * or a problem document (RFC 9457).
 *
 * Returns what a content handler returns: the caller returns it, or gives it
 * to ngx_http_finalize_request().  Thread: event loop.
 */
ngx_int_t ngx_http_otpreg_reply(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);


#endif /* _NGX_HTTP_OTPREG_REPLY_H_INCLUDED_ */
