
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdlib.h>
#include <time.h>

#include "otpreg_threads.h"


/* the value of the key; a destructor is told nothing else */

typedef struct {
    otpreg_threads_t   *threads;
    void               *data;
} otpreg_threads_kept_t;


static void
otpreg_threads_end(void *value)
{
    otpreg_threads_t       *threads;
    otpreg_threads_kept_t  *kept = value;

    threads = kept->threads;

    threads->free(kept->data);
    free(kept);

    pthread_mutex_lock(&threads->mutex);

    threads->n--;
    pthread_cond_signal(&threads->ended);

    pthread_mutex_unlock(&threads->mutex);
}


bool
otpreg_threads_start(otpreg_threads_t *threads)
{
    pthread_condattr_t  attr;

    if (threads->ready) {
        return true;
    }

    if (pthread_condattr_init(&attr) != 0) {
        return false;
    }

    /* the wall clock may be set while somebody waits */

    threads->ready = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0
                     && pthread_cond_init(&threads->ended, &attr) == 0
                     && pthread_key_create(&threads->key, otpreg_threads_end)
                        == 0;

    pthread_condattr_destroy(&attr);

    return threads->ready;
}


void *
otpreg_threads_get(otpreg_threads_t *threads)
{
    otpreg_threads_kept_t  *kept;

    kept = pthread_getspecific(threads->key);

    return kept ? kept->data : NULL;
}


bool
otpreg_threads_set(otpreg_threads_t *threads, void *data)
{
    otpreg_threads_kept_t  *kept;

    kept = pthread_getspecific(threads->key);

    if (kept != NULL) {
        kept->data = data;
        return true;
    }

    kept = malloc(sizeof(otpreg_threads_kept_t));
    if (kept == NULL) {
        return false;
    }

    kept->threads = threads;
    kept->data = data;

    if (pthread_setspecific(threads->key, kept) != 0) {
        free(kept);
        return false;
    }

    pthread_mutex_lock(&threads->mutex);
    threads->n++;
    pthread_mutex_unlock(&threads->mutex);

    return true;
}


bool
otpreg_threads_wait(otpreg_threads_t *threads, unsigned seconds)
{
    unsigned         left;
    struct timespec  until;

    if (!threads->ready) {
        return true;
    }

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;

    pthread_mutex_lock(&threads->mutex);

    while (threads->n != 0
           && pthread_cond_timedwait(&threads->ended, &threads->mutex, &until)
              == 0)
    {
        /* void */
    }

    left = threads->n;

    pthread_mutex_unlock(&threads->mutex);

    return left == 0;
}
