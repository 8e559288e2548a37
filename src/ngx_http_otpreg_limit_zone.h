
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_LIMIT_ZONE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_LIMIT_ZONE_H_INCLUDED_


#include "ngx_http_otpreg_limit.h"


/*
 * The counters of the limits, in shared memory.  All of it is done with the
 * mutex of zone->pool held, in O(log n), and allocates nothing else.
 */


#define NGX_HTTP_OTPREG_LIMIT_GLOBAL      0
#define NGX_HTTP_OTPREG_LIMIT_UNIX        1
#define NGX_HTTP_OTPREG_LIMIT_INET        4
#define NGX_HTTP_OTPREG_LIMIT_INET6       6


/* in two trees: by key, and by the end of the period */

typedef struct {
    ngx_rbtree_node_t           node;
    ngx_rbtree_node_t           expiry;
    ngx_http_otpreg_limit_key_t key;
    uint32_t                    count;
} ngx_http_otpreg_limit_entry_t;


typedef struct {
    ngx_rbtree_t                keys;
    ngx_rbtree_node_t           keys_sentinel;
    ngx_rbtree_t                expiry;
    ngx_rbtree_node_t           expiry_sentinel;

    /* when to warn again of what: a client's limit, a global one, no room */
    ngx_msec_t                  warn[3][NGX_HTTP_OTPREG_LIMITS];
    u_char                      warned[3][NGX_HTTP_OTPREG_LIMITS];

    ngx_slab_pool_t            *pool;
} ngx_http_otpreg_limit_zone_t;


/* now: ngx_current_msec, which is monotonic and the same in all workers */

#define ngx_http_otpreg_limit_is_over(entry, now)                             \
    ((ngx_msec_int_t) ((entry)->expiry.key - (now)) <= 0)


/*
 * The counter of a key, in a period that is not over: found, begun anew, or
 * made.  For a new one those are freed whose periods are over; when there are
 * none, a global counter takes the place of a client's.
 *
 * NULL: no room.  Pointers from before to other counters stay valid if their
 * periods last.
 */
ngx_http_otpreg_limit_entry_t *ngx_http_otpreg_limit_zone_open(
    ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key, ngx_msec_t now);


/* The counter of a key, in whatever period; or NULL. */
ngx_http_otpreg_limit_entry_t *ngx_http_otpreg_limit_zone_find(
    ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key);


/* for ngx_shared_memory_add(): a zone of the same size is kept by a reload */
ngx_int_t ngx_http_otpreg_limit_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);


#endif /* _NGX_HTTP_OTPREG_LIMIT_ZONE_H_INCLUDED_ */
