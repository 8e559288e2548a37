
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_used_form.h"


/* about 38,000 forms */
#define NGX_HTTP_OTPREG_USED_FORM_SIZE  (5 * 512 * 1024)

#define NGX_HTTP_OTPREG_USED_FORM_WAYS  8


/* a form may be in any place of one row, which its random id chooses */

typedef struct {
    ngx_uint_t                  nrows;
    ngx_http_otpreg_used_form_t rows[][NGX_HTTP_OTPREG_USED_FORM_WAYS];
} ngx_http_otpreg_used_form_table_t;


static ngx_int_t ngx_http_otpreg_used_form_init(ngx_shm_zone_t *zone,
    void *data);
static ngx_http_otpreg_used_form_t *ngx_http_otpreg_used_form_find(
    ngx_http_otpreg_used_form_table_t *table, uint64_t form);
static void ngx_http_otpreg_used_form_write(ngx_http_otpreg_used_form_t *used,
    const ngx_http_otpreg_used_form_t *use);


ngx_shm_zone_t *
ngx_http_otpreg_used_form_zone(ngx_conf_t *cf)
{
    ngx_str_t        name;
    ngx_shm_zone_t  *zone;

    ngx_str_set(&name, "otpreg_form_time");

    zone = ngx_shared_memory_add(cf, &name, NGX_HTTP_OTPREG_USED_FORM_SIZE,
                                 &ngx_http_otpreg_module);
    if (zone != NULL) {
        zone->init = ngx_http_otpreg_used_form_init;
    }

    return zone;
}


static ngx_int_t
ngx_http_otpreg_used_form_init(ngx_shm_zone_t *zone, void *data)
{
    size_t                              size;
    ngx_uint_t                          nrows;
    ngx_slab_pool_t                    *pool;
    ngx_http_otpreg_used_form_table_t  *table;

    pool = (ngx_slab_pool_t *) zone->shm.addr;

    if (data != NULL || zone->shm.exists) {
        zone->data = pool->data;
        return NGX_OK;
    }

    /* the slab pool needs some pages for itself */

    nrows = (zone->shm.size - zone->shm.size / 16)
            / sizeof(table->rows[0]);
    size = sizeof(ngx_http_otpreg_used_form_table_t)
           + nrows * sizeof(table->rows[0]);

    table = ngx_slab_calloc(pool, size);
    if (table == NULL) {
        return NGX_ERROR;
    }

    table->nrows = nrows;

    pool->data = table;
    zone->data = table;

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_used_form_use(ngx_shm_zone_t *zone,
    const otpreg_form_token_t *form,
    ngx_http_otpreg_used_form_t *use, ngx_http_otpreg_used_form_undo_t *undo)
{
    ngx_int_t                     rc;
    ngx_slab_pool_t              *pool;
    ngx_http_otpreg_used_form_t  *used, before;

    pool = (ngx_slab_pool_t *) zone->shm.addr;

    ngx_memcpy(&use->form, form->id, sizeof(uint64_t));
    use->form |= 1;

    ngx_memzero(&before, sizeof(ngx_http_otpreg_used_form_t));

    ngx_shmtx_lock(&pool->mutex);

    used = ngx_http_otpreg_used_form_find(zone->data, use->form);

    if (used->form != use->form) {
        rc = NGX_OK;

    } else if (ngx_memcmp(used->sender, use->sender, OTPREG_FORM_SENDER_LEN)
               != 0)
    {
        rc = NGX_DECLINED;

    } else if (ngx_memcmp(used->values, use->values, OTPREG_FORM_VALUES_LEN)
               != 0)
    {
        before = *used;
        rc = NGX_OK;

    } else {
        ngx_memcpy(use->otp_id, used->otp_id, OTPREG_ID_LEN);
        rc = NGX_BUSY;
    }

    if (rc == NGX_OK) {
        ngx_http_otpreg_used_form_write(used, use);
    }

    ngx_shmtx_unlock(&pool->mutex);

    if (rc == NGX_OK && undo != NULL) {
        undo->zone = zone;
        undo->use = *use;
        undo->before = before;
    }

    return rc;
}


void
ngx_http_otpreg_used_form_give_back(ngx_http_otpreg_used_form_undo_t *undo)
{
    ngx_slab_pool_t              *pool;
    ngx_http_otpreg_used_form_t  *used;

    if (undo->zone == NULL) {
        return;
    }

    pool = (ngx_slab_pool_t *) undo->zone->shm.addr;

    ngx_shmtx_lock(&pool->mutex);

    used = ngx_http_otpreg_used_form_find(undo->zone->data, undo->use.form);

    /* it may have been forgotten since, and used once more */

    if (used->form == undo->use.form
        && ngx_memcmp(used->otp_id, undo->use.otp_id, OTPREG_ID_LEN) == 0)
    {
        ngx_http_otpreg_used_form_write(used, &undo->before);
    }

    ngx_shmtx_unlock(&pool->mutex);

    undo->zone = NULL;
}


/* where a form is, or the place for it: what is unused expires first */

static ngx_http_otpreg_used_form_t *
ngx_http_otpreg_used_form_find(ngx_http_otpreg_used_form_table_t *table,
    uint64_t form)
{
    ngx_uint_t                    i;
    ngx_http_otpreg_used_form_t  *row, *place;

    row = table->rows[(form >> 1) % table->nrows];
    place = &row[0];

    for (i = 0; i < NGX_HTTP_OTPREG_USED_FORM_WAYS; i++) {

        if (row[i].form == form) {
            return &row[i];
        }

        if (row[i].expires < place->expires) {
            place = &row[i];
        }
    }

    return place;
}


/* a worker that is killed in the middle leaves a place that is unused */

static void
ngx_http_otpreg_used_form_write(ngx_http_otpreg_used_form_t *used,
    const ngx_http_otpreg_used_form_t *use)
{
    used->form = 0;
    ngx_memory_barrier();

    used->expires = use->expires;
    ngx_memcpy(used->sender, use->sender, OTPREG_FORM_SENDER_LEN);
    ngx_memcpy(used->values, use->values, OTPREG_FORM_VALUES_LEN);
    ngx_memcpy(used->otp_id, use->otp_id, OTPREG_ID_LEN);
    ngx_memory_barrier();

    used->form = use->form;
}
