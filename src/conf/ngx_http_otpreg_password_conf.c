
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"


/* NIST SP 800-63B-4 3.1.1.2: at least 8, and at least 64 must be allowed */

#define NGX_HTTP_OTPREG_PASSWORD_MIN  8
#define NGX_HTTP_OTPREG_PASSWORD_MAX  64

#define NGX_HTTP_OTPREG_HASH_MEMORY_MAX                                       \
    ((ssize_t) ngx_min((uint64_t) 4 << 30, (uint64_t) NGX_MAX_SIZE_T_VALUE))

#define NGX_HTTP_OTPREG_HASH_OPERATIONS_MAX  64

/* a list of a hundred million bytes is ten million passwords */
#define NGX_HTTP_OTPREG_BLOCKLIST_MAX  (128 * 1024 * 1024)


char *
ngx_http_otpreg_set_password_length(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_int_t   min, max;
    ngx_str_t  *value;

    if (olcf->password_min != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    min = ngx_atoi(value[1].data, value[1].len);

    if (min < NGX_HTTP_OTPREG_PASSWORD_MIN || min > OTPREG_PASSWORD_CHARS_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid minimum \"%V\", it must be between "
                           "%d and %d", &value[1],
                           NGX_HTTP_OTPREG_PASSWORD_MIN,
                           OTPREG_PASSWORD_CHARS_MAX);
        return NGX_CONF_ERROR;
    }

    olcf->password_min = min;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    max = ngx_atoi(value[2].data, value[2].len);

    if (max < NGX_HTTP_OTPREG_PASSWORD_MAX || max > OTPREG_PASSWORD_CHARS_MAX
        || max < min)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid maximum \"%V\", it must be between "
                           "%d and %d, and not below the minimum", &value[2],
                           NGX_HTTP_OTPREG_PASSWORD_MAX,
                           OTPREG_PASSWORD_CHARS_MAX);
        return NGX_CONF_ERROR;
    }

    olcf->password_max = max;

    return NGX_CONF_OK;
}


char *
ngx_http_otpreg_set_password_hash(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ssize_t      memory;
    ngx_int_t    operations;
    ngx_str_t   *value, option;
    ngx_uint_t   i, least;

    /* MiB for 1, 2, ... passes: OWASP Password Storage Cheat Sheet */

    static const ngx_uint_t  owasp[] = { 46, 19, 12, 9, 7 };

    if (olcf->hash_memory != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    memory = 64 * 1024 * 1024;
    operations = 2;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_otpreg_option(&value[i], "memory", &option)) {
            memory = ngx_parse_size(&option);

            if (memory <= 0 || memory > NGX_HTTP_OTPREG_HASH_MEMORY_MAX) {
                return ngx_http_otpreg_invalid(cf, &value[i]);
            }

        } else if (ngx_http_otpreg_option(&value[i], "operations", &option)) {
            operations = ngx_atoi(option.data, option.len);

            if (operations < 1
                || operations > NGX_HTTP_OTPREG_HASH_OPERATIONS_MAX)
            {
                return ngx_http_otpreg_invalid(cf, &value[i]);
            }

        } else {
            return ngx_http_otpreg_unknown(cf, &value[i]);
        }
    }

    least = owasp[ngx_min(operations, 5) - 1];

    if ((size_t) memory < least * 1024 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%z bytes of memory are too little for "
                           "operations=%i, %uim is the minimum",
                           memory, operations, least);
        return NGX_CONF_ERROR;
    }

    olcf->hash_memory = memory;
    olcf->hash_operations = operations;

    return NGX_CONF_OK;
}


char *
ngx_http_otpreg_set_password_blocklist(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    unsigned             line;
    ngx_str_t           *value, text;
    ngx_pool_cleanup_t  *cln;

    if (olcf->blocklist != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        olcf->blocklist = NULL;
        return NGX_CONF_OK;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (cln == NULL
        || ngx_http_otpreg_read_file(cf, &value[1],
                                     NGX_HTTP_OTPREG_BLOCKLIST_MAX, &text)
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    olcf->blocklist = otpreg_blocklist_parse(ngx_http_otpreg_str(&text),
                                             &line);
    ngx_free(text.data);

    if (olcf->blocklist == NULL) {

        if (line) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "line %ui of \"%V\" is not UTF-8",
                               (ngx_uint_t) line, &value[1]);
        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "no memory for \"%V\"", &value[1]);
        }

        return NGX_CONF_ERROR;
    }

    cln->handler = (ngx_pool_cleanup_pt) otpreg_blocklist_free;
    cln->data = olcf->blocklist;

    return NGX_CONF_OK;
}
