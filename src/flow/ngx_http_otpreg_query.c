
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_query.h"


void
ngx_http_otpreg_query_init(ngx_http_otpreg_query_t *query,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    query->realm = olcf->realm;
    query->database = olcf->database;
    query->outcome = OTPREG_BUSY;
}


otpreg_outcome_t
ngx_http_otpreg_query_post(ngx_http_request_t *r,
    ngx_http_otpreg_query_t *query, ngx_http_otpreg_job_t *job)
{
    query->outcome = OTPREG_BUSY;

    return ngx_http_otpreg_task_outcome(
                      ngx_http_otpreg_task_database(r, query->database, job));
}


void
ngx_http_otpreg_query_settle(ngx_http_otpreg_query_t *query)
{
    ngx_http_otpreg_dispatch_database(query->realm, query->outcome,
                                      query->error);
}
