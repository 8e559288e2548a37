
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_BREACH_H_INCLUDED_
#define _NGX_HTTP_OTPREG_BREACH_H_INCLUDED_


#include "ngx_http_otpreg_callout.h"
#include "ngx_http_otpreg_loc_conf.h"


/*
 * Have a password looked up in a list of breached ones, if there is one; the
 * list is told 20 bits of its hash.  Thread: event loop.
 *
 * NGX_OK: there is nothing to wait for; NGX_AGAIN: next is called later with
 * data.  In both cases ctx->outcome, and ctx->fields, say what came of it.
 */
ngx_int_t ngx_http_otpreg_breach(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, const otpreg_password_t *password,
    ngx_http_otpreg_next_pt next, void *data);


#endif /* _NGX_HTTP_OTPREG_BREACH_H_INCLUDED_ */
