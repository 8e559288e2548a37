
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_registers.h"

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_task.h"


/*
 * While a task is in flight this timer is in the tree, so that a worker that
 * exits gracefully waits for it; it is also when a slow one is first reported.
 */
#define NGX_HTTP_OTPREG_TASK_GUARD  60000


struct ngx_http_otpreg_task_s {
    ngx_http_otpreg_job_t       job;
    ngx_http_request_t         *request;    /* NULL: background */
    ngx_http_cleanup_t         *cleanup;    /* of the request */
    ngx_pool_t                 *pool;       /* of a background task */
    ngx_event_t                 guard;      /* of one that only waits */
    sig_atomic_t                unwanted;   /* the request was terminated */
};


static ngx_thread_task_t *ngx_http_otpreg_task_alloc(ngx_pool_t *pool,
    const ngx_http_otpreg_job_t *job);
static ngx_int_t ngx_http_otpreg_task_queue(ngx_thread_pool_t *tp,
    ngx_thread_task_t *task);
static ngx_int_t ngx_http_otpreg_task_watch(ngx_http_request_t *r,
    ngx_http_otpreg_task_t *t);
static void ngx_http_otpreg_task_terminated(void *data);
static void ngx_http_otpreg_task_hold(ngx_http_request_t *r,
    ngx_http_otpreg_task_t *t);
static void ngx_http_otpreg_task_thread(void *data, ngx_log_t *log);
static void ngx_http_otpreg_task_event(ngx_event_t *ev);
static void ngx_http_otpreg_task_guard(ngx_event_t *ev);
static void ngx_http_otpreg_task_complete(ngx_http_otpreg_task_t *t);
static void ngx_http_otpreg_task_resume(ngx_http_request_t *r);


ngx_int_t
ngx_http_otpreg_task_post(ngx_http_request_t *r, ngx_http_otpreg_pool_e kind,
    const ngx_http_otpreg_job_t *job)
{
    ngx_int_t                rc;
    ngx_thread_task_t       *task;
    ngx_http_otpreg_task_t  *t;

    task = ngx_http_otpreg_task_alloc(job->pool ? job->pool : r->pool, job);
    if (task == NULL) {
        return NGX_ERROR;
    }

    t = task->ctx;

    if (ngx_http_otpreg_task_watch(r, t) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_otpreg_task_queue(ngx_http_otpreg_pool(r, kind), task);
    if (rc != NGX_OK) {
        t->cleanup->handler = NULL;
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_HASH_FULL + kind, 1);
        return rc;
    }

    ngx_http_otpreg_task_hold(r, t);

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_task_database(ngx_http_request_t *r,
    const otpreg_db_conf_t *database, ngx_http_otpreg_job_t *job)
{
    job->begin_by = ngx_http_otpreg_task_now()
                    + (int64_t) database->read_timeout * 1000;

    return ngx_http_otpreg_task_post(r, NGX_HTTP_OTPREG_POOL_DATABASE, job);
}


otpreg_outcome_t
ngx_http_otpreg_task_outcome(ngx_int_t rc)
{
    switch (rc) {

    case NGX_OK:
        return OTPREG_OK;

    case NGX_BUSY:
        return OTPREG_BUSY;

    default:
        return OTPREG_ERROR;
    }
}


ngx_int_t
ngx_http_otpreg_task_wait(ngx_http_request_t *r,
    ngx_http_otpreg_resume_pt resume, void *data)
{
    ngx_http_otpreg_task_t  *t;

    t = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_task_t));
    if (t == NULL) {
        return NGX_ERROR;
    }

    t->job.resume = resume;
    t->job.data = data;

    if (ngx_http_otpreg_task_watch(r, t) != NGX_OK) {
        return NGX_ERROR;
    }

    t->guard.handler = ngx_http_otpreg_task_guard;
    t->guard.data = t;
    t->guard.log = ngx_cycle->log;

    ngx_add_timer(&t->guard, NGX_HTTP_OTPREG_TASK_GUARD);

    ngx_http_otpreg_task_hold(r, t);

    return NGX_OK;
}


void
ngx_http_otpreg_task_wake(ngx_http_request_t *r)
{
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    ngx_http_otpreg_task_complete(ctx->task);
}


/* nginx runs the cleanups of a request that it terminates at once, blocked */

static ngx_int_t
ngx_http_otpreg_task_watch(ngx_http_request_t *r, ngx_http_otpreg_task_t *t)
{
    t->request = r;

    t->cleanup = ngx_http_cleanup_add(r, 0);
    if (t->cleanup == NULL) {
        return NGX_ERROR;
    }

    t->cleanup->handler = ngx_http_otpreg_task_terminated;
    t->cleanup->data = t;

    return NGX_OK;
}


static void
ngx_http_otpreg_task_terminated(void *data)
{
    ngx_http_otpreg_task_t *t = data;

    __atomic_store_n(&t->unwanted, 1, __ATOMIC_RELAXED);

    if (t->job.unwanted != NULL) {
        __atomic_store_n(t->job.unwanted, 1, __ATOMIC_RELAXED);
    }
}


/* until it is complete, the request is not freed */

static void
ngx_http_otpreg_task_hold(ngx_http_request_t *r, ngx_http_otpreg_task_t *t)
{
    ngx_event_t            *rev;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);
    ctx->task = t;

    r->main->blocked++;
    r->aio = 1;
    r->write_event_handler = ngx_http_otpreg_task_resume;

    rev = r->connection->read;

    if (t->job.abandon && r == r->main
        && r->read_event_handler == ngx_http_block_reading)
    {
        r->read_event_handler = ngx_http_test_reading;

        /* who has left already left an event behind */

        if (rev->ready) {
            ngx_post_event(rev, &ngx_posted_events);
        }
    }
}


ngx_int_t
ngx_http_otpreg_task_background(ngx_thread_pool_t *tp,
    const ngx_http_otpreg_job_t *job)
{
    ngx_int_t                rc;
    ngx_pool_t              *pool;
    ngx_thread_task_t       *task;
    ngx_http_otpreg_task_t  *t;

    pool = ngx_create_pool(512, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    task = ngx_http_otpreg_task_alloc(pool, job);
    if (task == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    t = task->ctx;
    t->pool = pool;

    rc = ngx_http_otpreg_task_queue(tp, task);
    if (rc != NGX_OK) {
        ngx_destroy_pool(pool);
    }

    return rc;
}


static ngx_thread_task_t *
ngx_http_otpreg_task_alloc(ngx_pool_t *pool, const ngx_http_otpreg_job_t *job)
{
    ngx_thread_task_t       *task;
    ngx_http_otpreg_task_t  *t;

    task = ngx_thread_task_alloc(pool, sizeof(ngx_http_otpreg_task_t));
    if (task == NULL) {
        return NULL;
    }

    t = task->ctx;
    t->job = *job;

    task->handler = ngx_http_otpreg_task_thread;
    task->event.handler = ngx_http_otpreg_task_event;
    task->event.data = task;
    task->event.log = ngx_cycle->log;

    return task;
}


static ngx_int_t
ngx_http_otpreg_task_queue(ngx_thread_pool_t *tp, ngx_thread_task_t *task)
{
    /* the only way in which posting fails is a full queue */

    if (ngx_thread_task_post(tp, task) != NGX_OK) {
        return NGX_BUSY;
    }

    ngx_add_timer(&task->event, NGX_HTTP_OTPREG_TASK_GUARD);

    return NGX_OK;
}


static void
ngx_http_otpreg_task_thread(void *data, ngx_log_t *log)
{
    ngx_http_otpreg_task_t *t = data;

    if (t->job.begin_by != 0
        && (__atomic_load_n(&t->unwanted, __ATOMIC_RELAXED)
            || ngx_http_otpreg_task_now() >= t->job.begin_by))
    {
        return;
    }

    t->job.work(t->job.data);

    /* the thread waits for the next one, or for long */
    otpreg_registers_wipe();
}


int64_t
ngx_http_otpreg_task_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static void
ngx_http_otpreg_task_event(ngx_event_t *ev)
{
    ngx_thread_task_t       *task;
    ngx_http_otpreg_task_t  *t;

    task = ev->data;
    t = task->ctx;

    if (ev->timedout) {
        ngx_http_otpreg_task_guard(ev);
        return;
    }

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (t->job.settle != NULL) {
        t->job.settle(t->job.data);
    }

    if (t->request == NULL) {
        ngx_destroy_pool(t->pool);
        return;
    }

    ngx_http_otpreg_task_complete(t);
}


static void
ngx_http_otpreg_task_guard(ngx_event_t *ev)
{
    ev->timedout = 0;

    ngx_log_error(NGX_LOG_WARN, ev->log, 0,
                  "otpreg: a task takes longer than a minute");

    ngx_add_timer(ev, NGX_HTTP_OTPREG_TASK_GUARD);
}


static void
ngx_http_otpreg_task_complete(ngx_http_otpreg_task_t *t)
{
    ngx_pool_t          *pool;
    ngx_uint_t           terminated;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = t->request;
    c = r->connection;
    pool = t->job.pool;
    terminated = t->unwanted;

    t->cleanup->handler = NULL;

    if (t->guard.timer_set) {
        ngx_del_timer(&t->guard);
    }

    ngx_http_set_log_request(c->log, r);

    r->main->blocked--;
    r->aio = 0;

    if (terminated) {

        /*
         * It is freed now, unless something else still blocks it.  Which of
         * its requests nginx left to be woken for that differs between
         * versions: say it again to the main request.
         */

        ngx_http_finalize_request(r->main, NGX_ERROR);

    } else {
        r->write_event_handler(r);
    }

    ngx_http_run_posted_requests(c);

    if (pool != NULL) {
        ngx_destroy_pool(pool);
    }
}


static void
ngx_http_otpreg_task_resume(ngx_http_request_t *r)
{
    ngx_http_otpreg_ctx_t   *ctx;
    ngx_http_otpreg_task_t  *t;

    if (r->aio) {

        /* a write event came while the thread works */

        if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
            ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                          "otpreg: ngx_handle_write_event() failed");
        }

        return;
    }

    ctx = ngx_http_otpreg_get_ctx(r);
    t = ctx->task;

    if (t == NULL) {
        return;
    }

    ctx->task = NULL;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (r->read_event_handler == ngx_http_test_reading) {
        r->read_event_handler = ngx_http_block_reading;
    }

    t->job.resume(r, t->job.data);
}


ngx_thread_pool_t *
ngx_http_otpreg_pool(ngx_http_request_t *r, ngx_http_otpreg_pool_e kind)
{
    ngx_http_otpreg_main_conf_t  *omcf;

    omcf = ngx_http_get_module_main_conf(r, ngx_http_otpreg_module);

    return omcf->pools[kind];
}
