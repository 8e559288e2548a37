
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_SMS_LIMIT_H_INCLUDED_
#define _NGX_HTTP_OTPREG_SMS_LIMIT_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Against SMS pumping: how many messages a site sends in all and to numbers
 * with one prefix, and which numbers get none.  The store decides; here is
 * what it is told, and what is said about it.
 */


/* setters of directives.  Thread: configuration. */

char *ngx_http_otpreg_set_sms_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_sms_prefix_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_sms_verified_share(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_otpreg_set_sms_countries(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Nothing is set yet. */
void ngx_http_otpreg_create_sms_limits(ngx_http_otpreg_loc_conf_t *conf);

/* Inherit or take the defaults; after code_lifetime was merged. */
void ngx_http_otpreg_merge_sms_limits(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev);


/* Whether otpreg_sms_countries lets a number in; E.164, NUL-terminated. */
ngx_uint_t ngx_http_otpreg_sms_is_allowed(ngx_http_otpreg_loc_conf_t *conf,
    const char *number);


#endif /* _NGX_HTTP_OTPREG_SMS_LIMIT_H_INCLUDED_ */
