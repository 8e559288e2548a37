
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_QUERY_H_INCLUDED_
#define _NGX_HTTP_OTPREG_QUERY_H_INCLUDED_


#include "otpreg_outcome.h"
#include "otpreg_store.h"

#include "ngx_http_otpreg_task.h"


/*
 * What a request asks of the database: the first member of what a job of the
 * pool "database" works on.
 */

typedef struct {
    ngx_http_otpreg_realm_t    *realm;
    otpreg_db_conf_t           *database;
    otpreg_outcome_t            outcome;        /* OTPREG_BUSY until it is */
    char                        error[OTPREG_DB_ERROR_SIZE];
} ngx_http_otpreg_query_t;


/* Ask the database of a location.  Thread: event loop. */
void ngx_http_otpreg_query_init(ngx_http_otpreg_query_t *query,
    ngx_http_otpreg_loc_conf_t *olcf);


/*
 * Post the job: its work calls the store and sets outcome and error, its
 * settle calls _settle().  OTPREG_OK, or OTPREG_BUSY or OTPREG_ERROR: nothing
 * of it will be called.  Thread: event loop.
 */
otpreg_outcome_t ngx_http_otpreg_query_post(ngx_http_request_t *r,
    ngx_http_otpreg_query_t *query, ngx_http_otpreg_job_t *job);

/* Tell whether the database is there, whatever became of the request. */
void ngx_http_otpreg_query_settle(ngx_http_otpreg_query_t *query);


#endif /* _NGX_HTTP_OTPREG_QUERY_H_INCLUDED_ */
