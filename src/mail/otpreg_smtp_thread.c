
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <curl/curl.h>
#include <malloc.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "otpreg_smtp.h"
#include "otpreg_smtp_thread.h"


/* connections that a thread keeps; one a server is what is used */
#define OTPREG_SMTP_CACHED       4

/* sockets of a thread: cached ones and both families of a new one */
#define OTPREG_SMTP_SOCKETS      8

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


static struct {
    pthread_mutex_t     mutex;
    pthread_cond_t      ended;
    pthread_key_t       key;
    unsigned            threads;                /* that have a handle */
    bool                ready;
} otpreg_smtp_process = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
    .ended = PTHREAD_COND_INITIALIZER
};


/*
 * libcurl's allocator: what it frees (a mail holds a code) is wiped.  Other
 * users of libcurl in the process get it too, unless they were there first.
 */

static void
otpreg_smtp_free(void *p)
{
    if (p != NULL) {
        sodium_memzero(p, malloc_usable_size(p));
        free(p);
    }
}


static void *
otpreg_smtp_realloc(void *p, size_t size)
{
    void    *copy;
    size_t   old;

    if (p == NULL) {
        return malloc(size);
    }

    old = malloc_usable_size(p);

    if (size != 0 && size <= old && size >= old / 2) {
        return p;
    }

    copy = malloc(size);

    if (copy != NULL) {
        memcpy(copy, p, size < old ? size : old);
        otpreg_smtp_free(p);
    }

    return copy;
}


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


/* destructor of the key: runs when a thread that sent mail ends */

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

    pthread_mutex_lock(&otpreg_smtp_process.mutex);

    otpreg_smtp_process.threads--;
    pthread_cond_signal(&otpreg_smtp_process.ended);

    pthread_mutex_unlock(&otpreg_smtp_process.mutex);
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

    thread = pthread_getspecific(otpreg_smtp_process.key);
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
        || pthread_setspecific(otpreg_smtp_process.key, thread) != 0)
    {
        curl_share_cleanup(thread->share[0]);
        curl_share_cleanup(thread->share[1]);
        free(thread);
        return NULL;
    }

    pthread_mutex_lock(&otpreg_smtp_process.mutex);
    otpreg_smtp_process.threads++;
    pthread_mutex_unlock(&otpreg_smtp_process.mutex);

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
    if (otpreg_smtp_process.ready) {
        return true;
    }

    if (pthread_key_create(&otpreg_smtp_process.key, otpreg_smtp_thread_end)
        != 0)
    {
        return false;
    }

    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, otpreg_smtp_free,
                             otpreg_smtp_realloc, strdup, calloc)
        != CURLE_OK)
    {
        pthread_key_delete(otpreg_smtp_process.key);
        return false;
    }

    otpreg_smtp_process.ready = true;

    return true;
}


void
otpreg_smtp_exit(void)
{
    unsigned         left;
    struct timespec  until;

    if (!otpreg_smtp_process.ready) {
        return;
    }

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += OTPREG_SMTP_EXIT_SEC;

    pthread_mutex_lock(&otpreg_smtp_process.mutex);

    while (otpreg_smtp_process.threads != 0
           && pthread_cond_timedwait(&otpreg_smtp_process.ended,
                                     &otpreg_smtp_process.mutex, &until)
              == 0)
    {
        /* void */
    }

    left = otpreg_smtp_process.threads;

    pthread_mutex_unlock(&otpreg_smtp_process.mutex);

    if (left == 0) {
        pthread_key_delete(otpreg_smtp_process.key);
        curl_global_cleanup();
        otpreg_smtp_process.ready = false;
    }
}
