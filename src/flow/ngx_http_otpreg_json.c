
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_json.h"


static void ngx_http_otpreg_json_cleanup(void *data);
static void ngx_http_otpreg_json_member(ngx_http_otpreg_json_t *json,
    const char *name, json_t *value);
static json_t *ngx_http_otpreg_json_push(ngx_http_otpreg_json_t *json,
    json_t *value);


ngx_int_t
ngx_http_otpreg_json_create(ngx_pool_t *pool, ngx_http_otpreg_json_t *json)
{
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(json, sizeof(ngx_http_otpreg_json_t));
    json->pool = pool;

    if (ngx_http_otpreg_json_push(json, json_object()) == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_otpreg_json_cleanup;
    cln->data = json->open[0];

    return NGX_OK;
}


static void
ngx_http_otpreg_json_cleanup(void *data)
{
    json_decref(data);
}


void
ngx_http_otpreg_json_string(ngx_http_otpreg_json_t *json, const char *name,
    const ngx_str_t *value)
{
    ngx_http_otpreg_json_member(json, name,
                                json_stringn((char *) value->data,
                                             value->len));
}


void
ngx_http_otpreg_json_text(ngx_http_otpreg_json_t *json, const char *name,
    const char *value)
{
    ngx_http_otpreg_json_member(json, name, json_string(value));
}


void
ngx_http_otpreg_json_number(ngx_http_otpreg_json_t *json, const char *name,
    int64_t value)
{
    ngx_http_otpreg_json_member(json, name, json_integer(value));
}


static void
ngx_http_otpreg_json_member(ngx_http_otpreg_json_t *json, const char *name,
    json_t *value)
{
    /* takes the reference over, a NULL fails */

    if (json_object_set_new(json->open[json->depth - 1], name, value) != 0) {
        json->failed = 1;
    }
}


void
ngx_http_otpreg_json_array(ngx_http_otpreg_json_t *json, const char *name)
{
    json_t  *value;

    value = json_array();

    ngx_http_otpreg_json_member(json, name, value);

    (void) ngx_http_otpreg_json_push(json, json->failed ? NULL : value);
}


void
ngx_http_otpreg_json_object(ngx_http_otpreg_json_t *json)
{
    json_t  *value;

    value = json_object();

    if (json_array_append_new(json->open[json->depth - 1], value) != 0) {
        json->failed = 1;
        value = NULL;
    }

    (void) ngx_http_otpreg_json_push(json, value);
}


/* what is open is owned by the outermost object; a NULL takes its place too */

static json_t *
ngx_http_otpreg_json_push(ngx_http_otpreg_json_t *json, json_t *value)
{
    if (json->depth == NGX_HTTP_OTPREG_JSON_DEPTH) {
        json->failed = 1;
        return NULL;
    }

    json->open[json->depth++] = value;

    return value;
}


void
ngx_http_otpreg_json_close(ngx_http_otpreg_json_t *json)
{
    json->depth--;
}


ngx_buf_t *
ngx_http_otpreg_json_finish(ngx_http_otpreg_json_t *json)
{
    size_t      len;
    ngx_buf_t  *b;

    if (json->failed) {
        return NULL;
    }

    len = json_dumpb(json->open[0], NULL, 0, JSON_COMPACT);
    if (len == 0) {
        return NULL;
    }

    b = ngx_create_temp_buf(json->pool, len);
    if (b == NULL) {
        return NULL;
    }

    b->last += json_dumpb(json->open[0], (char *) b->pos, len, JSON_COMPACT);

    return b;
}
