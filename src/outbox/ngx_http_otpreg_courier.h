
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_COURIER_H_INCLUDED_
#define _NGX_HTTP_OTPREG_COURIER_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/* Couriers of our own, as content handlers of their locations. */

ngx_int_t ngx_http_otpreg_smtp_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_otpreg_console_handler(ngx_http_request_t *r);

char *ngx_http_otpreg_set_smtp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


#endif /* _NGX_HTTP_OTPREG_COURIER_H_INCLUDED_ */
