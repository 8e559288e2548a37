
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_REALM_H_INCLUDED_
#define _NGX_HTTP_OTPREG_REALM_H_INCLUDED_


#include "otpreg_store.h"

#include "ngx_http_otpreg_module.h"


/*
 * A realm is what the locations of one site share: database, site, keys
 * and couriers.
 */


/* the messages of one channel: a slow one does not delay the other */

typedef struct {
    ngx_http_otpreg_realm_t    *realm;
    otpreg_channel_t                channel;
    ngx_event_t                     poll;
    ngx_uint_t                      in_flight;  /* messages being sent */
    ngx_uint_t                      limit;      /* of them, see dispatch */
    unsigned                        polling:1;
    unsigned                        more:1;     /* others were waiting */
} ngx_http_otpreg_queue_t;


struct ngx_http_otpreg_realm_s {
    ngx_http_otpreg_loc_conf_t     *conf;       /* of the first location */
    ngx_http_conf_ctx_t            *conf_ctx;   /* of its server */
    ngx_http_otpreg_main_conf_t    *main_conf;

    /* from here on each worker's own, see dispatch */

    ngx_http_otpreg_queue_t         queues[NGX_HTTP_OTPREG_CHANNELS];
    ngx_msec_t                      release_at; /* ngx_current_msec */

    /* why the database is away, "" when it is not */
    char                            down[OTPREG_DB_ERROR_SIZE];
};


/*
 * Check that a location with a handler has all that it needs, and find or make
 * its realm.  After merging; NGX_OK, or NGX_ERROR after an [emerg] line.
 */
ngx_int_t ngx_http_otpreg_realm_complete(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf);


static ngx_inline ngx_http_otpreg_queue_t *
ngx_http_otpreg_realm_queue(ngx_http_otpreg_realm_t *realm,
    otpreg_channel_t channel)
{
    return &realm->queues[channel - 1];
}


#endif /* _NGX_HTTP_OTPREG_REALM_H_INCLUDED_ */
