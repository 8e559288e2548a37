
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"


ngx_uint_t
ngx_http_otpreg_option(const ngx_str_t *arg, const char *name,
    ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(name);

    if (arg->len <= len || arg->data[len] != '='
        || ngx_strncmp(arg->data, name, len) != 0)
    {
        return 0;
    }

    value->data = arg->data + len + 1;
    value->len = arg->len - len - 1;

    return 1;
}


ngx_int_t
ngx_http_otpreg_percent(const ngx_str_t *value)
{
    ngx_int_t  n;

    if (value->len == 0 || value->data[value->len - 1] != '%') {
        return NGX_ERROR;
    }

    n = ngx_atoi(value->data, value->len - 1);

    return (n < 1 || n > 100) ? NGX_ERROR : n;
}


char *
ngx_http_otpreg_invalid(ngx_conf_t *cf, const ngx_str_t *arg)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", arg);
    return NGX_CONF_ERROR;
}


/* the value of a parameter that was misspelt may be a password */

char *
ngx_http_otpreg_unknown(ngx_conf_t *cf, const ngx_str_t *arg)
{
    u_char     *p;
    ngx_str_t   name;

    name = *arg;
    p = ngx_strlchr(name.data, name.data + name.len, '=');

    if (p != NULL) {
        name.len = p - name.data;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V%s\"",
                       &name, p ? "=..." : "");
    return NGX_CONF_ERROR;
}


char *
ngx_http_otpreg_check_time(ngx_conf_t *cf, void *post, void *data)
{
    ngx_http_otpreg_time_bounds_t  *bounds = post;
    time_t                         *time = data;

    if (*time < bounds->low || *time > bounds->high) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "value must be between %T and %T seconds",
                           bounds->low, bounds->high);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_otpreg_read_file(ngx_conf_t *cf, ngx_str_t *name, off_t max,
    ngx_str_t *text)
{
    off_t            size;
    ngx_int_t        rc;
    ngx_file_t       file;
    ngx_file_info_t  fi;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = *name;
    file.log = cf->log;

    file.fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (file.fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;
    text->data = NULL;

    if (ngx_fd_info(file.fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        goto done;
    }

    size = ngx_file_size(&fi);

    if (!ngx_is_file(&fi) || size > max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a regular file, or too large", name);
        goto done;
    }

    text->len = size;
    text->data = ngx_alloc(size + 1, cf->log);

    if (text->data != NULL
        && ngx_read_file(&file, text->data, size, 0) == (ssize_t) size)
    {
        rc = NGX_OK;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" cannot be read",
                           name);
        ngx_free(text->data);
    }

done:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return rc;
}


char *
ngx_http_otpreg_set_role(ngx_conf_t *cf, ngx_http_otpreg_loc_conf_t *olcf,
    ngx_uint_t role, ngx_http_handler_pt handler)
{
    ngx_http_core_loc_conf_t  *clcf;

    if (olcf->handler == handler) {
        return "is duplicate";
    }

    if (olcf->role != NGX_HTTP_OTPREG_NONE) {
        return "is in a location with another handler of this module";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->handler = handler;

    olcf->role = role;
    olcf->handler = handler;
    olcf->file = cf->conf_file->file.name.data;
    olcf->line = cf->conf_file->line;

    return NGX_CONF_OK;
}
