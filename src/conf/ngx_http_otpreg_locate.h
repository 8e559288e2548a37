
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_LOCATE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_LOCATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * The location that nginx would find for a URI, without a request: for the
 * time of the configuration, when all locations are known.
 *
 * server  [in]  the configuration of the server itself
 * uri     [in]  decoded, without arguments
 *
 * Returns NULL where there is none but the server.
 */
ngx_http_core_loc_conf_t *ngx_http_otpreg_locate(
    ngx_http_core_loc_conf_t *server, ngx_str_t *uri);


#endif /* _NGX_HTTP_OTPREG_LOCATE_H_INCLUDED_ */
