
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_BACKGROUND_H_INCLUDED_
#define _NGX_HTTP_OTPREG_BACKGROUND_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * A main request without a client, for subrequests that nobody waits for.  Its
 * connection is never in the event loop; every byte of its memory is wiped
 * before it is freed, since codes pass through it.  Thread: event loop.
 */


/* Open what all background requests of the worker share. */
ngx_int_t ngx_http_otpreg_background_init(ngx_cycle_t *cycle);


/* A pool all of whose memory is wiped before it is freed. */
ngx_pool_t *ngx_http_otpreg_background_create_pool(size_t size,
    ngx_log_t *log);


/*
 * Make one.
 *
 * conf      [in]  of the server{} that it shall be in
 * time      [in]  milliseconds, after which it is broken off
 * wake      [in]  called when a subrequest has ended
 * broken    [in]  called at once when it is broken off, and when it ends, or
 *                 NULL; the request and its subrequests are still there; it
 *                 also says that only a status is wanted: an answer that has
 *                 one and goes on for seconds is broken off
 * done      [in]  called exactly once with data, when nothing can reach the
 *                 request any more: no thread, no file operation of nginx's,
 *                 no subrequest; so what they use must live until then
 *
 * NULL when there is no memory or connection; broken and done are not called
 * then.
 */
ngx_http_request_t *ngx_http_otpreg_background_create(ngx_http_conf_ctx_t *conf,
    ngx_msec_t time, ngx_http_event_handler_pt wake,
    ngx_http_cleanup_pt broken, ngx_http_cleanup_pt done, void *data);


/*
 * Start a subrequest whose answer is kept in memory; wake is called after it.
 *
 * body     [in]  JSON to POST, copied; NULL: GET
 * handler  [in]  sees status and answer; may be called twice
 *
 * NULL when there is no memory.
 */
ngx_http_request_t *ngx_http_otpreg_background_subrequest(ngx_http_request_t *r,
    ngx_str_t *uri, ngx_str_t *body,
    ngx_http_post_subrequest_pt handler, void *data);


/*
 * The same for an answer of any length, which is not kept: sink sees it piece
 * by piece, the last one when wake calls _flush().  r must have a context.
 */
ngx_http_request_t *ngx_http_otpreg_background_stream(ngx_http_request_t *r,
    ngx_str_t *uri, ngx_str_t *body, ngx_http_otpreg_sink_pt sink,
    ngx_http_post_subrequest_pt handler, void *data);
void ngx_http_otpreg_background_flush(ngx_http_request_t *r);


/* Run what was started, outside of any handler of the request. */
void ngx_http_otpreg_background_run(ngx_http_request_t *r);


/* End it.  r must not be used any more. */
void ngx_http_otpreg_background_end(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OTPREG_BACKGROUND_H_INCLUDED_ */
