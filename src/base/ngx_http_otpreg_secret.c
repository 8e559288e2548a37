
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_secret.h"


#define NGX_HTTP_OTPREG_SECRET_MAX  65536


static void ngx_http_otpreg_secret_hide(u_char *p, u_char *last,
    ngx_str_t *arg, ngx_str_t *value);
static size_t ngx_http_otpreg_secret_match(u_char *text, u_char *last,
    ngx_str_t *arg);
static ngx_int_t ngx_http_otpreg_secret_check(ngx_conf_t *cf, ngx_str_t *name,
    ngx_file_info_t *fi);


void *
ngx_http_otpreg_secret_alloc(ngx_conf_t *cf, size_t size)
{
    void                         *p;
    ngx_str_t                    *secret;
    ngx_pool_cleanup_t           *cln;
    ngx_http_otpreg_main_conf_t  *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_otpreg_module);

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    secret = ngx_array_push(&omcf->secrets);

    if (cln == NULL || secret == NULL) {
        return NULL;
    }

    secret->len = 0;

    p = sodium_malloc(size);
    if (p == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           "sodium_malloc() failed");
        return NULL;
    }

    cln->handler = sodium_free;
    cln->data = p;

    secret->data = p;
    secret->len = size;

    return p;
}


ngx_int_t
ngx_http_otpreg_secret_lock(ngx_http_otpreg_main_conf_t *omcf)
{
    ngx_uint_t  i;
    ngx_str_t  *secret;

    secret = omcf->secrets.elts;

    for (i = 0; i < omcf->secrets.nelts; i++) {

        if (secret[i].len
            && sodium_mlock(secret[i].data, secret[i].len) != 0)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_secret_take(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value)
{
    u_char     *p;
    ngx_buf_t  *b;

    p = ngx_http_otpreg_secret_alloc(cf, value->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, value->data, value->len);
    p[value->len] = '\0';

    /* what is not parsed yet begins at pos */

    b = cf->conf_file->buffer;
    ngx_http_otpreg_secret_hide(b->start, b->pos, arg, value);

    b = cf->conf_file->dump;

    if (b != NULL) {
        ngx_http_otpreg_secret_hide(b->start, b->last, arg, value);
    }

    ngx_memset(value->data, '*', value->len);

    value->data = p;

    return NGX_OK;
}


static void
ngx_http_otpreg_secret_hide(u_char *p, u_char *last, ngx_str_t *arg,
    ngx_str_t *value)
{
    size_t  len, name_len;

    name_len = arg->len - value->len;

    while (p != NULL && p < last) {

        len = ngx_http_otpreg_secret_match(p, last, arg);

        if (len == 0) {
            p++;
            continue;
        }

        ngx_memset(p + name_len, '*', len - name_len);
        p += len;
    }
}


/* the length of arg as it was written, escapes as in ngx_conf_file.c; or 0 */

static size_t
ngx_http_otpreg_secret_match(u_char *text, u_char *last, ngx_str_t *arg)
{
    u_char      *p, ch;
    ngx_uint_t   i;

    p = text;

    for (i = 0; i < arg->len; i++) {

        if (p == last) {
            return 0;
        }

        ch = *p++;

        if (ch == '\\' && p != last) {

            switch (*p) {
            case '"':
            case '\'':
            case '\\':
                ch = *p++;
                break;
            case 't':
                ch = '\t';
                p++;
                break;
            case 'r':
                ch = '\r';
                p++;
                break;
            case 'n':
                ch = '\n';
                p++;
                break;
            }
        }

        if (ch != arg->data[i]) {
            return 0;
        }
    }

    return p - text;
}


ngx_int_t
ngx_http_otpreg_secret_read(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *content)
{
    ssize_t          n;
    ngx_fd_t         fd;
    ngx_int_t        rc;
    ngx_file_info_t  fi;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" failed", name);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(fd, &fi) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" failed", name);
        goto done;
    }

    if (ngx_http_otpreg_secret_check(cf, name, &fi) != NGX_OK) {
        goto done;
    }

    content->len = ngx_file_size(&fi);
    content->data = ngx_http_otpreg_secret_alloc(cf, content->len + 1);

    if (content->data == NULL) {
        goto done;
    }

    n = ngx_read_fd(fd, content->data, content->len);

    if (n != (ssize_t) content->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, (n == -1) ? ngx_errno : 0,
                           ngx_read_fd_n " \"%V\" failed", name);
        goto done;
    }

    if (content->len && content->data[content->len - 1] == LF) {
        content->len--;
    }

    if (content->len && content->data[content->len - 1] == CR) {
        content->len--;
    }

    content->data[content->len] = '\0';

    rc = NGX_OK;

done:

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return rc;
}


static ngx_int_t
ngx_http_otpreg_secret_check(ngx_conf_t *cf, ngx_str_t *name,
    ngx_file_info_t *fi)
{
    ngx_uint_t  mode;

    if (!ngx_is_file(fi)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is not a regular file", name);
        return NGX_ERROR;
    }

    mode = ngx_file_access(fi);

    if (mode & S_IRWXO) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "others have access to \"%V\" (mode 0%ui%ui%ui), "
                           "it holds a secret: chmod o-rwx", name,
                           mode >> 6, (mode >> 3) & 7, mode & 7);
        return NGX_ERROR;
    }

    if (ngx_file_size(fi) > NGX_HTTP_OTPREG_SECRET_MAX) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" is too large", name);
        return NGX_ERROR;
    }

    return NGX_OK;
}
