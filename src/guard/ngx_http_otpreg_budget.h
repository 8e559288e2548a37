
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_BUDGET_H_INCLUDED_
#define _NGX_HTTP_OTPREG_BUDGET_H_INCLUDED_


#include "otpreg_store.h"

#include "ngx_http_otpreg_module.h"


/*
 * How many messages may be sent, as the configuration says it and the store is
 * told it, which counts them.
 */


/*
 * Parse "5/h 10/d", or "off": the arguments of a directive from number "first"
 * on.
 *
 * period_min [in]  seconds
 *
 * In cf->pool, with no share; NULL, and it was said why.
 * Thread: configuration.
 */
otpreg_store_limits_t *ngx_http_otpreg_budget_parse(ngx_conf_t *cf,
    ngx_uint_t first, ngx_int_t count_max, time_t period_min);

/* otpreg_address_limit.  Thread: configuration. */
char *ngx_http_otpreg_set_address_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Inherit or take the default.  Thread: configuration. */
void ngx_http_otpreg_merge_address_limit(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev);


/*
 * What the messages that a request asks for must be within, and who asks: the
 * client, and the widest of otpreg_limit_networks that it is in, hashed by the
 * first key of the site.  Thread: event loop.
 */
void ngx_http_otpreg_budgets(ngx_http_request_t *r,
    otpreg_store_budgets_t *budgets);


#endif /* _NGX_HTTP_OTPREG_BUDGET_H_INCLUDED_ */
