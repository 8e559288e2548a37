
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_BODY_H_INCLUDED_
#define _NGX_HTTP_OTPREG_BODY_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Bodies that nginx refuses before a handler sees them.
 */


/*
 * For the location that is merged: a form with a password must never get into
 * a temporary file, so what does not fit a buffer is refused, and the refusal
 * comes back to the handler of the location, unless an error_page of the
 * administrator's takes it.  NGX_OK or NGX_ERROR.  Thread: configuration.
 */
ngx_int_t ngx_http_otpreg_body_bound(ngx_conf_t *cf);


/*
 * Refuse, in the same way, a body that fills its buffer before it is whole:
 * nginx would write what it has to a temporary file.  Thread: configuration,
 * once, after nginx's own filter is there.
 */
void ngx_http_otpreg_body_init(void);


/* Whether a handler is called for such a refusal. */
ngx_uint_t ngx_http_otpreg_body_is_refused(ngx_http_request_t *r);


/*
 * Whether the body is encoded in a way that is not understood, as
 * "Content-Encoding: gzip".
 */
ngx_uint_t ngx_http_otpreg_body_is_encoded(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OTPREG_BODY_H_INCLUDED_ */
