
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_CONF_H_INCLUDED_
#define _NGX_HTTP_OTPREG_CONF_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * The room "conf": the module for nginx: the table of directives, what is unset
 * and what is inherited, the variables' names, what is looked at when all
 * locations are known, start and stop.  Not here: what happens to a request;
 * a setter that knows one feature is in the room of that feature.
 */


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


/* $otpreg_*: ngx_http_otpreg_variables.c */
/* $otpreg_* */
ngx_int_t ngx_http_otpreg_add_variables(ngx_conf_t *cf);


/* a handler of ours: cmd->offset is its role, cmd->post the row of a page */
char *ngx_http_otpreg_set_handler(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* in the files of what they set */
char *ngx_http_otpreg_set_database(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_sms_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *ngx_http_otpreg_set_key_file(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_site(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* otpreg_mail and otpreg_sms: cmd->offset is the channel */
char *ngx_http_otpreg_set_couriers(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *ngx_http_otpreg_set_password_length(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_password_hash(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_otpreg_set_password_blocklist(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_otpreg_set_thread_pools(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* What the configuration says, and the language: see value.h. */
ngx_int_t ngx_http_otpreg_variable_conf(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
ngx_int_t ngx_http_otpreg_variable_lang(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


#endif /* _NGX_HTTP_OTPREG_CONF_H_INCLUDED_ */
