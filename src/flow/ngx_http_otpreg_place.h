
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_PLACE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_PLACE_H_INCLUDED_


#include "otpreg_outcome.h"
#include "otpreg_store.h"

#include "ngx_http_otpreg_module.h"


/*
 * A place in the outbox: room for the message that a job is about to write, so
 * that this worker sends it at once.  Where there is no room, the message is
 * written all the same, and somebody finds it.  Thread: event loop.
 */

typedef struct {
    ngx_http_otpreg_realm_t    *realm;
    otpreg_store_outbox_t      *outbox;
    char                        lease[OTPREG_LEASE_MAX + 1];
} ngx_http_otpreg_place_t;


/*
 * Reserve one.
 *
 * channel [in]   where the message will most likely go
 * outbox  [out]  what the job tells the store; it and place live until settle
 */
void ngx_http_otpreg_place_reserve(ngx_http_otpreg_place_t *place,
    ngx_http_otpreg_realm_t *realm, otpreg_channel_t channel,
    otpreg_store_outbox_t *outbox);


/*
 * After the job, whatever became of its request: send what it wrote, or give
 * the place back; tell of a message that a limit refused.
 *
 * otp  [in]  that the message was for
 */
void ngx_http_otpreg_place_settle(ngx_http_otpreg_place_t *place,
    otpreg_outcome_t outcome, const otpreg_store_queued_t *queued,
    const otpreg_otp_t *otp);

/* Instead of the job. */
void ngx_http_otpreg_place_unused(ngx_http_otpreg_place_t *place);


#endif /* _NGX_HTTP_OTPREG_PLACE_H_INCLUDED_ */
