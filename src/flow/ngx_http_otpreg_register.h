
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_REGISTER_H_INCLUDED_
#define _NGX_HTTP_OTPREG_REGISTER_H_INCLUDED_


#include "otpreg_store.h"

#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_place.h"
#include "ngx_http_otpreg_query.h"
#include "ngx_http_otpreg_used_form.h"


/*
 * A sign-up from the form to the commit, in the pool of its request, wiped at
 * its end; shared with pool threads in turn.
 */

typedef struct {
    ngx_http_otpreg_query_t     query;
    size_t                      memory;
    unsigned                    operations;
    otpreg_password_t           password;
    otpreg_store_signup_t       in;
    otpreg_store_queued_t       out;
    ngx_http_otpreg_place_t     place;
    ngx_http_otpreg_used_form_undo_t form;
    ngx_http_otpreg_reservation_t taken;
    unsigned                    challenged:1;
    unsigned                    looked_up:1;
} ngx_http_otpreg_signup_t;


/*
 * Fill it from the form, which may be wiped then: ctx->fields and ctx->outcome
 * say what is wrong with that.  NGX_OK, or NGX_ERROR: no memory.  Thread: event
 * loop.
 */
ngx_int_t ngx_http_otpreg_register_parse(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_signup_t *s);


#endif /* _NGX_HTTP_OTPREG_REGISTER_H_INCLUDED_ */
