
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_FLOW_H_INCLUDED_
#define _NGX_HTTP_OTPREG_FLOW_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/* The pages of a sign-up, as content handlers.  Thread: event loop. */

/* content handlers */
ngx_int_t ngx_http_otpreg_register_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_otpreg_verify_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_otpreg_resend_handler(ngx_http_request_t *r);


/* What a page shows of the sign-up; empty in other requests: see value.h. */
ngx_int_t ngx_http_otpreg_variable_page(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
ngx_int_t ngx_http_otpreg_variable_minutes(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


#endif /* _NGX_HTTP_OTPREG_FLOW_H_INCLUDED_ */
