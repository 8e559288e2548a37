
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_CONF_H_INCLUDED_
#define _NGX_HTTP_OTPREG_CONF_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Setters of directives that take more than one plain value.  Files are read
 * here, by the master.  Thread: configuration.
 */


/* all directives: ngx_http_otpreg_directives.c */
extern ngx_command_t  ngx_http_otpreg_commands[];

/* what holds without them: ngx_http_otpreg_defaults.c */
void *ngx_http_otpreg_create_main_conf(ngx_conf_t *cf);
char *ngx_http_otpreg_init_main_conf(ngx_conf_t *cf, void *conf);
void *ngx_http_otpreg_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_otpreg_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);


/* a handler of ours: cmd->offset is its role */
char *ngx_http_otpreg_set_handler(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Give a location its handler.  NGX_CONF_OK, or what is wrong. */
char *ngx_http_otpreg_set_role(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf, ngx_uint_t role,
    ngx_http_handler_pt handler);

/* in the files of what they set */
char *ngx_http_otpreg_set_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_smtp(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_otpreg_set_fields(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_honeypot(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_form_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_ask(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_otpreg_set_sms_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
void ngx_http_otpreg_merge_fields(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev);

char *ngx_http_otpreg_set_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_site(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* otpreg_mail and otpreg_sms: cmd->offset is the channel */
char *ngx_http_otpreg_set_couriers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *ngx_http_otpreg_set_courier_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_password_length(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_password_hash(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_password_blocklist(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_otpreg_set_thread_pools(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


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


/* Whether arg is "name=..."; then value is what follows. */
ngx_uint_t ngx_http_otpreg_option(const ngx_str_t *arg, const char *name,
    ngx_str_t *value);

/* "40%" is 40; NGX_ERROR: it is not of 1% to 100%. */
ngx_int_t ngx_http_otpreg_percent(const ngx_str_t *value);

/* Log a parameter with a wrong value, or the name of one that is unknown. */
char *ngx_http_otpreg_invalid(ngx_conf_t *cf, const ngx_str_t *arg);
char *ngx_http_otpreg_unknown(ngx_conf_t *cf, const ngx_str_t *arg);


#endif /* _NGX_HTTP_OTPREG_CONF_H_INCLUDED_ */
