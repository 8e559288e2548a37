
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_limit_zone.h"
#include "ngx_http_otpreg_loc_conf.h"


#define ngx_http_otpreg_limit_entry(n)                                        \
    (ngx_rbtree_data(n, ngx_http_otpreg_limit_entry_t, node))


static ngx_http_otpreg_limit_entry_t *ngx_http_otpreg_limit_zone_create(
    ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key, ngx_msec_t now);
static ngx_uint_t ngx_http_otpreg_limit_zone_expire(
    ngx_http_otpreg_limit_zone_t *zone, ngx_msec_t now);
static ngx_uint_t ngx_http_otpreg_limit_zone_evict(
    ngx_http_otpreg_limit_zone_t *zone);
static ngx_uint_t ngx_http_otpreg_limit_zone_evict_of(
    ngx_http_otpreg_limit_zone_t *zone, ngx_queue_t *queue);
static void ngx_http_otpreg_limit_zone_free(
    ngx_http_otpreg_limit_zone_t *zone, ngx_http_otpreg_limit_entry_t *entry);
static void ngx_http_otpreg_limit_zone_enqueue(
    ngx_http_otpreg_limit_zone_t *zone, ngx_http_otpreg_limit_entry_t *entry);
static void ngx_http_otpreg_limit_zone_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


void
ngx_http_otpreg_limit_zone_begin(ngx_http_otpreg_limit_zone_t *zone)
{
    zone->round++;
    zone->forgotten = 0;
}


ngx_http_otpreg_limit_entry_t *
ngx_http_otpreg_limit_zone_open(ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key, ngx_msec_t now)
{
    ngx_http_otpreg_limit_entry_t  *entry;

    entry = ngx_http_otpreg_limit_zone_find(zone, key);

    if (entry == NULL) {
        return ngx_http_otpreg_limit_zone_create(zone, key, now);
    }

    if (ngx_http_otpreg_limit_is_over(entry, now)) {
        ngx_rbtree_delete(&zone->expiry, &entry->expiry);

        entry->count = 0;
        entry->expiry.key = now + (ngx_msec_t) key->period * 1000;

        ngx_rbtree_insert(&zone->expiry, &entry->expiry);
    }

    if (key->family != NGX_HTTP_OTPREG_LIMIT_GLOBAL) {
        ngx_queue_remove(&entry->queue);
        ngx_http_otpreg_limit_zone_enqueue(zone, entry);
    }

    entry->round = zone->round;

    return entry;
}


void
ngx_http_otpreg_limit_zone_count(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_entry_t *entry)
{
    entry->count++;

    if (entry->key.family != NGX_HTTP_OTPREG_LIMIT_GLOBAL) {
        ngx_queue_remove(&entry->queue);
        ngx_http_otpreg_limit_zone_enqueue(zone, entry);
    }
}


static ngx_http_otpreg_limit_entry_t *
ngx_http_otpreg_limit_zone_create(ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key, ngx_msec_t now)
{
    ngx_uint_t                      i;
    ngx_http_otpreg_limit_entry_t  *entry;

    /* two for one: what is over does not pile up */

    for (i = 0; i < 2 && ngx_http_otpreg_limit_zone_expire(zone, now); i++) {
        /* void */
    }

    entry = ngx_slab_alloc_locked(zone->pool,
                                  sizeof(ngx_http_otpreg_limit_entry_t));

    if (entry == NULL && ngx_http_otpreg_limit_zone_evict(zone)) {
        entry = ngx_slab_alloc_locked(zone->pool,
                                      sizeof(ngx_http_otpreg_limit_entry_t));
    }

    if (entry == NULL) {
        return NULL;
    }

    entry->key = *key;
    entry->count = 0;
    entry->round = zone->round;
    entry->node.key = ngx_crc32_short((u_char *) key,
                                      sizeof(ngx_http_otpreg_limit_key_t));
    entry->expiry.key = now + (ngx_msec_t) key->period * 1000;

    ngx_rbtree_insert(&zone->keys, &entry->node);
    ngx_rbtree_insert(&zone->expiry, &entry->expiry);

    if (key->family != NGX_HTTP_OTPREG_LIMIT_GLOBAL) {
        ngx_http_otpreg_limit_zone_enqueue(zone, entry);
        zone->n[key->family == NGX_HTTP_OTPREG_LIMIT_INET6]++;
    }

    return entry;
}


/* Free the counter whose period ended first; returns whether there is one. */

static ngx_uint_t
ngx_http_otpreg_limit_zone_expire(ngx_http_otpreg_limit_zone_t *zone,
    ngx_msec_t now)
{
    ngx_rbtree_node_t              *n;
    ngx_http_otpreg_limit_entry_t  *entry;

    if (zone->expiry.root == zone->expiry.sentinel) {
        return 0;
    }

    n = ngx_rbtree_min(zone->expiry.root, zone->expiry.sentinel);
    entry = ngx_rbtree_data(n, ngx_http_otpreg_limit_entry_t, expiry);

    if (!ngx_http_otpreg_limit_is_over(entry, now)) {
        return 0;
    }

    ngx_http_otpreg_limit_zone_free(zone, entry);

    return 1;
}


/* Free one whose period lasts, of the family that has more. */

static ngx_uint_t
ngx_http_otpreg_limit_zone_evict(ngx_http_otpreg_limit_zone_t *zone)
{
    ngx_uint_t  i, family, class;

    family = zone->n[1] > zone->n[0];

    for (i = 0; i < 2; i++, family = !family) {

        for (class = 0; class < NGX_HTTP_OTPREG_LIMIT_CLASSES; class++) {

            if (ngx_http_otpreg_limit_zone_evict_of(zone,
                                               &zone->queues[family][class]))
            {
                zone->forgotten++;
                return 1;
            }
        }
    }

    return 0;
}


/* the few that this request has opened are at the end */

static ngx_uint_t
ngx_http_otpreg_limit_zone_evict_of(ngx_http_otpreg_limit_zone_t *zone,
    ngx_queue_t *queue)
{
    ngx_queue_t                    *q;
    ngx_http_otpreg_limit_entry_t  *entry;

    if (ngx_queue_empty(queue)) {
        return 0;
    }

    q = ngx_queue_head(queue);
    entry = ngx_queue_data(q, ngx_http_otpreg_limit_entry_t, queue);

    if (entry->round == zone->round) {
        return 0;
    }

    ngx_http_otpreg_limit_zone_free(zone, entry);

    return 1;
}


static void
ngx_http_otpreg_limit_zone_free(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_entry_t *entry)
{
    ngx_rbtree_delete(&zone->keys, &entry->node);
    ngx_rbtree_delete(&zone->expiry, &entry->expiry);

    if (entry->key.family != NGX_HTTP_OTPREG_LIMIT_GLOBAL) {
        ngx_queue_remove(&entry->queue);
        zone->n[entry->key.family == NGX_HTTP_OTPREG_LIMIT_INET6]--;
    }

    ngx_slab_free_locked(zone->pool, entry);
}


static void
ngx_http_otpreg_limit_zone_enqueue(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_entry_t *entry)
{
    ngx_uint_t  family, class;

    family = (entry->key.family == NGX_HTTP_OTPREG_LIMIT_INET6);

    class = entry->key.network ? NGX_HTTP_OTPREG_LIMIT_NETWORK
            : (entry->count > 1) ? NGX_HTTP_OTPREG_LIMIT_OFTEN
            : NGX_HTTP_OTPREG_LIMIT_ONCE;

    ngx_queue_insert_tail(&zone->queues[family][class], &entry->queue);
}


ngx_http_otpreg_limit_entry_t *
ngx_http_otpreg_limit_zone_find(ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key)
{
    uint32_t                        hash;
    ngx_int_t                       rc;
    ngx_rbtree_node_t              *node, *sentinel;
    ngx_http_otpreg_limit_entry_t  *entry;

    hash = ngx_crc32_short((u_char *) key,
                           sizeof(ngx_http_otpreg_limit_key_t));

    node = zone->keys.root;
    sentinel = zone->keys.sentinel;

    while (node != sentinel) {

        if (hash != node->key) {
            node = (hash < node->key) ? node->left : node->right;
            continue;
        }

        entry = ngx_http_otpreg_limit_entry(node);

        rc = ngx_memcmp(key, &entry->key,
                        sizeof(ngx_http_otpreg_limit_key_t));

        if (rc == 0) {
            return entry;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


static void
ngx_http_otpreg_limit_zone_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel)
{
    ngx_uint_t           left;
    ngx_rbtree_node_t  **p;

    for ( ;; ) {

        left = (node->key == temp->key)
               ? ngx_memcmp(&ngx_http_otpreg_limit_entry(node)->key,
                            &ngx_http_otpreg_limit_entry(temp)->key,
                            sizeof(ngx_http_otpreg_limit_key_t)) < 0
               : node->key < temp->key;

        p = left ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


/* data is that of the cycle before: its workers and ours count together */

ngx_int_t
ngx_http_otpreg_limit_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t                     family, class;
    ngx_slab_pool_t               *pool;
    ngx_http_otpreg_limit_zone_t  *zone;

    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data != NULL || shm_zone->shm.exists) {
        shm_zone->data = pool->data;
        return NGX_OK;
    }

    zone = ngx_slab_calloc(pool, sizeof(ngx_http_otpreg_limit_zone_t));
    if (zone == NULL) {
        return NGX_ERROR;
    }

    ngx_rbtree_init(&zone->keys, &zone->keys_sentinel,
                    ngx_http_otpreg_limit_zone_insert);
    ngx_rbtree_init(&zone->expiry, &zone->expiry_sentinel,
                    ngx_rbtree_insert_timer_value);

    for (family = 0; family < 2; family++) {
        for (class = 0; class < NGX_HTTP_OTPREG_LIMIT_CLASSES; class++) {
            ngx_queue_init(&zone->queues[family][class]);
        }
    }

    zone->pool = pool;

    pool->log_nomem = 0;
    pool->data = zone;
    shm_zone->data = zone;

    return NGX_OK;
}
