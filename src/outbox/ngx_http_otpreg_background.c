
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_background.h"
#include "ngx_http_otpreg_background_request.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"


/* ms that a body may take after its header, where only the status counts */
#define NGX_HTTP_OTPREG_BACKGROUND_TICK  5000


/* how long a request may take */

typedef struct {
    ngx_event_t             event;          /* the first member */
    ngx_msec_t              left;           /* after this tick */
    ngx_msec_t              tick;
    ngx_http_request_t     *answering;      /* its header came before a tick */
} ngx_http_otpreg_background_timer_t;


/* one end of it is lent to every background connection: a valid descriptor */

static ngx_socket_t     ngx_http_otpreg_background_pair[2] = { -1, -1 };

static struct sockaddr  ngx_http_otpreg_background_sockaddr = {
    .sa_family = AF_UNIX
};


static ngx_connection_t *ngx_http_otpreg_background_connection(
    ngx_http_core_loc_conf_t *clcf);
static ngx_int_t ngx_http_otpreg_background_log(ngx_connection_t *c,
    ngx_http_core_loc_conf_t *clcf);
static ngx_int_t ngx_http_otpreg_background_timer(ngx_http_request_t *r,
    ngx_msec_t time, ngx_uint_t status_only);
static void ngx_http_otpreg_background_untimed(void *data);
static void ngx_http_otpreg_background_read(ngx_event_t *ev);
static void ngx_http_otpreg_background_write(ngx_event_t *ev);
static void ngx_http_otpreg_background_over(ngx_event_t *ev);
static void ngx_http_otpreg_background_break_off(ngx_connection_t *c);
static ssize_t ngx_http_otpreg_background_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ssize_t ngx_http_otpreg_background_recv_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static ssize_t ngx_http_otpreg_background_send(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_chain_t *ngx_http_otpreg_background_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);


ngx_int_t
ngx_http_otpreg_background_init(ngx_cycle_t *cycle)
{
    ngx_uint_t    i;
    ngx_socket_t *pair;

    pair = ngx_http_otpreg_background_pair;

    if (pair[0] != (ngx_socket_t) -1) {
        return NGX_OK;
    }

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                      "otpreg: socketpair() failed");
        return NGX_ERROR;
    }

    for (i = 0; i < 2; i++) {
        if (ngx_nonblocking(pair[i]) == -1
            || fcntl(pair[i], F_SETFD, FD_CLOEXEC) == -1)
        {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                          "otpreg: fcntl() failed");
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_http_request_t *
ngx_http_otpreg_background_create(ngx_http_conf_ctx_t *conf, ngx_msec_t time,
    ngx_http_event_handler_pt wake, ngx_http_cleanup_pt broken,
    ngx_http_cleanup_pt done, void *data)
{
    ngx_connection_t          *c;
    ngx_pool_cleanup_t        *end;
    ngx_http_cleanup_t        *cln;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = conf->loc_conf[ngx_http_core_module.ctx_index];

    c = ngx_http_otpreg_background_connection(clcf);
    if (c == NULL) {
        return NULL;
    }

    r = ngx_http_otpreg_background_request(c, conf);
    if (r == NULL) {
        ngx_destroy_pool(c->pool);
        ngx_close_connection(c);
        return NULL;
    }

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, 1);
#endif

    end = ngx_pool_cleanup_add(r->pool, 0);
    cln = ngx_http_cleanup_add(r, 0);

    if (end == NULL || cln == NULL
        || ngx_http_otpreg_background_fill(r) != NGX_OK
        || ngx_http_otpreg_background_timer(r, time, broken != NULL) != NGX_OK)
    {
        ngx_http_otpreg_background_end(r);
        return NULL;
    }

    /*
     * nginx runs the cleanups of a request that it terminates even while a
     * thread works for it; those of the pool only when nothing does.
     */

    cln->handler = broken;
    cln->data = data;

    end->handler = done;
    end->data = data;

    r->write_event_handler = wake;

    return r;
}


/* not that of the connection, which an upstream takes out of the tree */

static ngx_int_t
ngx_http_otpreg_background_timer(ngx_http_request_t *r, ngx_msec_t time,
    ngx_uint_t status_only)
{
    ngx_http_cleanup_t                  *cln;
    ngx_http_otpreg_background_timer_t  *timer;

    timer = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_background_timer_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (timer == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    timer->tick = (status_only && time > NGX_HTTP_OTPREG_BACKGROUND_TICK)
                  ? NGX_HTTP_OTPREG_BACKGROUND_TICK : time;
    timer->left = time - timer->tick;

    timer->event.handler = ngx_http_otpreg_background_over;
    timer->event.data = r->connection;
    timer->event.log = r->connection->log;

    cln->handler = ngx_http_otpreg_background_untimed;
    cln->data = &timer->event;

    ngx_add_timer(&timer->event, timer->tick);

    return NGX_OK;
}


static void
ngx_http_otpreg_background_untimed(void *data)
{
    ngx_event_t *ev = data;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}


static ngx_connection_t *
ngx_http_otpreg_background_connection(ngx_http_core_loc_conf_t *clcf)
{
    ngx_socket_t       fd;
    ngx_connection_t  *c;

    fd = ngx_http_otpreg_background_pair[0];

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NULL;
    }

    if (ngx_cycle->files) {
        ngx_cycle->files[fd] = NULL;
    }

    /* as QUIC streams: the descriptor is neither removed nor closed */
    c->shared = 1;

    c->pool = ngx_http_otpreg_background_create_pool(1024, ngx_cycle->log);
    if (c->pool == NULL) {
        ngx_close_connection(c);
        return NULL;
    }

    if (ngx_http_otpreg_background_log(c, clcf) != NGX_OK) {
        ngx_destroy_pool(c->pool);
        ngx_close_connection(c);
        return NULL;
    }

    c->type = SOCK_STREAM;
    c->log_error = NGX_ERROR_INFO;
    c->sockaddr = &ngx_http_otpreg_background_sockaddr;
    c->socklen = sizeof(sa_family_t);
    c->local_sockaddr = c->sockaddr;
    c->local_socklen = c->socklen;
    ngx_str_set(&c->addr_text, "unix:");

    c->recv = ngx_http_otpreg_background_recv;
    c->recv_chain = ngx_http_otpreg_background_recv_chain;
    c->send = ngx_http_otpreg_background_send;
    c->send_chain = ngx_http_otpreg_background_send_chain;

    /* never added to the event loop, for it seems to be there */

    c->read->active = 1;
    c->read->handler = ngx_http_otpreg_background_read;
    c->write->active = 1;
    c->write->ready = 1;
    c->write->handler = ngx_http_otpreg_background_write;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    return c;
}


static ngx_int_t
ngx_http_otpreg_background_log(ngx_connection_t *c,
    ngx_http_core_loc_conf_t *clcf)
{
    ngx_log_t           *log;
    ngx_http_log_ctx_t  *lctx;

    log = ngx_palloc(c->pool, sizeof(ngx_log_t));
    lctx = ngx_pcalloc(c->pool, sizeof(ngx_http_log_ctx_t));

    if (log == NULL || lctx == NULL) {
        return NGX_ERROR;
    }

    *log = *ngx_cycle->log;

    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->log = log;

    ngx_set_connection_log(c, clcf->error_log);

    lctx->connection = c;

    log->connection = c->number;
    log->handler = NULL;
    log->data = lctx;
    log->action = NULL;

    c->read->log = log;
    c->write->log = log;
    c->pool->log = log;

    return NGX_OK;
}


/* the filter that writes has kept back what is too little for a packet */

void
ngx_http_otpreg_background_flush(ngx_http_request_t *r)
{
    if (r->out != NULL) {
        (void) ngx_http_otpreg_background_send_chain(r->connection, r->out, 0);
    }
}


void
ngx_http_otpreg_background_run(ngx_http_request_t *r)
{
    ngx_http_run_posted_requests(r->connection);
}


void
ngx_http_otpreg_background_end(ngx_http_request_t *r)
{
    /* no keepalive and no lingering close */
    r->connection->read->eof = 1;

    ngx_http_finalize_request(r, NGX_DONE);
}


/* the worker shuts down and does not wait any longer, or we have posted it */

static void
ngx_http_otpreg_background_read(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;

    if (ev->timedout || c->close) {
        ev->timedout = 0;
        ngx_http_otpreg_background_break_off(c);
    }
}


/* as ngx_http_request_handler(): limit_req, for one, delays by this event */

static void
ngx_http_otpreg_background_write(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    if (c->close) {
        ngx_http_otpreg_background_break_off(c);
        return;
    }

    if (ev->delayed && ev->timedout) {
        ev->delayed = 0;
        ev->timedout = 0;
    }

    r->write_event_handler(r);

    ngx_http_run_posted_requests(c);
}


/* the time is over, or an answer whose status has come drips its body */

static void
ngx_http_otpreg_background_over(ngx_event_t *ev)
{
    ngx_connection_t                    *c;
    ngx_http_request_t                  *r;
    ngx_http_otpreg_background_timer_t  *timer;

    c = ev->data;
    r = c->data;
    timer = (ngx_http_otpreg_background_timer_t *) ev;

    if (timer->left == 0 || timer->answering == r) {
        ngx_http_otpreg_background_break_off(c);
        return;
    }

    if (r != r->main && r->headers_out.status >= NGX_HTTP_OK) {
        timer->answering = r;
    }

    timer->left -= ngx_min(timer->left, timer->tick);

    ngx_add_timer(ev, timer->tick);
}


static void
ngx_http_otpreg_background_break_off(ngx_connection_t *c)
{
    ngx_http_request_t  *r;

    r = c->data;

    r->main->count++;
    ngx_http_finalize_request(r->main, NGX_ERROR);

    ngx_http_run_posted_requests(c);
}


static ssize_t
ngx_http_otpreg_background_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_http_otpreg_background_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_http_otpreg_background_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    c->sent += size;

    return size;
}


static ngx_chain_t *
ngx_http_otpreg_background_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    ngx_buf_t              *b;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(c->data);

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        c->sent += ngx_buf_size(b);

        if (ctx != NULL && ctx->background.sink != NULL
            && ngx_buf_in_memory(b))
        {
            ctx->background.sink(ctx->background.sink_data, b->pos,
                                 b->last - b->pos);
        }

        b->pos = b->last;
        b->file_pos = b->file_last;
    }

    return NULL;
}
