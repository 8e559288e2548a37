
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_CALLOUT_H_INCLUDED_
#define _NGX_HTTP_OTPREG_CALLOUT_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * Ask another service by a location, and go on with what it answered.  The
 * question is a background request, so that it ends when its time is over, and
 * that a client who leaves does not matter.  Thread: event loop.
 */


/* told once, when the question is over; must end as a resume of task.h */

typedef void (*ngx_http_otpreg_answered_pt)(ngx_http_request_t *r,
    ngx_http_otpreg_callout_t *callout);


struct ngx_http_otpreg_callout_s {

    /* by the caller; all of it lives in r->pool */

    ngx_str_t                   uri;
    ngx_str_t                  *body;       /* JSON to POST; NULL: GET */
    ngx_msec_t                  time;       /* for all of it */
    size_t                      max;        /* bytes of the answer */
    ngx_str_t                   variable;   /* what the location is told */
    uintptr_t                   kind;       /* whose variable that is */
    ngx_http_otpreg_sink_pt     sink;       /* sees the answer */
    ngx_http_otpreg_answered_pt asked;
    void                       *data;       /* of both */

    /* what came of it: 0 for no answer, one cut off, or one too large */

    ngx_uint_t                  status;

    /* of callout.c */

    ngx_http_request_t         *request;    /* who waits */
    ngx_http_request_t         *background;
    ngx_http_request_t         *subrequest;
    off_t                       received;
    off_t                       length;     /* by Content-Length, or -1 */
    ngx_event_t                 over;
    unsigned                    complete:1;
    unsigned                    large:1;
};


/*
 * Ask.  The caller holds a reference, as after reading the body.
 *
 * NGX_AGAIN: asked is called later, never from within; NGX_ERROR: it is not.
 */
ngx_int_t ngx_http_otpreg_callout(ngx_http_request_t *r,
    ngx_http_otpreg_callout_t *callout);


/* the variable of such a location; data is the kind */
ngx_int_t ngx_http_otpreg_callout_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);

#define NGX_HTTP_OTPREG_CALLOUT_CHALLENGE  1
#define NGX_HTTP_OTPREG_CALLOUT_BREACH     2

char *ngx_http_otpreg_set_callout(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_OTPREG_CALLOUT_H_INCLUDED_ */
