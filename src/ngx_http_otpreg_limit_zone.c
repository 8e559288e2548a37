
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_limit_zone.h"


#define ngx_http_otpreg_limit_entry(n)                                        \
    (ngx_rbtree_data(n, ngx_http_otpreg_limit_entry_t, node))


static ngx_http_otpreg_limit_entry_t *ngx_http_otpreg_limit_zone_create(
    ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key, ngx_msec_t now);
static ngx_uint_t ngx_http_otpreg_limit_zone_evict(
    ngx_http_otpreg_limit_zone_t *zone, ngx_uint_t force, ngx_msec_t now);
static void ngx_http_otpreg_limit_zone_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);


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

    return entry;
}


static ngx_http_otpreg_limit_entry_t *
ngx_http_otpreg_limit_zone_create(ngx_http_otpreg_limit_zone_t *zone,
    const ngx_http_otpreg_limit_key_t *key, ngx_msec_t now)
{
    ngx_uint_t                      i, global;
    ngx_http_otpreg_limit_entry_t  *entry;

    /* two for one: what is over does not pile up */

    for (i = 0; i < 2 && ngx_http_otpreg_limit_zone_evict(zone, 0, now); i++) {
        /* void */
    }

    entry = ngx_slab_alloc_locked(zone->pool,
                                  sizeof(ngx_http_otpreg_limit_entry_t));

    /* a full zone must not switch a global limit off */

    global = (key->family == NGX_HTTP_OTPREG_LIMIT_GLOBAL);

    if (entry == NULL && global
        && ngx_http_otpreg_limit_zone_evict(zone, 1, now))
    {
        entry = ngx_slab_alloc_locked(zone->pool,
                                      sizeof(ngx_http_otpreg_limit_entry_t));
    }

    if (entry == NULL) {
        return NULL;
    }

    entry->key = *key;
    entry->count = 0;
    entry->node.key = ngx_crc32_short((u_char *) key,
                                      sizeof(ngx_http_otpreg_limit_key_t));
    entry->expiry.key = now + (ngx_msec_t) key->period * 1000;

    ngx_rbtree_insert(&zone->keys, &entry->node);
    ngx_rbtree_insert(&zone->expiry, &entry->expiry);

    return entry;
}


/*
 * Free the counter whose period ends first: when it is over, or by force, then
 * a client's.  Returns whether one was freed.
 */

static ngx_uint_t
ngx_http_otpreg_limit_zone_evict(ngx_http_otpreg_limit_zone_t *zone,
    ngx_uint_t force, ngx_msec_t now)
{
    ngx_rbtree_node_t              *n;
    ngx_http_otpreg_limit_entry_t  *entry;

    if (zone->expiry.root == zone->expiry.sentinel) {
        return 0;
    }

    n = ngx_rbtree_min(zone->expiry.root, zone->expiry.sentinel);

    for ( ;; ) {
        entry = ngx_rbtree_data(n, ngx_http_otpreg_limit_entry_t, expiry);

        if (ngx_http_otpreg_limit_is_over(entry, now)
            || (force && entry->key.family != NGX_HTTP_OTPREG_LIMIT_GLOBAL))
        {
            break;
        }

        n = force ? ngx_rbtree_next(&zone->expiry, n) : NULL;

        if (n == NULL) {
            return 0;
        }
    }

    ngx_rbtree_delete(&zone->keys, &entry->node);
    ngx_rbtree_delete(&zone->expiry, &entry->expiry);

    ngx_slab_free_locked(zone->pool, entry);

    return 1;
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

    zone->pool = pool;

    pool->log_nomem = 0;
    pool->data = zone;
    shm_zone->data = zone;

    return NGX_OK;
}
