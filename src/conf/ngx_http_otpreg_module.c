
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_form.h"

#include "ngx_http_otpreg_body.h"
#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_missing.h"
#include "ngx_http_otpreg_purge.h"
#include "ngx_http_otpreg_response_time.h"
#include "ngx_http_otpreg_secret.h"


static ngx_int_t ngx_http_otpreg_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_otpreg_postconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_otpreg_init_process(ngx_cycle_t *cycle);
static void ngx_http_otpreg_exit_process(ngx_cycle_t *cycle);
static void ngx_http_otpreg_flush(ngx_cycle_t *cycle);


static ngx_http_module_t  ngx_http_otpreg_module_ctx = {
    ngx_http_otpreg_preconfiguration,      /* preconfiguration */
    ngx_http_otpreg_postconfiguration,     /* postconfiguration */

    ngx_http_otpreg_create_main_conf,      /* create main configuration */
    ngx_http_otpreg_init_main_conf,        /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_otpreg_create_loc_conf,       /* create location configuration */
    ngx_http_otpreg_merge_loc_conf         /* merge location configuration */
};


ngx_module_t  ngx_http_otpreg_module = {
    NGX_MODULE_V1,
    &ngx_http_otpreg_module_ctx,           /* module context */
    ngx_http_otpreg_commands,              /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_otpreg_init_process,          /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_otpreg_exit_process,          /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
ngx_http_otpreg_preconfiguration(ngx_conf_t *cf)
{
    if (sodium_init() == -1) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "otpreg: sodium_init() failed");
        return NGX_ERROR;
    }

    return ngx_http_otpreg_add_variables(cf);
}


static ngx_int_t
ngx_http_otpreg_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_otpreg_body_init();

    return ngx_http_otpreg_missing_warn(cf);
}


static ngx_int_t
ngx_http_otpreg_init_process(ngx_cycle_t *cycle)
{
    ngx_http_otpreg_main_conf_t  *omcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_otpreg_module);

    if (omcf == NULL) {
        return NGX_OK;
    }

    ngx_http_otpreg_metric_init_process(omcf);

    if (omcf->realms.nelts == 0) {
        return NGX_OK;
    }

    otpreg_form_init();

    if (!otpreg_store_init()) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "otpreg: mysql_library_init() failed");
        return NGX_ERROR;
    }

    if (!otpreg_smtp_init()) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "otpreg: curl_global_init() failed");
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_secret_lock(omcf) != NGX_OK) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, ngx_errno,
                      "otpreg: secrets cannot be locked into memory");
    }

    if (ngx_http_otpreg_response_time_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_purge_init(cycle, omcf) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_otpreg_dispatch_init(cycle, omcf);
}


/*
 * nginx has told its pool threads to end by now, but one whose queue is full
 * was not told, and one may be in the middle of a job: nothing that they use
 * may be freed then, the configuration with its secrets included.
 */

static void
ngx_http_otpreg_exit_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                    ended;
    ngx_http_otpreg_main_conf_t  *omcf;

    omcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_otpreg_module);

    if (omcf == NULL || omcf->realms.nelts == 0) {
        return;
    }

    ngx_http_otpreg_response_time_exit();

    ended = otpreg_smtp_exit();
    ended &= otpreg_store_exit();

    if (!ended) {
        ngx_log_error(NGX_LOG_NOTICE, cycle->log, 0,
                      "otpreg: leaving while threads are still working");
        ngx_http_otpreg_flush(cycle);
        _exit(0);
    }
}


/* what nginx does at exit for logs that have a buffer */

static void
ngx_http_otpreg_flush(ngx_cycle_t *cycle)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_open_file_t  *file;

    for (part = &cycle->open_files.part; part; part = part->next) {
        file = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (file[i].flush != NULL) {
                file[i].flush(&file[i], cycle->log);
            }
        }
    }
}
