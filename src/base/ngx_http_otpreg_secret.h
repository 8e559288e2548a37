
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_SECRET_H_INCLUDED_
#define _NGX_HTTP_OTPREG_SECRET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_http_otpreg_module.h"


/*
 * Keys and passwords: read by the master at configuration time, and kept where
 * neither a swap device nor a core dump gets them.
 */


/*
 * sodium_malloc(): locked, kept out of core dumps, between guard pages; wiped
 * and freed with cf->pool.  NULL after an [emerg] line.
 */
void *ngx_http_otpreg_secret_alloc(ngx_conf_t *cf, size_t size);


/*
 * Lock all of them again, in a worker: locks are not inherited by fork().
 * NGX_OK, or NGX_ERROR with errno when the limit of locked memory is too low.
 */
ngx_int_t ngx_http_otpreg_secret_lock(ngx_http_otpreg_main_conf_t *omcf);


/*
 * Move a value that stands in nginx.conf itself to such memory, NUL-terminated,
 * and overwrite it by asterisks where nginx keeps it: the parameter, the buffer
 * of the file, and what "nginx -T" prints, which a debug build always holds.
 *
 * arg    [in]       the parameter, "name=value"
 * value  [in, out]  its value
 *
 * NGX_OK, or NGX_ERROR after an [emerg] line.
 */
ngx_int_t ngx_http_otpreg_secret_take(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *value);


/*
 * Read a file of at most 64 KiB that users beside owner and group have no
 * rights to.  The content is NUL-terminated, in memory of
 * ngx_http_otpreg_secret_alloc().
 *
 * name     [in, out]  becomes the full name
 * content  [out]      without its final end of line
 *
 * NGX_OK, or NGX_ERROR after an [emerg] line.
 */
ngx_int_t ngx_http_otpreg_secret_read(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *content);


#endif /* _NGX_HTTP_OTPREG_SECRET_H_INCLUDED_ */
