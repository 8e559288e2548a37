
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_REISSUE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_REISSUE_H_INCLUDED_


#include "otpreg_store.h"

#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_place.h"
#include "ngx_http_otpreg_query.h"


/*
 * The next message of a sign-up that has its cookie: the same code again, a
 * new one, or one to another address.
 */


typedef struct {
    ngx_http_otpreg_query_t     query;
    otpreg_store_resend_t       in;
    otpreg_store_resent_t       out;
    ngx_http_otpreg_place_t     place;
    ngx_http_otpreg_reservation_t taken;        /* of a form to resend */
} ngx_http_otpreg_reissue_t;


/*
 * Make one, for the OTP of the ticket, in r->pool.  Thread: event loop.
 *
 * channel [in]  where the message will most likely go: a place in that queue
 *               is reserved, and given back by _settle() or _unused()
 * to      [in]  the address that is meant from now on, or NULL
 *
 * NULL when there is no memory.
 */
ngx_http_otpreg_reissue_t *ngx_http_otpreg_reissue_make(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_channel_t channel,
    const otpreg_store_to_t *to);


/* Write it.  Thread: database pool. */
void ngx_http_otpreg_reissue_store(ngx_http_otpreg_reissue_t *reissue);


/* After _store(), whatever became of the request.  Thread: event loop. */
void ngx_http_otpreg_reissue_settle(ngx_http_otpreg_reissue_t *reissue);

/* Instead of _store().  Thread: event loop. */
void ngx_http_otpreg_reissue_unused(ngx_http_otpreg_reissue_t *reissue);


/* The ticket of what was written, after OTPREG_OK.  Thread: event loop. */
void ngx_http_otpreg_reissue_ticket(ngx_http_otpreg_ctx_t *ctx,
    const ngx_http_otpreg_reissue_t *reissue);


#endif /* _NGX_HTTP_OTPREG_REISSUE_H_INCLUDED_ */
