
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_RESPONSE_TIME_H_INCLUDED_
#define _NGX_HTTP_OTPREG_RESPONSE_TIME_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * When an answer leaves: what the database was asked for must not tell by its
 * time what the database found.  Thread: event loop.
 */


/* otpreg_response_time time | off */
char *ngx_http_otpreg_set_response_time(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* In each worker, once; NGX_ERROR after an [emerg] line. */
ngx_int_t ngx_http_otpreg_response_time_init(ngx_cycle_t *cycle);
void ngx_http_otpreg_response_time_exit(void);


/*
 * The schedule of an answer begins now.  Called when all is there that the
 * client has to send, so that the client cannot move the work along it.
 */
void ngx_http_otpreg_response_time_start(ngx_http_otpreg_ctx_t *ctx);


/*
 * Answer by ctx->outcome and finalize the request, a whole number of
 * otpreg_response_time after the start.  The caller holds a reference
 * (r->main->count); a client that leaves meanwhile gets no answer.
 */
void ngx_http_otpreg_reply_later(ngx_http_request_t *r);

/* The request goes without an answer; also when none is held. */
void ngx_http_otpreg_response_time_cancel(ngx_http_otpreg_ctx_t *ctx);


#endif /* _NGX_HTTP_OTPREG_RESPONSE_TIME_H_INCLUDED_ */
