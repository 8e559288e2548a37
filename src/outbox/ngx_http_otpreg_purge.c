
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_purge.h"
#include "ngx_http_otpreg_realm.h"
#include "ngx_http_otpreg_task.h"


/* ms, and up to a half more: after a look, while there is more, a failure */
#define NGX_HTTP_OTPREG_PURGE_TIME    600000
#define NGX_HTTP_OTPREG_PURGE_MORE    1000
#define NGX_HTTP_OTPREG_PURGE_FAILED  60000


/* one database; of this worker, as long as it lives */

typedef struct {
    otpreg_db_conf_t           *database;
    ngx_thread_pool_t          *pool;
    ngx_event_t                 timer;
    otpreg_store_purge_t        walk;
    unsigned                    rows;
    bool                        more;
    otpreg_outcome_t            outcome;
    char                        error[OTPREG_DB_ERROR_SIZE];
    char                        logged[OTPREG_DB_ERROR_SIZE];
} ngx_http_otpreg_purge_t;


static ngx_uint_t ngx_http_otpreg_purge_is_known(
    ngx_http_otpreg_realm_t **realm, ngx_uint_t n);
static void ngx_http_otpreg_purge_begin(ngx_event_t *ev);
static void ngx_http_otpreg_purge_work(void *data);
static void ngx_http_otpreg_purge_end(void *data);
static void ngx_http_otpreg_purge_log(ngx_http_otpreg_purge_t *purge);
static void ngx_http_otpreg_purge_again(ngx_http_otpreg_purge_t *purge,
    ngx_msec_t time);


ngx_int_t
ngx_http_otpreg_purge_init(ngx_cycle_t *cycle,
    ngx_http_otpreg_main_conf_t *omcf)
{
    ngx_uint_t                 i;
    ngx_http_otpreg_purge_t   *purge;
    ngx_http_otpreg_realm_t  **realm;

    /* a worker that dies is replaced by one of the same number */

    if (ngx_worker != 0) {
        return NGX_OK;
    }

    realm = omcf->realms.elts;

    for (i = 0; i < omcf->realms.nelts; i++) {

        if (ngx_http_otpreg_purge_is_known(realm, i)) {
            continue;
        }

        purge = ngx_pcalloc(cycle->pool, sizeof(ngx_http_otpreg_purge_t));
        if (purge == NULL) {
            return NGX_ERROR;
        }

        purge->database = realm[i]->conf->database;
        purge->pool = omcf->pools[NGX_HTTP_OTPREG_POOL_DATABASE];
        purge->timer.handler = ngx_http_otpreg_purge_begin;
        purge->timer.data = purge;
        purge->timer.log = cycle->log;
        purge->timer.cancelable = 1;

        ngx_http_otpreg_purge_again(purge, NGX_HTTP_OTPREG_PURGE_MORE);
    }

    return NGX_OK;
}


/* whether the realm number n has the database of one before it */

static ngx_uint_t
ngx_http_otpreg_purge_is_known(ngx_http_otpreg_realm_t **realm,
    ngx_uint_t n)
{
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        if (realm[i]->conf->database == realm[n]->conf->database) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_otpreg_purge_begin(ngx_event_t *ev)
{
    ngx_http_otpreg_job_t     job;
    ngx_http_otpreg_purge_t  *purge;

    if (ngx_exiting) {
        return;
    }

    purge = ev->data;

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_purge_work;
    job.settle = ngx_http_otpreg_purge_end;
    job.data = purge;

    if (ngx_http_otpreg_task_background(purge->pool, &job) != NGX_OK) {
        ngx_http_otpreg_purge_again(purge, NGX_HTTP_OTPREG_PURGE_FAILED);
    }
}


static void
ngx_http_otpreg_purge_work(void *data)
{
    ngx_http_otpreg_purge_t *purge = data;

    purge->outcome = otpreg_store_purge(purge->database, &purge->walk,
                                        &purge->rows, &purge->more,
                                        purge->error);
}


static void
ngx_http_otpreg_purge_end(void *data)
{
    ngx_http_otpreg_purge_t *purge = data;

    ngx_msec_t  time;

    ngx_http_otpreg_purge_log(purge);

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, ngx_cycle->log, 0,
                   "otpreg: %ui rows deleted", (ngx_uint_t) purge->rows);

    if (purge->more && (purge->outcome == OTPREG_OK || purge->rows > 0)) {
        time = NGX_HTTP_OTPREG_PURGE_MORE;

    } else {
        time = (purge->outcome == OTPREG_OK) ? NGX_HTTP_OTPREG_PURGE_TIME
                                             : NGX_HTTP_OTPREG_PURGE_FAILED;
    }

    ngx_http_otpreg_purge_again(purge, time);
}


/* whether the database is there is told by those who need it */

static void
ngx_http_otpreg_purge_log(ngx_http_otpreg_purge_t *purge)
{
    if (ngx_strcmp(purge->error, purge->logged) == 0) {
        return;
    }

    ngx_cpystrn((u_char *) purge->logged, (u_char *) purge->error,
                OTPREG_DB_ERROR_SIZE);

    if (purge->error[0] != '\0') {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "otpreg: rows that are over were not deleted: %s",
                      purge->error);
    }
}


static void
ngx_http_otpreg_purge_again(ngx_http_otpreg_purge_t *purge, ngx_msec_t time)
{
    if (!ngx_exiting) {
        ngx_add_timer(&purge->timer, time + randombytes_uniform(time / 2 + 1));
    }
}
