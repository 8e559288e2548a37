
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_TASK_H_INCLUDED_
#define _NGX_HTTP_OTPREG_TASK_H_INCLUDED_


#include "otpreg_outcome.h"
#include "otpreg_store.h"

#include "ngx_http_otpreg_module.h"


/*
 * A job on a thread pool and back: the whole asynchronous contract.
 *
 * work    pool thread; may block; must not touch request, pool or log; where
 *         begin_by is set it is not called when the request was terminated, or
 *         that time has come, before a thread comes to it: data is then as it
 *         was posted, and has to say so
 * settle  event loop, exactly once after work, or where work would have been,
 *         whatever became of the request; must not touch it; may be NULL
 * resume  event loop, after settle, with the request that waits; never called
 *         when the request was terminated meanwhile; must end in
 *         ngx_http_finalize_request() or another task
 *
 * The rule of lifetimes: memory that a pool thread can reach belongs to the
 * task until the thread has given it back, whatever nginx does to the request.
 * What nginx calls at its own time (cleanups of a request, timers, break-offs)
 * only marks the task as unwanted.  So data is in one of these:
 *
 *     pool given     in job.pool, which holds nothing of a request: the task
 *                    destroys it when all is over
 *     pool NULL      in r->pool, which nginx keeps while the request is
 *                    blocked; nothing in it may point to memory that a
 *                    cleanup of the request frees
 *     background     in a pool that only settle, or what follows it, destroys
 *
 * Configuration may be pointed to: it lives as long as the threads.
 */

typedef void (*ngx_http_otpreg_work_pt)(void *data);
typedef void (*ngx_http_otpreg_settle_pt)(void *data);
typedef void (*ngx_http_otpreg_resume_pt)(ngx_http_request_t *r, void *data);


typedef struct {
    ngx_http_otpreg_work_pt     work;
    ngx_http_otpreg_settle_pt   settle;
    ngx_http_otpreg_resume_pt   resume;
    void                       *data;
    ngx_pool_t                 *pool;       /* of data, or NULL */
    sig_atomic_t               *unwanted;   /* in pool: 1 after terminate */
    int64_t                     begin_by;   /* _task_now(); 0: any time */
    ngx_uint_t                  abandon;    /* terminate the request when its
                                               client leaves: not where another
                                               answer relies on this one */
} ngx_http_otpreg_job_t;


/* Milliseconds of the monotonic clock.  Thread: any. */
int64_t ngx_http_otpreg_task_now(void);


/*
 * Run a job for a request, which must have a context.  The request is kept
 * until the job is done.  The caller holds a reference (r->main->count), as
 * after reading the body.
 *
 * NGX_OK; NGX_BUSY when the queue is full; NGX_ERROR.  When it is not NGX_OK
 * job->pool stays the caller's.
 */
ngx_int_t ngx_http_otpreg_task_post(ngx_http_request_t *r,
    ngx_http_otpreg_pool_e kind, const ngx_http_otpreg_job_t *job);


/*
 * Run a job for a request on the pool "database", as above, unless it is too
 * late for it: its client has left before a thread comes to it, or a thread
 * has not come within the read_timeout of that database.  So the outcome in
 * data must be OTPREG_BUSY before.  Nobody waits for a queue of those who wait
 * for a lock, and nothing is written for those who have given up.
 */
ngx_int_t ngx_http_otpreg_task_database(ngx_http_request_t *r,
    const otpreg_db_conf_t *database, ngx_http_otpreg_job_t *job);


/* Of what posting a job returned: OTPREG_OK, OTPREG_BUSY or OTPREG_ERROR. */
otpreg_outcome_t ngx_http_otpreg_task_outcome(ngx_int_t rc);


/*
 * Hold a request, which has a context, until something else than a job is
 * done; then wake it, from outside of its handlers: resume is called as above.
 * data may point to what lives in r->pool.
 * It must be woken exactly once, also when it was terminated meanwhile.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_otpreg_task_wait(ngx_http_request_t *r,
    ngx_http_otpreg_resume_pt resume, void *data);
void ngx_http_otpreg_task_wake(ngx_http_request_t *r);


/*
 * Run a job for no request: work and settle only.  data must live until settle
 * was called; job->pool is not used.  A worker that exits gracefully waits for
 * it.
 */
ngx_int_t ngx_http_otpreg_task_background(ngx_thread_pool_t *pool,
    const ngx_http_otpreg_job_t *job);


/* The thread pool of that kind; it is known after configuration. */
ngx_thread_pool_t *ngx_http_otpreg_pool(ngx_http_request_t *r,
    ngx_http_otpreg_pool_e kind);


#endif /* _NGX_HTTP_OTPREG_TASK_H_INCLUDED_ */
