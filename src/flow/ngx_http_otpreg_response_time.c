
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sys/timerfd.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_response_time.h"


/* milliseconds */
#define NGX_HTTP_OTPREG_RESPONSE_MIN   10
#define NGX_HTTP_OTPREG_RESPONSE_MAX   10000
#define NGX_HTTP_OTPREG_RESPONSE_GUARD  20

/* nanoseconds */
#define NGX_HTTP_OTPREG_MSEC           1000000
#define NGX_HTTP_OTPREG_SEC            1000000000


static void ngx_http_otpreg_response_time_insert(
    ngx_http_otpreg_delayed_t *delayed);
static void ngx_http_otpreg_response_time_arm(void);
static void ngx_http_otpreg_response_time_timer(ngx_event_t *ev);
static void ngx_http_otpreg_response_time_event(ngx_http_request_t *r);
static void ngx_http_otpreg_response_time_now(ngx_http_request_t *r);
static int64_t ngx_http_otpreg_response_time_clock_ns(void);


/*
 * The answers that are held in this worker, and the one timer for them.
 * nginx's own timers end whole milliseconds after the event before them, so
 * that they would let the microseconds of the work through.
 */

static ngx_queue_t        ngx_http_otpreg_response_time_queue;
static ngx_connection_t  *ngx_http_otpreg_response_time_clock;


char *
ngx_http_otpreg_set_response_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_int_t   time;
    ngx_str_t  *value;

    if (olcf->response_time != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        olcf->response_time = 0;
        return NGX_CONF_OK;
    }

    time = ngx_parse_time(&value[1], 0);

    if (time == NGX_ERROR) {
        return "invalid value";
    }

    if (time < NGX_HTTP_OTPREG_RESPONSE_MIN
        || time > NGX_HTTP_OTPREG_RESPONSE_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "value must be between %d and %d milliseconds, "
                           "or \"off\"", NGX_HTTP_OTPREG_RESPONSE_MIN,
                           NGX_HTTP_OTPREG_RESPONSE_MAX);
        return NGX_CONF_ERROR;
    }

    olcf->response_time = time;

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_otpreg_response_time_init(ngx_cycle_t *cycle)
{
    int                fd;
    ngx_connection_t  *c;

    ngx_queue_init(&ngx_http_otpreg_response_time_queue);

    fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK|TFD_CLOEXEC);

    if (fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "otpreg: timerfd_create() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(fd, cycle->log);

    if (c == NULL) {
        (void) close(fd);
        return NGX_ERROR;
    }

    c->log = cycle->log;
    c->read->log = cycle->log;
    c->read->handler = ngx_http_otpreg_response_time_timer;

    if (ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT) != NGX_OK) {
        ngx_close_connection(c);
        return NGX_ERROR;
    }

    ngx_http_otpreg_response_time_clock = c;

    return NGX_OK;
}


void
ngx_http_otpreg_response_time_exit(void)
{
    if (ngx_http_otpreg_response_time_clock != NULL) {
        ngx_close_connection(ngx_http_otpreg_response_time_clock);
        ngx_http_otpreg_response_time_clock = NULL;
    }
}


void
ngx_http_otpreg_response_time_start(ngx_http_otpreg_ctx_t *ctx)
{
    ctx->delayed.start = ngx_http_otpreg_response_time_clock_ns();
}


void
ngx_http_otpreg_reply_later(ngx_http_request_t *r)
{
    int64_t                 now, time;
    ngx_event_t            *rev, *wev;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);
    rev = r->connection->read;
    wev = r->connection->write;

    time = (int64_t) ctx->conf->response_time * NGX_HTTP_OTPREG_MSEC;

    /* a subrequest has no timer of its own, and no client that measures it */

    if (time == 0 || r != r->main) {
        ngx_http_otpreg_response_time_now(r);
        return;
    }

    now = ngx_http_otpreg_response_time_clock_ns();

    ctx->delayed.request = r;
    ctx->delayed.end = now + time - (now - ctx->delayed.start) % time;

    ngx_http_otpreg_response_time_insert(&ctx->delayed);

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;

        /* who left while the database was asked left an event behind */

        if (rev->ready) {
            ngx_post_event(rev, &ngx_posted_events);
        }
    }

    r->write_event_handler = ngx_http_otpreg_response_time_event;

    /*
     * As limit_req delays a request.  This timer is late on purpose: it
     * makes a worker that exits wait for the answer.
     */

    wev->delayed = 1;
    ngx_add_timer(wev, (ctx->delayed.end - now) / NGX_HTTP_OTPREG_MSEC
                       + NGX_HTTP_OTPREG_RESPONSE_GUARD);
}


/* the first to go is the first; most have the same time, and come last */

static void
ngx_http_otpreg_response_time_insert(ngx_http_otpreg_delayed_t *delayed)
{
    ngx_queue_t                *q;
    ngx_http_otpreg_delayed_t  *other;

    for (q = ngx_queue_last(&ngx_http_otpreg_response_time_queue);
         q != ngx_queue_sentinel(&ngx_http_otpreg_response_time_queue);
         q = ngx_queue_prev(q))
    {
        other = ngx_queue_data(q, ngx_http_otpreg_delayed_t, queue);

        if (other->end <= delayed->end) {
            break;
        }
    }

    ngx_queue_insert_after(q, &delayed->queue);

    if (ngx_queue_head(&ngx_http_otpreg_response_time_queue)
        == &delayed->queue)
    {
        ngx_http_otpreg_response_time_arm();
    }
}


void
ngx_http_otpreg_response_time_cancel(ngx_http_otpreg_ctx_t *ctx)
{
    if (ctx->delayed.request != NULL) {
        ctx->delayed.request = NULL;
        ngx_queue_remove(&ctx->delayed.queue);
    }
}


static void
ngx_http_otpreg_response_time_arm(void)
{
    ngx_queue_t                *q;
    struct itimerspec           it;
    ngx_http_otpreg_delayed_t  *delayed;

    if (ngx_queue_empty(&ngx_http_otpreg_response_time_queue)) {
        return;
    }

    q = ngx_queue_head(&ngx_http_otpreg_response_time_queue);
    delayed = ngx_queue_data(q, ngx_http_otpreg_delayed_t, queue);

    ngx_memzero(&it, sizeof(struct itimerspec));

    it.it_value.tv_sec = delayed->end / NGX_HTTP_OTPREG_SEC;
    it.it_value.tv_nsec = delayed->end % NGX_HTTP_OTPREG_SEC;

    if (timerfd_settime(ngx_http_otpreg_response_time_clock->fd,
                        TFD_TIMER_ABSTIME, &it, NULL)
        == -1)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "otpreg: timerfd_settime() failed");
    }
}


static void
ngx_http_otpreg_response_time_timer(ngx_event_t *ev)
{
    int64_t                     now;
    uint64_t                    times;
    ngx_queue_t                *q;
    ngx_event_t                *wev;
    ngx_connection_t           *c;
    ngx_http_otpreg_delayed_t  *delayed;

    c = ev->data;

    if (read(c->fd, &times, sizeof(times)) == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                      "otpreg: read() of a timer failed");
    }

    now = ngx_http_otpreg_response_time_clock_ns();

    while (!ngx_queue_empty(&ngx_http_otpreg_response_time_queue)) {

        q = ngx_queue_head(&ngx_http_otpreg_response_time_queue);
        delayed = ngx_queue_data(q, ngx_http_otpreg_delayed_t, queue);

        if (delayed->end > now) {
            break;
        }

        wev = delayed->request->connection->write;

        ngx_queue_remove(q);
        delayed->request = NULL;

        wev->delayed = 0;

        if (wev->timer_set) {
            ngx_del_timer(wev);
        }

        wev->handler(wev);
    }

    ngx_http_otpreg_response_time_arm();
}


static void
ngx_http_otpreg_response_time_event(ngx_http_request_t *r)
{
    if (r->connection->write->delayed) {

        if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }

        return;
    }

    ngx_http_otpreg_response_time_cancel(ngx_http_otpreg_get_ctx(r));

    if (r->read_event_handler == ngx_http_test_reading) {
        r->read_event_handler = ngx_http_block_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_otpreg_response_time_now(r);
}


static void
ngx_http_otpreg_response_time_now(ngx_http_request_t *r)
{
    ngx_http_finalize_request(r,
                     ngx_http_otpreg_reply(r, ngx_http_otpreg_get_ctx(r)));
}


static int64_t
ngx_http_otpreg_response_time_clock_ns(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * NGX_HTTP_OTPREG_SEC + ts.tv_nsec;
}
