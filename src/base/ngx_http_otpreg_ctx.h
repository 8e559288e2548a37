
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_CTX_H_INCLUDED_
#define _NGX_HTTP_OTPREG_CTX_H_INCLUDED_


#include "otpreg_outcome.h"
#include "otpreg_seal.h"

#include "ngx_http_otpreg_module.h"


/*
 * The state of a request.  Each part is touched by one file.
 */


/* the fields that have a message of their own on a page */

#define NGX_HTTP_OTPREG_USERNAME     0
#define NGX_HTTP_OTPREG_EMAIL        1
#define NGX_HTTP_OTPREG_PHONE        2
#define NGX_HTTP_OTPREG_CHANNEL      3
#define NGX_HTTP_OTPREG_PASSWORD     4
#define NGX_HTTP_OTPREG_CONFIRM      5
#define NGX_HTTP_OTPREG_OTP          6
#define NGX_HTTP_OTPREG_FIELDS       7

/* an answer that waits for its time; by the monotonic clock, nanoseconds */

typedef struct {
    ngx_queue_t                 queue;
    ngx_http_request_t         *request;        /* NULL: not held */
    int64_t                     start;
    int64_t                     end;
} ngx_http_otpreg_delayed_t;


/* the body of a form: touched by its reader */

typedef struct {
    ngx_str_t                   form;           /* to be wiped */
    ngx_http_request_t         *reading;        /* its body is in buffers */
    u_char                     *preread;        /* where it was in header_in */
    void                      (*act)(ngx_http_request_t *r);
    unsigned                    json:1;
} ngx_http_otpreg_ctx_body_t;


/* what was typed, for the page */

typedef struct {
    ngx_str_t                   username;
    ngx_str_t                   email;
    ngx_str_t                   phone;
    ngx_uint_t                  channel;        /* as chosen, or 0 */
} ngx_http_otpreg_ctx_typed_t;


/* what is known of the form itself, and of a robot */

typedef struct {
    int64_t                     shown_at;       /* Unix ms, or 0 */
    uint8_t                     first_id[OTPREG_ID_LEN];    /* resubmitted */
    ngx_str_t                   solution;       /* of a challenge */
    unsigned                    found:1;
    unsigned                    resubmitted:1;
} ngx_http_otpreg_ctx_robot_t;


/* what the answer says beside its outcome */

typedef struct {
    ngx_uint_t                  attempts_left;
    time_t                      retry_after;    /* seconds */
    time_t                      lifetime;       /* of a new code, or 0 */
    const char                 *argument;       /* for the next page, or NULL */
    unsigned                    json:1;
    unsigned                    has_attempts:1;
    unsigned                    ended:1;        /* the flow is over */
} ngx_http_otpreg_ctx_answer_t;


/* of a background request, which has nobody to answer */

typedef struct {
    ngx_http_otpreg_delivery_t *delivery;       /* a message on its way */
    ngx_http_otpreg_callout_t  *callout;            /* or a callout */
    ngx_http_otpreg_sink_pt     sink;
    void                       *sink_data;
} ngx_http_otpreg_ctx_background_t;


/* the state of a request: made by the handler, found again on its page */

struct ngx_http_otpreg_ctx_s {
    ngx_http_otpreg_loc_conf_t *conf;           /* of the handler's location */
    const ngx_http_otpreg_page_t *page;         /* NULL: in the background */
    const ngx_http_otpreg_flow_t *flow;         /* of the page */
    otpreg_outcome_t            outcome;
    otpreg_outcome_t            fields[NGX_HTTP_OTPREG_FIELDS];
    otpreg_ticket_t             ticket;

    ngx_http_otpreg_ctx_typed_t typed;
    ngx_http_otpreg_ctx_body_t  body;
    ngx_http_otpreg_ctx_robot_t robot;
    ngx_http_otpreg_ctx_answer_t answer;
    ngx_http_otpreg_ctx_background_t background;

    ngx_http_otpreg_delayed_t   delayed;
    ngx_http_otpreg_task_t     *task;           /* the one in flight */

    unsigned                    posted:1;
    unsigned                    has_ticket:1;
    unsigned                    done:1;         /* the outcome is known */
};


/*
 * The context of a request, also after an internal redirect and in its
 * subrequests; NULL when no handler of ours has seen the request.
 */
ngx_http_otpreg_ctx_t *ngx_http_otpreg_get_ctx(ngx_http_request_t *r);

/* The same, made when there is none; NULL when there is no memory. */
ngx_http_otpreg_ctx_t *ngx_http_otpreg_make_ctx(ngx_http_request_t *r);

/* For a variable: a page is in another location than the handler it is of. */
ngx_http_otpreg_loc_conf_t *ngx_http_otpreg_page_conf(ngx_http_request_t *r);


#endif /* _NGX_HTTP_OTPREG_CTX_H_INCLUDED_ */
