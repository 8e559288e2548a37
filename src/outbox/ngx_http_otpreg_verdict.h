
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_VERDICT_H_INCLUDED_
#define _NGX_HTTP_OTPREG_VERDICT_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/* what a courier's answer says about a message; thread: event loop */

typedef enum {
    NGX_HTTP_OTPREG_VERDICT_SENT = 0,
    NGX_HTTP_OTPREG_VERDICT_LATER,      /* asked reissue, or the next courier */
    NGX_HTTP_OTPREG_VERDICT_FAULT,      /* the same; it is up to us */
    NGX_HTTP_OTPREG_VERDICT_NEXT,       /* the next courier, or refused */
    NGX_HTTP_OTPREG_VERDICT_REFUSED
} ngx_http_otpreg_verdict_e;


/*
 * courier  [in]  the location that was asked, with its own rules; or NULL
 * status   [in]  of its answer, 0: none
 */
ngx_http_otpreg_verdict_e ngx_http_otpreg_verdict(
    const ngx_http_otpreg_loc_conf_t *courier, ngx_uint_t status);

char *ngx_http_otpreg_set_courier_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_OTPREG_VERDICT_H_INCLUDED_ */
