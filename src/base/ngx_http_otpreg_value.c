
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_value.h"


ngx_int_t
ngx_http_otpreg_variable_number(ngx_http_request_t *r, ngx_str_t *value,
    int64_t number)
{
    value->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (value->data == NULL) {
        return NGX_ERROR;
    }

    value->len = ngx_sprintf(value->data, "%L", number) - value->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_variable_set(ngx_http_variable_value_t *v, ngx_str_t *value)
{
    v->data = value->data ? value->data : (u_char *) "";
    v->len = value->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
