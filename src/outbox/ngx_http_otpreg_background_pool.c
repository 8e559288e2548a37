
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <malloc.h>

#include <sodium.h>

#include "ngx_http_otpreg_background.h"


static void ngx_http_otpreg_background_wipe(void *data);


ngx_pool_t *
ngx_http_otpreg_background_create_pool(size_t size, ngx_log_t *log)
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

    cln->handler = ngx_http_otpreg_background_wipe;
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
ngx_http_otpreg_background_wipe(void *data)
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
