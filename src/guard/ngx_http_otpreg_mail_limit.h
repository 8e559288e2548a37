
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_MAIL_LIMIT_H_INCLUDED_
#define _NGX_HTTP_OTPREG_MAIL_LIMIT_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Against mail bombs: how many mails a site sends in all and to one domain.
 * The store decides; here is what it is told.  Thread: configuration.
 */


/*
 * otpreg_mail_limit and otpreg_mail_domain_limit: number/period ... | off;
 * cmd->offset is the field's
 */
char *ngx_http_otpreg_set_mail_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Nothing is set yet. */
void ngx_http_otpreg_create_mail_limits(ngx_http_otpreg_loc_conf_t *conf);

/* Inherit or take the defaults. */
void ngx_http_otpreg_merge_mail_limits(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev);


#endif /* _NGX_HTTP_OTPREG_MAIL_LIMIT_H_INCLUDED_ */
