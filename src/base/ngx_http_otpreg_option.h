
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_OPTION_H_INCLUDED_
#define _NGX_HTTP_OTPREG_OPTION_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * What the setters of directives in every room use.  Thread: configuration.
 */


/* Whether arg is "name=..."; then value is what follows. */
ngx_uint_t ngx_http_otpreg_option(const ngx_str_t *arg, const char *name,
    ngx_str_t *value);

/* "40%" is 40; NGX_ERROR: it is not of 1% to 100%. */
ngx_int_t ngx_http_otpreg_percent(const ngx_str_t *value);

/* Log a parameter with a wrong value, or the name of one that is unknown. */
char *ngx_http_otpreg_invalid(ngx_conf_t *cf, const ngx_str_t *arg);
char *ngx_http_otpreg_unknown(ngx_conf_t *cf, const ngx_str_t *arg);


/* bounds of a ngx_conf_set_sec_slot() directive, seconds */

typedef struct {
    ngx_conf_post_handler_pt    post_handler;   /* _check_time */
    time_t                      low;
    time_t                      high;
} ngx_http_otpreg_time_bounds_t;

char *ngx_http_otpreg_check_time(ngx_conf_t *cf, void *post, void *data);


/*
 * Read a file that holds no secret.
 *
 * name   [in, out]  becomes the full name
 * max    [in]       bytes
 * text   [out]      text->data is the caller's to ngx_free()
 *
 * NGX_OK, or NGX_ERROR after an [emerg] line.
 */
ngx_int_t ngx_http_otpreg_read_file(ngx_conf_t *cf, ngx_str_t *name,
    off_t max, ngx_str_t *text);


/* Give a location its handler.  NGX_CONF_OK, or what is wrong. */
char *ngx_http_otpreg_set_role(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf, ngx_uint_t role,
    ngx_http_handler_pt handler);


#endif /* _NGX_HTTP_OTPREG_OPTION_H_INCLUDED_ */
