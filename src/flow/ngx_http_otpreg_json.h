
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_JSON_H_INCLUDED_
#define _NGX_HTTP_OTPREG_JSON_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <jansson.h>


/*
 * An answer in JSON, written member by member with jansson.  A failure (no
 * memory, a value that is not UTF-8) is remembered and told by _finish().
 */

#define NGX_HTTP_OTPREG_JSON_DEPTH  4


typedef struct {
    ngx_pool_t                 *pool;
    ngx_uint_t                  depth;
    json_t                     *open[NGX_HTTP_OTPREG_JSON_DEPTH];
    ngx_uint_t                  failed;
} ngx_http_otpreg_json_t;


/* Begin an object.  Freed with the pool at the latest. */
ngx_int_t ngx_http_otpreg_json_create(ngx_pool_t *pool,
    ngx_http_otpreg_json_t *json);

/* Members of the open object. */
void ngx_http_otpreg_json_string(ngx_http_otpreg_json_t *json,
    const char *name, const ngx_str_t *value);
void ngx_http_otpreg_json_text(ngx_http_otpreg_json_t *json, const char *name,
    const char *value);
void ngx_http_otpreg_json_number(ngx_http_otpreg_json_t *json,
    const char *name, int64_t value);

/* Open an array as a member, or an object as an element; and close it. */
void ngx_http_otpreg_json_array(ngx_http_otpreg_json_t *json,
    const char *name);
void ngx_http_otpreg_json_object(ngx_http_otpreg_json_t *json);
void ngx_http_otpreg_json_close(ngx_http_otpreg_json_t *json);

/* The text, in a buffer of the pool; NULL when anything failed. */
ngx_buf_t *ngx_http_otpreg_json_finish(ngx_http_otpreg_json_t *json);


#endif /* _NGX_HTTP_OTPREG_JSON_H_INCLUDED_ */
