
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_OUTCOME_H_INCLUDED_
#define _NGX_HTTP_OTPREG_OUTCOME_H_INCLUDED_


#include "otpreg_outcome.h"

#include "ngx_http_otpreg_module.h"


/*
 * What the world is told of an outcome: the one table of statuses, stable code
 * names and sentences.
 */


ngx_uint_t ngx_http_otpreg_outcome_status(otpreg_outcome_t outcome);

/*
 * Seconds for Retry-After of the answer with ctx->outcome; -1: it has none.
 */
time_t ngx_http_otpreg_outcome_retry_after(ngx_http_otpreg_ctx_t *ctx);

/* empty for OTPREG_OK */
const ngx_str_t *ngx_http_otpreg_outcome_code(otpreg_outcome_t outcome);


/*
 * The sentence for a person, with the numbers of this request in it; empty for
 * OTPREG_OK.  It lives in r->pool.  NGX_OK or NGX_ERROR.
 */
ngx_int_t ngx_http_otpreg_outcome_sentence(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, otpreg_outcome_t outcome,
    ngx_str_t *sentence);


#endif /* _NGX_HTTP_OTPREG_OUTCOME_H_INCLUDED_ */
