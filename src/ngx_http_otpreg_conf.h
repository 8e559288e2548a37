
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_CONF_H_INCLUDED_
#define _NGX_HTTP_OTPREG_CONF_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Setters of directives that take more than one plain value, and what is
 * checked when all is known.  Files are read here, by the master.
 */


char *ngx_http_otpreg_set_handler(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_blocklist(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_password_length(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_password_hash(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_thread_pools(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_site(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_otpreg_set_smtp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);


/*
 * Check that a location with a handler has all that it needs, and find or make
 * its service.  NGX_OK, or NGX_ERROR after an [emerg] line.
 */
ngx_int_t ngx_http_otpreg_complete(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf);


/*
 * Read a file with secrets: refused when others can read it.  The content is
 * NUL-terminated in sodium_malloc()ed memory that is wiped and freed with
 * cf->pool.  NGX_OK or NGX_ERROR after an [emerg] line.
 */
ngx_int_t ngx_http_otpreg_read_secret(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *content);


/* sodium_malloc() that is freed, and so wiped, with cf->pool */
void *ngx_http_otpreg_secret_alloc(ngx_conf_t *cf, size_t size);


/* Split "name=value".  NGX_OK when value has that name. */
ngx_int_t ngx_http_otpreg_option(ngx_str_t *arg, const char *name,
    ngx_str_t *value);


#endif /* _NGX_HTTP_OTPREG_CONF_H_INCLUDED_ */
