
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_REFUSAL_H_INCLUDED_
#define _NGX_HTTP_OTPREG_REFUSAL_H_INCLUDED_


#include "otpreg_store.h"

#include "ngx_http_otpreg_module.h"


/*
 * Count a message that a limit refused, and say so in the log, once a minute
 * for each scope and worker at most; also when none was, that is for
 * OTPREG_STORE_FREE.  Thread: event loop.
 *
 * address  the number or the e-mail address; the log has the prefix of the one
 *          and the domain of the other
 */
void ngx_http_otpreg_refused(ngx_http_otpreg_loc_conf_t *conf,
    otpreg_store_scope_t scope, const char *address);


#endif /* _NGX_HTTP_OTPREG_REFUSAL_H_INCLUDED_ */
