
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <malloc.h>

#include <sodium.h>

#include "ngx_http_otpreg_detached.h"

#if (NGX_HTTP_SSI)
#include <ngx_http_ssi_filter_module.h>
#endif


#define NGX_HTTP_OTPREG_DETACHED_POOL  4096

/* ms that a body may take after its header, where only the status counts */
#define NGX_HTTP_OTPREG_DETACHED_TICK  5000


/* how long a request may take */

typedef struct {
    ngx_event_t             event;          /* the first member */
    ngx_msec_t              left;           /* after this tick */
    ngx_msec_t              tick;
    ngx_http_request_t     *answering;      /* its header came before a tick */
} ngx_http_otpreg_detached_timer_t;


/* one end of it is lent to every detached connection: a valid descriptor */

static ngx_socket_t     ngx_http_otpreg_detached_pair[2] = { -1, -1 };

static struct sockaddr  ngx_http_otpreg_detached_sockaddr = {
    .sa_family = AF_UNIX
};


static ngx_connection_t *ngx_http_otpreg_detached_connection(
    ngx_http_core_loc_conf_t *clcf);
static ngx_int_t ngx_http_otpreg_detached_log(ngx_connection_t *c,
    ngx_http_core_loc_conf_t *clcf);
static ngx_http_request_t *ngx_http_otpreg_detached_request(
    ngx_connection_t *c, ngx_http_conf_ctx_t *conf);
static ngx_http_request_t *ngx_http_otpreg_detached_start(
    ngx_http_request_t *r, ngx_str_t *uri, ngx_str_t *body, ngx_uint_t how,
    ngx_http_post_subrequest_pt handler, void *data);
static ngx_int_t ngx_http_otpreg_detached_ssi(ngx_http_request_t *r);
static ngx_int_t ngx_http_otpreg_detached_fill(ngx_http_request_t *r);
static ngx_int_t ngx_http_otpreg_detached_timer(ngx_http_request_t *r,
    ngx_msec_t time, ngx_uint_t status_only);
static void ngx_http_otpreg_detached_untimed(void *data);
static void ngx_http_otpreg_detached_wipe(void *data);
static void ngx_http_otpreg_detached_read(ngx_event_t *ev);
static void ngx_http_otpreg_detached_write(ngx_event_t *ev);
static void ngx_http_otpreg_detached_over(ngx_event_t *ev);
static void ngx_http_otpreg_detached_break_off(ngx_connection_t *c);
static ssize_t ngx_http_otpreg_detached_recv(ngx_connection_t *c, u_char *buf,
    size_t size);
static ssize_t ngx_http_otpreg_detached_recv_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);
static ssize_t ngx_http_otpreg_detached_send(ngx_connection_t *c, u_char *buf,
    size_t size);
static ngx_chain_t *ngx_http_otpreg_detached_send_chain(ngx_connection_t *c,
    ngx_chain_t *in, off_t limit);


ngx_int_t
ngx_http_otpreg_detached_init(ngx_cycle_t *cycle)
{
    ngx_uint_t    i;
    ngx_socket_t *pair;

    pair = ngx_http_otpreg_detached_pair;

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
ngx_http_otpreg_detached_create(ngx_http_conf_ctx_t *conf, ngx_msec_t time,
    ngx_http_event_handler_pt wake, ngx_http_cleanup_pt broken,
    ngx_http_cleanup_pt done, void *data)
{
    ngx_connection_t          *c;
    ngx_pool_cleanup_t        *end;
    ngx_http_cleanup_t        *cln;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = conf->loc_conf[ngx_http_core_module.ctx_index];

    c = ngx_http_otpreg_detached_connection(clcf);
    if (c == NULL) {
        return NULL;
    }

    r = ngx_http_otpreg_detached_request(c, conf);
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
        || ngx_http_otpreg_detached_fill(r) != NGX_OK
        || ngx_http_otpreg_detached_timer(r, time, broken != NULL) != NGX_OK)
    {
        ngx_http_otpreg_detached_end(r);
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
ngx_http_otpreg_detached_timer(ngx_http_request_t *r, ngx_msec_t time,
    ngx_uint_t status_only)
{
    ngx_http_cleanup_t                *cln;
    ngx_http_otpreg_detached_timer_t  *timer;

    timer = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_detached_timer_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (timer == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    timer->tick = (status_only && time > NGX_HTTP_OTPREG_DETACHED_TICK)
                  ? NGX_HTTP_OTPREG_DETACHED_TICK : time;
    timer->left = time - timer->tick;

    timer->event.handler = ngx_http_otpreg_detached_over;
    timer->event.data = r->connection;
    timer->event.log = r->connection->log;

    cln->handler = ngx_http_otpreg_detached_untimed;
    cln->data = &timer->event;

    ngx_add_timer(&timer->event, timer->tick);

    return NGX_OK;
}


static void
ngx_http_otpreg_detached_untimed(void *data)
{
    ngx_event_t *ev = data;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}


static ngx_connection_t *
ngx_http_otpreg_detached_connection(ngx_http_core_loc_conf_t *clcf)
{
    ngx_socket_t       fd;
    ngx_connection_t  *c;

    fd = ngx_http_otpreg_detached_pair[0];

    c = ngx_get_connection(fd, ngx_cycle->log);
    if (c == NULL) {
        return NULL;
    }

    if (ngx_cycle->files) {
        ngx_cycle->files[fd] = NULL;
    }

    /* as QUIC streams: the descriptor is neither removed nor closed */
    c->shared = 1;

    c->pool = ngx_http_otpreg_detached_create_pool(1024, ngx_cycle->log);
    if (c->pool == NULL) {
        ngx_close_connection(c);
        return NULL;
    }

    if (ngx_http_otpreg_detached_log(c, clcf) != NGX_OK) {
        ngx_destroy_pool(c->pool);
        ngx_close_connection(c);
        return NULL;
    }

    c->type = SOCK_STREAM;
    c->log_error = NGX_ERROR_INFO;
    c->sockaddr = &ngx_http_otpreg_detached_sockaddr;
    c->socklen = sizeof(sa_family_t);
    c->local_sockaddr = c->sockaddr;
    c->local_socklen = c->socklen;
    ngx_str_set(&c->addr_text, "unix:");

    c->recv = ngx_http_otpreg_detached_recv;
    c->recv_chain = ngx_http_otpreg_detached_recv_chain;
    c->send = ngx_http_otpreg_detached_send;
    c->send_chain = ngx_http_otpreg_detached_send_chain;

    /* never added to the event loop, for it seems to be there */

    c->read->active = 1;
    c->read->handler = ngx_http_otpreg_detached_read;
    c->write->active = 1;
    c->write->ready = 1;
    c->write->handler = ngx_http_otpreg_detached_write;

    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->tcp_nopush = NGX_TCP_NOPUSH_DISABLED;

    return c;
}


static ngx_int_t
ngx_http_otpreg_detached_log(ngx_connection_t *c,
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


static ngx_http_request_t *
ngx_http_otpreg_detached_request(ngx_connection_t *c,
    ngx_http_conf_ctx_t *conf)
{
    ngx_pool_t             *pool;
    ngx_http_request_t     *r;
    ngx_http_log_ctx_t     *lctx;
    ngx_http_connection_t  *hc;

    hc = ngx_pcalloc(c->pool, sizeof(ngx_http_connection_t));
    c->buffer = ngx_create_temp_buf(c->pool, 1);

    if (hc == NULL || c->buffer == NULL) {
        return NULL;
    }

    hc->conf_ctx = conf;

    pool = ngx_http_otpreg_detached_create_pool(NGX_HTTP_OTPREG_DETACHED_POOL,
                                                c->log);
    if (pool == NULL) {
        return NULL;
    }

    r = ngx_pcalloc(pool, sizeof(ngx_http_request_t));
    if (r == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    r->pool = pool;
    r->http_connection = hc;
    r->signature = NGX_HTTP_MODULE;
    r->connection = c;

    r->main_conf = conf->main_conf;
    r->srv_conf = conf->srv_conf;
    r->loc_conf = conf->loc_conf;

    r->header_in = c->buffer;
    r->main = r;
    r->count = 1;

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    c->data = r;

    lctx = c->log->data;
    lctx->request = r;
    lctx->current_request = r;

    return r;
}


/*
 * SSI keeps what "set" and "block" say in the context of the main request, and
 * takes it for granted that SSI is on there, too.
 */

static ngx_int_t
ngx_http_otpreg_detached_ssi(ngx_http_request_t *r)
{
#if (NGX_HTTP_SSI)

    ngx_http_ssi_ctx_t  *ctx;

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_ssi_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_ssi_filter_module);

#endif

    return NGX_OK;
}


static ngx_int_t
ngx_http_otpreg_detached_fill(ngx_http_request_t *r)
{
    ngx_time_t                 *tp;
    ngx_table_elt_t            *h;
    ngx_http_core_srv_conf_t   *cscf;
    ngx_http_core_main_conf_t  *cmcf;

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    r->ctx = ngx_pcalloc(r->pool, sizeof(void *) * ngx_http_max_module);
    r->variables = ngx_pcalloc(r->pool, cmcf->variables.nelts
                                        * sizeof(ngx_http_variable_value_t));

    if (r->ctx == NULL || r->variables == NULL
        || ngx_list_init(&r->headers_in.headers, r->pool, 4,
                         sizeof(ngx_table_elt_t))
           != NGX_OK
        || ngx_list_init(&r->headers_out.headers, r->pool, 4,
                         sizeof(ngx_table_elt_t))
           != NGX_OK
        || ngx_list_init(&r->headers_out.trailers, r->pool, 4,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_detached_ssi(r) != NGX_OK) {
        return NGX_ERROR;
    }

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));
    h->hash = 1;
    ngx_str_set(&h->key, "Content-Type");
    ngx_str_set(&h->value, "application/json");
    h->lowcase_key = (u_char *) "content-type";

    r->headers_in.content_type = h;
    r->headers_in.content_length_n = -1;
    r->headers_in.keep_alive_n = -1;
    r->headers_in.server = cscf->server_name;
    r->headers_out.content_length_n = -1;
    r->headers_out.last_modified_time = -1;

    r->method = NGX_HTTP_POST;
    ngx_str_set(&r->method_name, "POST");
    r->http_version = NGX_HTTP_VERSION_11;
    ngx_str_set(&r->http_protocol, "HTTP/1.1");
    ngx_str_set(&r->request_line, "POST / HTTP/1.1");
    ngx_str_set(&r->uri, "/");
    ngx_str_set(&r->unparsed_uri, "/");

    r->uri_changes = NGX_HTTP_MAX_URI_CHANGES + 1;
    r->subrequests = NGX_HTTP_MAX_SUBREQUESTS + 1;

    tp = ngx_timeofday();
    r->start_sec = tp->sec;
    r->start_msec = tp->msec;

    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;
    r->internal = 1;
    r->expect_tested = 1;
    r->logged = 1;                      /* it has no line in the access log */

    return NGX_OK;
}


ngx_http_request_t *
ngx_http_otpreg_detached_subrequest(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_str_t *body, ngx_http_post_subrequest_pt handler, void *data)
{
    return ngx_http_otpreg_detached_start(r, uri, body,
                                          NGX_HTTP_SUBREQUEST_IN_MEMORY,
                                          handler, data);
}


ngx_http_request_t *
ngx_http_otpreg_detached_stream(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_str_t *body, ngx_http_otpreg_sink_pt sink,
    ngx_http_post_subrequest_pt handler, void *data)
{
    ngx_http_request_t     *sr;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(r);

    ctx->sink = sink;
    ctx->sink_data = data;

    sr = ngx_http_otpreg_detached_start(r, uri, body, 0, handler, data);

    if (sr != NULL) {

        /* what comes from a cache is read from its file */

        sr->filter_need_in_memory = 1;
    }

    return sr;
}


/* the filter that writes has kept back what is too little for a packet */

void
ngx_http_otpreg_detached_flush(ngx_http_request_t *r)
{
    if (r->out != NULL) {
        (void) ngx_http_otpreg_detached_send_chain(r->connection, r->out, 0);
    }
}


static ngx_http_request_t *
ngx_http_otpreg_detached_start(ngx_http_request_t *r, ngx_str_t *uri,
    ngx_str_t *body, ngx_uint_t how, ngx_http_post_subrequest_pt handler,
    void *data)
{
    ngx_buf_t                   *b;
    ngx_str_t                    args, path;
    ngx_uint_t                   flags;
    ngx_http_request_t          *sr;
    ngx_http_request_body_t     *rb;
    ngx_http_post_subrequest_t  *ps;

    ps = ngx_palloc(r->pool, sizeof(ngx_http_post_subrequest_t));
    if (ps == NULL) {
        return NULL;
    }

    ps->handler = handler;
    ps->data = data;

    path = *uri;
    flags = 0;
    ngx_str_null(&args);

    if (ngx_http_parse_unsafe_uri(r, &path, &args, &flags) != NGX_OK
        || ngx_http_subrequest(r, &path, &args, &sr, ps,
                               how|NGX_HTTP_SUBREQUEST_WAITED)
           != NGX_OK)
    {
        return NULL;
    }

    if (body == NULL) {
        return sr;
    }

    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));
    b = ngx_create_temp_buf(r->pool, body->len);

    if (rb == NULL || b == NULL) {
        return NULL;
    }

    b->last = ngx_cpymem(b->last, body->data, body->len);
    b->last_buf = 1;

    rb->bufs = ngx_alloc_chain_link(r->pool);
    if (rb->bufs == NULL) {
        return NULL;
    }

    rb->bufs->buf = b;
    rb->bufs->next = NULL;
    rb->buf = b;

    sr->request_body = rb;
    sr->headers_in.content_length_n = body->len;
    sr->method = NGX_HTTP_POST;
    ngx_str_set(&sr->method_name, "POST");

    return sr;
}


void
ngx_http_otpreg_detached_run(ngx_http_request_t *r)
{
    ngx_http_run_posted_requests(r->connection);
}


void
ngx_http_otpreg_detached_end(ngx_http_request_t *r)
{
    /* no keepalive and no lingering close */
    r->connection->read->eof = 1;

    ngx_http_finalize_request(r, NGX_DONE);
}


ngx_pool_t *
ngx_http_otpreg_detached_create_pool(size_t size, ngx_log_t *log)
{
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln;

    pool = ngx_create_pool(size, log);
    if (pool == NULL) {
        return NULL;
    }

    /* the first that is added is the last that is called */

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    cln->handler = ngx_http_otpreg_detached_wipe;
    cln->data = pool;

    return pool;
}


/*
 * Free what was large, then zero every block: nothing of the pool is read
 * after its last cleanup handler but its head, and the list of cleanups ends
 * with this one, whose next is NULL and stays so.
 *
 * With NGX_DEBUG_PALLOC everything is large, this cleanup too: then it is only
 * zeroed, and the blocks hold nothing but the list of what is large.
 */

static void
ngx_http_otpreg_detached_wipe(void *data)
{
    ngx_pool_t *pool = data;

    ngx_pool_large_t  *l;

    for (l = pool->large; l; l = l->next) {

        if (l->alloc == NULL) {
            continue;
        }

        sodium_memzero(l->alloc, malloc_usable_size(l->alloc));

#if !(NGX_DEBUG_PALLOC)
        ngx_free(l->alloc);
#endif
    }

#if !(NGX_DEBUG_PALLOC)
    {
    u_char      *start;
    ngx_pool_t  *p;

    pool->large = NULL;

    for (p = pool; p; p = p->d.next) {
        start = (u_char *) p + ((p == pool) ? sizeof(ngx_pool_t)
                                            : sizeof(ngx_pool_data_t));

        sodium_memzero(start, p->d.last - start);
    }
    }
#endif
}


/* the worker shuts down and does not wait any longer, or we have posted it */

static void
ngx_http_otpreg_detached_read(ngx_event_t *ev)
{
    ngx_connection_t *c = ev->data;

    if (ev->timedout || c->close) {
        ev->timedout = 0;
        ngx_http_otpreg_detached_break_off(c);
    }
}


/* as ngx_http_request_handler(): limit_req, for one, delays by this event */

static void
ngx_http_otpreg_detached_write(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    if (c->close) {
        ngx_http_otpreg_detached_break_off(c);
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
ngx_http_otpreg_detached_over(ngx_event_t *ev)
{
    ngx_connection_t                  *c;
    ngx_http_request_t                *r;
    ngx_http_otpreg_detached_timer_t  *timer;

    c = ev->data;
    r = c->data;
    timer = (ngx_http_otpreg_detached_timer_t *) ev;

    if (timer->left == 0 || timer->answering == r) {
        ngx_http_otpreg_detached_break_off(c);
        return;
    }

    if (r != r->main && r->headers_out.status >= NGX_HTTP_OK) {
        timer->answering = r;
    }

    timer->left -= ngx_min(timer->left, timer->tick);

    ngx_add_timer(ev, timer->tick);
}


static void
ngx_http_otpreg_detached_break_off(ngx_connection_t *c)
{
    ngx_http_request_t  *r;

    r = c->data;

    r->main->count++;
    ngx_http_finalize_request(r->main, NGX_ERROR);

    ngx_http_run_posted_requests(c);
}


static ssize_t
ngx_http_otpreg_detached_recv(ngx_connection_t *c, u_char *buf, size_t size)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_http_otpreg_detached_recv_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    return NGX_AGAIN;
}


static ssize_t
ngx_http_otpreg_detached_send(ngx_connection_t *c, u_char *buf, size_t size)
{
    c->sent += size;

    return size;
}


static ngx_chain_t *
ngx_http_otpreg_detached_send_chain(ngx_connection_t *c, ngx_chain_t *in,
    off_t limit)
{
    ngx_buf_t              *b;
    ngx_http_otpreg_ctx_t  *ctx;

    ctx = ngx_http_otpreg_get_ctx(c->data);

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        c->sent += ngx_buf_size(b);

        if (ctx != NULL && ctx->sink != NULL && ngx_buf_in_memory(b)) {
            ctx->sink(ctx->sink_data, b->pos, b->last - b->pos);
        }

        b->pos = b->last;
        b->file_pos = b->file_last;
    }

    return NULL;
}
