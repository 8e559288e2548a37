
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <malloc.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "otpreg_smtp_alloc.h"


/* a few for each thread: of its connections, and of the handle in use */
#define OTPREG_SMTP_SLOTS        512
#define OTPREG_SMTP_SLOT_SIZE    512


/*
 * Where copies of passwords are; for the life of the process.  libcurl copies
 * one as a string, and newer ones (8.21) into a structure of its own, which is
 * told by its size only: each small one that could hold the password is here.
 * What is too long, or comes when all slots are taken, is plain memory that is
 * wiped.
 */

typedef struct {
    char                slot[OTPREG_SMTP_SLOTS][OTPREG_SMTP_SLOT_SIZE];
} otpreg_smtp_slots_t;


static otpreg_smtp_slots_t        *otpreg_smtp_slots;
static atomic_flag                 otpreg_smtp_taken[OTPREG_SMTP_SLOTS];
static atomic_uint                 otpreg_smtp_next;

static _Thread_local const char   *otpreg_smtp_password;


static bool
otpreg_smtp_alloc_is_slot(const void *p)
{
    return (uintptr_t) p >= (uintptr_t) otpreg_smtp_slots
           && (uintptr_t) p < (uintptr_t) (otpreg_smtp_slots + 1);
}


static size_t
otpreg_smtp_alloc_size(void *p)
{
    return otpreg_smtp_alloc_is_slot(p) ? OTPREG_SMTP_SLOT_SIZE
                                        : malloc_usable_size(p);
}


static void
otpreg_smtp_alloc_free(void *p)
{
    size_t  i;

    if (p == NULL) {
        return;
    }

    sodium_memzero(p, otpreg_smtp_alloc_size(p));

    if (!otpreg_smtp_alloc_is_slot(p)) {
        free(p);
        return;
    }

    i = ((uintptr_t) p - (uintptr_t) otpreg_smtp_slots)
        / OTPREG_SMTP_SLOT_SIZE;

    atomic_flag_clear(&otpreg_smtp_taken[i]);
}


static void *
otpreg_smtp_alloc_realloc(void *p, size_t size)
{
    void    *copy;
    size_t   old;

    if (p == NULL) {
        return malloc(size);
    }

    old = otpreg_smtp_alloc_size(p);

    if (size != 0 && size <= old && size >= old / 2) {
        return p;
    }

    copy = malloc(size);

    if (copy != NULL) {
        memcpy(copy, p, size < old ? size : old);
        otpreg_smtp_alloc_free(p);
    }

    return copy;
}


/* a free slot for a copy of "size" bytes, or NULL */

static char *
otpreg_smtp_alloc_take(size_t size)
{
    unsigned  i, n;

    if (size > OTPREG_SMTP_SLOT_SIZE) {
        return NULL;
    }

    /* most of those before the last one that was given are taken */

    n = atomic_load_explicit(&otpreg_smtp_next, memory_order_relaxed);

    for (i = n; i < n + OTPREG_SMTP_SLOTS; i++) {

        if (!atomic_flag_test_and_set(
                &otpreg_smtp_taken[i % OTPREG_SMTP_SLOTS]))
        {
            atomic_store_explicit(&otpreg_smtp_next,
                                  (i + 1) % OTPREG_SMTP_SLOTS,
                                  memory_order_relaxed);

            return otpreg_smtp_slots->slot[i % OTPREG_SMTP_SLOTS];
        }
    }

    return NULL;
}


static void *
otpreg_smtp_alloc_calloc(size_t n, size_t size)
{
    void  *p;

    if (otpreg_smtp_password == NULL || n != 1
        || size <= strlen(otpreg_smtp_password))
    {
        return calloc(n, size);
    }

    p = otpreg_smtp_alloc_take(size);

    return p ? memset(p, 0, OTPREG_SMTP_SLOT_SIZE) : calloc(n, size);
}


static char *
otpreg_smtp_alloc_strdup(const char *s)
{
    char    *p;
    size_t   size;

    size = strlen(s) + 1;

    if (otpreg_smtp_password == NULL
        || strcmp(s, otpreg_smtp_password) != 0)
    {
        return strdup(s);
    }

    p = otpreg_smtp_alloc_take(size);

    return p ? memcpy(p, s, size) : strdup(s);
}


bool
otpreg_smtp_alloc_init(void)
{
    if (sodium_init() == -1) {
        return false;
    }

    if (otpreg_smtp_slots == NULL) {
        otpreg_smtp_slots = sodium_malloc(sizeof(otpreg_smtp_slots_t));
    }

    return otpreg_smtp_slots != NULL
           && curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc,
                                   otpreg_smtp_alloc_free,
                                   otpreg_smtp_alloc_realloc,
                                   otpreg_smtp_alloc_strdup,
                                   otpreg_smtp_alloc_calloc)
              == CURLE_OK;
}


void
otpreg_smtp_alloc_password(const char *password)
{
    otpreg_smtp_password = password;
}
