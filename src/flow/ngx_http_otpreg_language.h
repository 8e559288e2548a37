
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_LANGUAGE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_LANGUAGE_H_INCLUDED_


#include "otpreg_outcome.h"

#include "ngx_http_otpreg_module.h"


/*
 * The languages of a site: what people are told is taken from files, which the
 * master reads; the variable $otpreg_lang says which one.
 */


typedef struct {
    ngx_str_t                   tag;
    ngx_str_t                   sentences[OTPREG_OUTCOMES];
} ngx_http_otpreg_language_t;


struct ngx_http_otpreg_languages_s {
    ngx_array_t                 languages;  /* ngx_http_otpreg_language_t */
    ngx_array_t                 tags;       /* otpreg_str_t, the same order */
};


/* the directive otpreg_language */
char *ngx_http_otpreg_set_language(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/*
 * The language of a client by its Accept-Language; empty when no language is
 * configured.
 */
void ngx_http_otpreg_language_accepted(ngx_http_request_t *r,
    ngx_http_otpreg_loc_conf_t *olcf, ngx_str_t *tag);


/*
 * The language of a request: the value of $otpreg_lang, which the configuration
 * may have set; NULL when it is none of the configured ones.
 */
const ngx_http_otpreg_language_t *ngx_http_otpreg_language(
    ngx_http_request_t *r, ngx_http_otpreg_loc_conf_t *olcf);


#endif /* _NGX_HTTP_OTPREG_LANGUAGE_H_INCLUDED_ */
