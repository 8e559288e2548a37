
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <curl/curl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "otpreg_smtp.h"
#include "otpreg_smtp_alloc.h"
#include "otpreg_smtp_thread.h"
#include "otpreg_threads.h"


/* connections that a thread keeps; one a server is what is used */
#define OTPREG_SMTP_CACHED       4

/* sockets of a thread: cached ones and both families of a new one */
#define OTPREG_SMTP_SOCKETS      16

/* how long otpreg_smtp_exit() waits for threads that are ending */
#define OTPREG_SMTP_EXIT_SEC     1


/*
 * What a thread keeps.  Each mail has a handle of its own, for a handle keeps
 * its last mail in its buffers; the connections live in a share.  Two of them,
 * for libcurl may reuse a connection in clear where STARTTLS is wanted now.
 */

struct otpreg_smtp_thread_s {
    CURLSH  *share[2];       /* without, with STARTTLS */
    int      sockets[OTPREG_SMTP_SOCKETS];
};


static void otpreg_smtp_thread_end(void *data);


static otpreg_threads_t  otpreg_smtp_threads
    = OTPREG_THREADS_INIT(otpreg_smtp_thread_end);

static bool              otpreg_smtp_ready;


/* sockets are known, so that the end of a thread never waits for a server */

static curl_socket_t
otpreg_smtp_socket_open(void *data, curlsocktype purpose,
    struct curl_sockaddr *addr)
{
    int                    fd;
    unsigned               i;
    otpreg_smtp_thread_t  *thread = data;

    (void) purpose;

    fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
    if (fd == -1) {
        return CURL_SOCKET_BAD;
    }

    for (i = 0; i < OTPREG_SMTP_SOCKETS; i++) {
        if (thread->sockets[i] == -1) {
            thread->sockets[i] = fd;
            break;
        }
    }

    return fd;
}


static int
otpreg_smtp_socket_close(void *data, curl_socket_t fd)
{
    unsigned               i;
    otpreg_smtp_thread_t  *thread = data;

    for (i = 0; i < OTPREG_SMTP_SOCKETS; i++) {
        if (thread->sockets[i] == fd) {
            thread->sockets[i] = -1;
            break;
        }
    }

    return close(fd);
}


/* a thread that sent mail ends */

static void
otpreg_smtp_thread_end(void *data)
{
    unsigned               i;
    otpreg_smtp_thread_t  *thread = data;

    for (i = 0; i < OTPREG_SMTP_SOCKETS; i++) {
        if (thread->sockets[i] != -1) {
            shutdown(thread->sockets[i], SHUT_RDWR);
        }
    }

    curl_share_cleanup(thread->share[0]);
    curl_share_cleanup(thread->share[1]);

    free(thread);
}


static CURLSH *
otpreg_smtp_share(void)
{
    CURLSH  *share;

    share = curl_share_init();

    if (share != NULL
        && curl_share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT)
           != CURLSHE_OK)
    {
        curl_share_cleanup(share);
        return NULL;
    }

    return share;
}


otpreg_smtp_thread_t *
otpreg_smtp_thread(void)
{
    unsigned               i;
    otpreg_smtp_thread_t  *thread;

    thread = otpreg_threads_get(&otpreg_smtp_threads);
    if (thread != NULL) {
        return thread;
    }

    thread = calloc(1, sizeof(otpreg_smtp_thread_t));
    if (thread == NULL) {
        return NULL;
    }

    for (i = 0; i < OTPREG_SMTP_SOCKETS; i++) {
        thread->sockets[i] = -1;
    }

    thread->share[0] = otpreg_smtp_share();
    thread->share[1] = otpreg_smtp_share();

    if (thread->share[0] == NULL || thread->share[1] == NULL
        || !otpreg_threads_set(&otpreg_smtp_threads, thread))
    {
        curl_share_cleanup(thread->share[0]);
        curl_share_cleanup(thread->share[1]);
        free(thread);
        return NULL;
    }

    return thread;
}


bool
otpreg_smtp_thread_attach(otpreg_smtp_thread_t *thread, CURL *easy,
    bool starttls)
{
    int  rc;

    rc = curl_easy_setopt(easy, CURLOPT_SHARE, thread->share[starttls]);
    rc |= curl_easy_setopt(easy, CURLOPT_MAXCONNECTS,
                           (long) OTPREG_SMTP_CACHED);

    rc |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION,
                           otpreg_smtp_socket_open);
    rc |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, thread);
    rc |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION,
                           otpreg_smtp_socket_close);
    rc |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, thread);

    return rc == CURLE_OK;
}


bool
otpreg_smtp_init(void)
{
    if (otpreg_smtp_ready) {
        return true;
    }

    otpreg_smtp_ready = otpreg_threads_start(&otpreg_smtp_threads)
                        && otpreg_smtp_alloc_init();

    return otpreg_smtp_ready;
}


bool
otpreg_smtp_exit(void)
{
    if (!otpreg_smtp_ready) {
        return true;
    }

    if (!otpreg_threads_wait(&otpreg_smtp_threads, OTPREG_SMTP_EXIT_SEC)) {
        return false;
    }

    curl_global_cleanup();
    otpreg_smtp_ready = false;

    return true;
}
