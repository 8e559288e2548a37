
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _STORE_PROXY_H_INCLUDED_
#define _STORE_PROXY_H_INCLUDED_


#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>


/*
 * A proxy between the store and the server that knows the packets of the
 * protocol and breaks the connection at the one it was told to.
 */


#define STORE_PROXY_BUF          65536
#define STORE_PROXY_LATE_MS      200
#define STORE_PROXY_ANSWER_MS    5000

#define STORE_PROXY_COM_QUIT     1
#define STORE_PROXY_COM_CLOSE    25


typedef enum {
    STORE_PROXY_BEFORE,         /* the server never gets the packet */
    STORE_PROXY_AFTER,          /* it gets it, and its answer is lost */
    STORE_PROXY_LATE            /* it gets it after the client went on */
} store_proxy_fault_t;


typedef struct {
    int                     fd;             /* listens */
    unsigned                port;
    struct sockaddr_in      server;
    pthread_t               thread;

    atomic_int              fault;
    atomic_int              left;           /* packets until it; 0: none */
    atomic_int              fired;
    atomic_int              busy;           /* connections */
    atomic_int              accepted;
    atomic_bool             read_only;      /* say that the server is */
    atomic_bool             unready;        /* or not in its cluster */

    pthread_mutex_t         mutex;
    char                    word[64];       /* looked for in what is sent */
    bool                    found;
} store_proxy_t;


typedef struct {
    store_proxy_t          *proxy;
    int                     client;
    int                     server;
    bool                    logged_in;
    bool                    tls;            /* what comes is no packets */
    bool                    asked;          /* whether it is read-only */
    size_t                  len;
    unsigned char           buf[STORE_PROXY_BUF];
} store_proxy_conn_t;


static inline bool
store_proxy_send(int fd, const unsigned char *p, size_t len)
{
    ssize_t  n;

    while (len > 0) {
        n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }

        p += n;
        len -= (size_t) n;
    }

    return true;
}


static inline void
store_proxy_break(store_proxy_conn_t *c, const unsigned char *packet,
    size_t len, store_proxy_fault_t fault)
{
    unsigned char  answer[4096];
    struct pollfd  pfd;

    if (fault == STORE_PROXY_BEFORE) {
        return;
    }

    if (fault == STORE_PROXY_LATE) {
        close(c->client);
        c->client = -1;
        usleep(STORE_PROXY_LATE_MS * 1000);
    }

    if (!store_proxy_send(c->server, packet, len)
        || packet[4] == STORE_PROXY_COM_QUIT
        || packet[4] == STORE_PROXY_COM_CLOSE)
    {
        return;
    }

    pfd.fd = c->server;
    pfd.events = POLLIN;

    if (poll(&pfd, 1, STORE_PROXY_ANSWER_MS) > 0) {
        (void) !recv(c->server, answer, sizeof(answer), 0);
    }
}


static inline void
store_proxy_look(store_proxy_t *proxy, const unsigned char *data, size_t len)
{
    pthread_mutex_lock(&proxy->mutex);

    if (proxy->word[0] != '\0'
        && memmem(data, len, proxy->word, strlen(proxy->word)) != NULL)
    {
        proxy->found = true;
    }

    pthread_mutex_unlock(&proxy->mutex);
}


/* false: the connection ends */

static inline bool
store_proxy_packet(store_proxy_conn_t *c, const unsigned char *packet,
    size_t len)
{
    bool            due;
    store_proxy_t  *proxy;

    static const char  asks[] = "SELECT @@global.read_only";
    static const char  reads[] = "FROM otpreg_schema";

    /* what a node of Galera's answers to each statement that reads a table */

    static const unsigned char  unready[] =
        "\x28\0\0\1\xff\x17\x04" "#08S01WSREP has not yet prepared node";

    proxy = c->proxy;

    store_proxy_look(proxy, packet, len);

    if (!c->logged_in) {

        /* the login, or the request for TLS that goes before it */

        c->logged_in = (packet[3] != 1 || len > 36);
        c->tls = !c->logged_in;

        return store_proxy_send(c->server, packet, len);
    }

    c->asked = (memmem(packet, len, asks, sizeof(asks) - 1) != NULL);

    if (atomic_load(&proxy->unready)
        && memmem(packet, len, reads, sizeof(reads) - 1) != NULL)
    {
        return store_proxy_send(c->client, unready, sizeof(unready) - 1);
    }

    due = (atomic_load(&proxy->left) > 0
           && atomic_fetch_sub(&proxy->left, 1) == 1);

    if (due) {
        atomic_fetch_add(&proxy->fired, 1);
        store_proxy_break(c, packet, len,
                          (store_proxy_fault_t) atomic_load(&proxy->fault));
        return false;
    }

    return store_proxy_send(c->server, packet, len);
}


static inline bool
store_proxy_from_client(store_proxy_conn_t *c)
{
    size_t   size;
    ssize_t  n;

    n = recv(c->client, c->buf + c->len, sizeof(c->buf) - c->len, 0);
    if (n <= 0) {
        return false;
    }

    c->len += (size_t) n;

    while (c->len >= 4 && !c->tls) {
        size = 4 + (c->buf[0] | c->buf[1] << 8 | (size_t) c->buf[2] << 16);

        if (size > sizeof(c->buf)) {
            return false;
        }

        if (c->len < size) {
            break;
        }

        if (!store_proxy_packet(c, c->buf, size)) {
            return false;
        }

        c->len -= size;
        memmove(c->buf, c->buf + size, c->len);
    }

    if (!c->tls || c->len == 0) {
        return true;
    }

    n = (ssize_t) c->len;
    c->len = 0;

    store_proxy_look(c->proxy, c->buf, (size_t) n);

    return store_proxy_send(c->server, c->buf, (size_t) n);
}


static inline bool
store_proxy_from_server(store_proxy_conn_t *c)
{
    ssize_t         n;
    unsigned char  *p, buf[STORE_PROXY_BUF];

    n = recv(c->server, buf, sizeof(buf), 0);
    if (n <= 0) {
        return false;
    }

    if (c->asked && atomic_load(&c->proxy->read_only)) {

        /* the row: 2 bytes, one column, "0" */

        for (p = buf; p + 6 <= buf + n; p++) {
            if (memcmp(p, "\2\0\0", 3) == 0 && p[4] == 1 && p[5] == '0') {
                p[5] = '1';
            }
        }
    }

    return store_proxy_send(c->client, buf, (size_t) n);
}


static inline void *
store_proxy_conn(void *data)
{
    store_proxy_conn_t *c = data;

    struct pollfd  pfd[2];

    for ( ;; ) {
        pfd[0] = (struct pollfd) { .fd = c->client, .events = POLLIN };
        pfd[1] = (struct pollfd) { .fd = c->server, .events = POLLIN };

        if (poll(pfd, 2, -1) < 0) {
            break;
        }

        if (pfd[0].revents != 0 && !store_proxy_from_client(c)) {
            break;
        }

        if (pfd[1].revents != 0 && !store_proxy_from_server(c)) {
            break;
        }
    }

    if (c->client != -1) {
        close(c->client);
    }

    close(c->server);

    atomic_fetch_sub(&c->proxy->busy, 1);
    free(c);

    return NULL;
}


static inline void *
store_proxy_listen(void *data)
{
    store_proxy_t *proxy = data;

    int                  fd;
    pthread_t            thread;
    store_proxy_conn_t  *c;

    while ((fd = accept(proxy->fd, NULL, NULL)) != -1) {
        atomic_fetch_add(&proxy->accepted, 1);

        c = calloc(1, sizeof(store_proxy_conn_t));
        if (c == NULL) {
            abort();
        }

        c->proxy = proxy;
        c->client = fd;
        c->server = socket(AF_INET, SOCK_STREAM, 0);

        if (connect(c->server, (struct sockaddr *) &proxy->server,
                    sizeof(proxy->server))
            != 0)
        {
            close(c->server);
            close(fd);
            free(c);
            continue;
        }

        atomic_fetch_add(&proxy->busy, 1);

        if (pthread_create(&thread, NULL, store_proxy_conn, c) != 0) {
            abort();
        }

        pthread_detach(thread);
    }

    return NULL;
}


/* port 0: any */

static inline bool
store_proxy_start(store_proxy_t *proxy, const char *address, unsigned port,
    unsigned server_port)
{
    int                 on;
    socklen_t           len;
    struct sockaddr_in  sin;

    memset(proxy, 0, sizeof(store_proxy_t));
    pthread_mutex_init(&proxy->mutex, NULL);

    proxy->server.sin_family = AF_INET;
    proxy->server.sin_port = htons((uint16_t) server_port);
    proxy->server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    sin = proxy->server;
    sin.sin_port = htons((uint16_t) port);

    on = 1;
    len = sizeof(sin);
    proxy->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (inet_pton(AF_INET, address, &sin.sin_addr) != 1
        || setsockopt(proxy->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
        || bind(proxy->fd, (struct sockaddr *) &sin, len) != 0
        || listen(proxy->fd, 64) != 0
        || getsockname(proxy->fd, (struct sockaddr *) &sin, &len) != 0)
    {
        return false;
    }

    proxy->port = ntohs(sin.sin_port);

    return pthread_create(&proxy->thread, NULL, store_proxy_listen, proxy) == 0;
}


/* break at the n-th packet that comes from now on */

static inline void
store_proxy_arm(store_proxy_t *proxy, store_proxy_fault_t fault, int n)
{
    atomic_store(&proxy->fault, fault);
    atomic_store(&proxy->fired, 0);
    atomic_store(&proxy->left, n);
}


/* whether it broke; what comes late has come then */

static inline bool
store_proxy_disarm(store_proxy_t *proxy)
{
    bool  fired;

    fired = (atomic_load(&proxy->fired) != 0);
    atomic_store(&proxy->left, 0);

    if (fired && atomic_load(&proxy->fault) == STORE_PROXY_LATE) {
        usleep(STORE_PROXY_LATE_MS * 1000 + 100000);
    }

    return fired;
}


/* the clients closed their connections before */

static inline void
store_proxy_stop(store_proxy_t *proxy)
{
    shutdown(proxy->fd, SHUT_RDWR);
    pthread_join(proxy->thread, NULL);
    close(proxy->fd);
}


#endif /* _STORE_PROXY_H_INCLUDED_ */
