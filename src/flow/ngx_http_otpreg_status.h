
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_STATUS_H_INCLUDED_
#define _NGX_HTTP_OTPREG_STATUS_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/* Thread: event loop. */

/* otpreg_status: the counters in Prometheus' text format 0.0.4 */
ngx_int_t ngx_http_otpreg_status_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OTPREG_STATUS_H_INCLUDED_ */
