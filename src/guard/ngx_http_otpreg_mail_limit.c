
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_mail_limit.h"


#define NGX_HTTP_OTPREG_MAIL_COUNT_MAX   100000000

/* it is counted by so many seconds */
#define NGX_HTTP_OTPREG_MAIL_PERIOD_MIN  600


/* what is right depends on the site, and who uses it up shuts others out */

static otpreg_store_limits_t  ngx_http_otpreg_mail_unlimited;


char *
ngx_http_otpreg_set_mail_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    const otpreg_store_limits_t  **limits;

    limits = (const otpreg_store_limits_t **) ((u_char *) conf + cmd->offset);

    if (*limits != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    *limits = ngx_http_otpreg_budget_parse(cf, 1,
                                           NGX_HTTP_OTPREG_MAIL_COUNT_MAX,
                                           NGX_HTTP_OTPREG_MAIL_PERIOD_MIN);

    return *limits ? NGX_CONF_OK : NGX_CONF_ERROR;
}


void
ngx_http_otpreg_create_mail_limits(ngx_http_otpreg_loc_conf_t *conf)
{
    conf->mail_limits.total = NGX_CONF_UNSET_PTR;
    conf->mail_limits.domain = NGX_CONF_UNSET_PTR;
}


void
ngx_http_otpreg_merge_mail_limits(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev)
{
    ngx_conf_merge_ptr_value(conf->mail_limits.total, prev->mail_limits.total,
                             &ngx_http_otpreg_mail_unlimited);
    ngx_conf_merge_ptr_value(conf->mail_limits.domain,
                             prev->mail_limits.domain,
                             &ngx_http_otpreg_mail_unlimited);
}
