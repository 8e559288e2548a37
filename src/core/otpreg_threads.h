
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_THREADS_H_INCLUDED_
#define _OTPREG_THREADS_H_INCLUDED_


#include <pthread.h>
#include <stdbool.h>


/*
 * What each thread of a pool keeps until it ends: a pointer, and a function
 * that frees it then.  nginx detaches its pool threads and does not wait for
 * their last steps; exit() must, or it takes libraries away under them.
 */

typedef struct {
    void              (*free)(void *data);
    pthread_key_t       key;
    pthread_mutex_t     mutex;
    pthread_cond_t      ended;
    unsigned            n;              /* threads that keep something */
    bool                ready;
} otpreg_threads_t;


#define OTPREG_THREADS_INIT(end)                                             \
    { .free = end, .mutex = PTHREAD_MUTEX_INITIALIZER }


/* Once before threads use it; again is harmless.  Thread: main. */
bool otpreg_threads_start(otpreg_threads_t *threads);

/* What the calling thread keeps, or NULL. */
void *otpreg_threads_get(otpreg_threads_t *threads);

/* Keep data in the calling thread; false: no memory, data stays the caller's */
bool otpreg_threads_set(otpreg_threads_t *threads, void *data);

/*
 * Wait up to so many seconds until what threads keep was freed; they were told
 * to end before.  Returns whether all is freed.  Thread: main.
 */
bool otpreg_threads_wait(otpreg_threads_t *threads, unsigned seconds);


#endif /* _OTPREG_THREADS_H_INCLUDED_ */
