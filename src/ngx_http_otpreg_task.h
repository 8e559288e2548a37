
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_TASK_H_INCLUDED_
#define _NGX_HTTP_OTPREG_TASK_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * A job on a thread pool and back: the whole asynchronous contract.
 *
 * work    pool thread; may block; must not touch request, pool or log
 * settle  event loop, exactly once after work, whatever became of the request;
 *         must not touch the request; may be NULL
 * resume  event loop, after settle, with the request that waits; not called
 *         when the request was terminated meanwhile; must end in
 *         ngx_http_finalize_request() or another task
 */

typedef void (*ngx_http_otpreg_work_pt)(void *data);
typedef void (*ngx_http_otpreg_settle_pt)(void *data);
typedef void (*ngx_http_otpreg_resume_pt)(ngx_http_request_t *r, void *data);


typedef struct {
    ngx_http_otpreg_work_pt     work;
    ngx_http_otpreg_settle_pt   settle;
    ngx_http_otpreg_resume_pt   resume;
    void                       *data;
} ngx_http_otpreg_job_t;


/*
 * Run a job for a request, which must have a context.  data must live in
 * r->pool or longer; the request is kept until the job is done.  The caller
 * holds a reference (r->main->count), as after reading the body.
 *
 * NGX_OK; NGX_BUSY when the queue is full; NGX_ERROR.
 */
ngx_int_t ngx_http_otpreg_task_post(ngx_http_request_t *r,
    ngx_http_otpreg_pool_e kind, const ngx_http_otpreg_job_t *job);


/*
 * Hold a request, which has a context, until something else than a job is
 * done; then wake it, from outside of its handlers: resume is called as above.
 * It must be woken exactly once, also when it was terminated meanwhile.
 * NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_otpreg_task_wait(ngx_http_request_t *r,
    ngx_http_otpreg_resume_pt resume, void *data);
void ngx_http_otpreg_task_wake(ngx_http_request_t *r);


/*
 * Run a job for no request: work and settle only.  data must live until settle
 * was called.  A worker that exits gracefully waits for it.
 */
ngx_int_t ngx_http_otpreg_task_detached(ngx_thread_pool_t *pool,
    const ngx_http_otpreg_job_t *job);


#endif /* _NGX_HTTP_OTPREG_TASK_H_INCLUDED_ */
