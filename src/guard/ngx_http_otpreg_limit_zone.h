
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_LIMIT_ZONE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_LIMIT_ZONE_H_INCLUDED_


#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"


/* what is told of, to the log and to the metrics */

typedef enum {
    NGX_HTTP_OTPREG_LIMIT_MET_CLIENT = 0,
    NGX_HTTP_OTPREG_LIMIT_MET_NETWORK,
    NGX_HTTP_OTPREG_LIMIT_MET_GLOBAL,
    NGX_HTTP_OTPREG_LIMIT_MET_FULL,
    NGX_HTTP_OTPREG_LIMIT_METS
} ngx_http_otpreg_limit_met_e;


/*
 * The counters of the limits, in shared memory.  All of it is done with the
 * mutex of zone->pool held, in O(log n), and allocates nothing else.
 *
 * A full zone makes room: it forgets the counters that say least, those of
 * clients that came once, then those of other clients, then those of networks;
 * of each the one that was not asked for the longest.  The counters of a
 * network outlive those of its clients, so that who has many addresses does not
 * get a new budget by filling the zone.  IPv4 and IPv6 take the room of each
 * other only up to the half.  A global counter is never forgotten.
 */


enum {
    NGX_HTTP_OTPREG_LIMIT_ONCE = 0,     /* a client that was counted once */
    NGX_HTTP_OTPREG_LIMIT_OFTEN,
    NGX_HTTP_OTPREG_LIMIT_NETWORK,
    NGX_HTTP_OTPREG_LIMIT_CLASSES
};


/* in two trees, by key and by the end of the period, and in a queue */

typedef struct {
    ngx_rbtree_node_t           node;
    ngx_rbtree_node_t           expiry;
    ngx_queue_t                 queue;      /* not of a global counter */
    ngx_http_otpreg_limit_key_t key;
    uint32_t                    count;
    uint32_t                    round;      /* when it was asked for last */
} ngx_http_otpreg_limit_entry_t;


_Static_assert(sizeof(ngx_http_otpreg_limit_entry_t) <= 128,
               "the slab allocator would take the double for it");


typedef struct {
    ngx_rbtree_t                keys;
    ngx_rbtree_node_t           keys_sentinel;
    ngx_rbtree_t                expiry;
    ngx_rbtree_node_t           expiry_sentinel;

    /* IPv4 and all that is not IPv6, and IPv6 */
    ngx_queue_t                 queues[2][NGX_HTTP_OTPREG_LIMIT_CLASSES];
    ngx_uint_t                  n[2];

    uint32_t                    round;
    uint32_t                    forgotten;  /* in this round, of what lasts */

    /* when to warn again of what, by ngx_http_otpreg_limit_met_e */
    ngx_msec_t                  warn[NGX_HTTP_OTPREG_LIMIT_METS]
                                    [NGX_HTTP_OTPREG_LIMITS];
    u_char                      warned[NGX_HTTP_OTPREG_LIMIT_METS]
                                      [NGX_HTTP_OTPREG_LIMITS];

    ngx_slab_pool_t            *pool;
} ngx_http_otpreg_limit_zone_t;


/* now: ngx_current_msec, which is monotonic and the same in all workers */

#define ngx_http_otpreg_limit_is_over(entry, now)                             \
    ((ngx_msec_int_t) ((entry)->expiry.key - (now)) <= 0)


/* Before the counters of a request are opened: those stay until the next. */
void ngx_http_otpreg_limit_zone_begin(ngx_http_otpreg_limit_zone_t *zone);


/*
 * The counter of a key, in a period that is not over: found, begun anew, or
 * made.  For a new one those are freed whose periods are over; when there are
 * none, and no room, one that lasts, which zone->forgotten tells.
 *
 * NULL: no room, since all of it is full of global counters.
 */
ngx_http_otpreg_limit_entry_t *ngx_http_otpreg_limit_zone_open(
    ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key, ngx_msec_t now);


/* One more in a counter that was opened. */
void ngx_http_otpreg_limit_zone_count(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_entry_t *entry);


/* The counter of a key, in whatever period; or NULL. */
ngx_http_otpreg_limit_entry_t *ngx_http_otpreg_limit_zone_find(
    ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key);


/* for ngx_shared_memory_add(): a zone of the same size is kept by a reload */
ngx_int_t ngx_http_otpreg_limit_zone_init(ngx_shm_zone_t *shm_zone,
    void *data);


#endif /* _NGX_HTTP_OTPREG_LIMIT_ZONE_H_INCLUDED_ */
