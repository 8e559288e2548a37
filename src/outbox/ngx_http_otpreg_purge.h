
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_PURGE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_PURGE_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Deletes what is over from each database, now and then, in jobs of its own.
 * Of the workers of one nginx only the first does.  Thread: event loop.
 */


/* Begin in this worker, if it is the one.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_otpreg_purge_init(ngx_cycle_t *cycle,
    ngx_http_otpreg_main_conf_t *omcf);


#endif /* _NGX_HTTP_OTPREG_PURGE_H_INCLUDED_ */
