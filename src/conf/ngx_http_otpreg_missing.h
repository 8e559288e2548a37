
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_MISSING_H_INCLUDED_
#define _NGX_HTTP_OTPREG_MISSING_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * URIs of the configuration that lead nowhere: a courier, a template, a page,
 * the next page, a challenge or a range API.  Warned of when all locations are
 * known, and only where nothing could make the URI work: those with variables,
 * and those that a handler, "rewrite", "try_files" or "error_page" may serve,
 * are left alone. Also warned of: a second server whose messages go through the
 * couriers of the first one, because nobody has named their sites.
 */


/*
 * Remember a location with a handler of this module while configurations are
 * merged: cf is of its server.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_otpreg_missing_note(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf);


/* Look at what was remembered, as postconfiguration.  NGX_OK. */
ngx_int_t ngx_http_otpreg_missing_warn(ngx_conf_t *cf);


#endif /* _NGX_HTTP_OTPREG_MISSING_H_INCLUDED_ */
