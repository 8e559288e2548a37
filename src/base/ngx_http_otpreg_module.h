
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_MODULE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_MODULE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_outcome.h"
#include "otpreg_password.h"
#include "otpreg_seal.h"
#include "otpreg_sms.h"
#include "otpreg_smtp.h"
#include "otpreg_store.h"


/* what a location does */

#define NGX_HTTP_OTPREG_NONE      0
#define NGX_HTTP_OTPREG_PAGE      1
#define NGX_HTTP_OTPREG_COURIER   2
#define NGX_HTTP_OTPREG_STATUS    3


/* the fields that have a message of their own on a page */

#define NGX_HTTP_OTPREG_USERNAME     0
#define NGX_HTTP_OTPREG_EMAIL        1
#define NGX_HTTP_OTPREG_PHONE        2
#define NGX_HTTP_OTPREG_CHANNEL      3
#define NGX_HTTP_OTPREG_PASSWORD     4
#define NGX_HTTP_OTPREG_CONFIRM      5
#define NGX_HTTP_OTPREG_OTP          6
#define NGX_HTTP_OTPREG_FIELDS       7

/* the first of them identify a user: otpreg_fields says which a form has */
#define NGX_HTTP_OTPREG_IDENTIFIERS  3


typedef enum {
    NGX_HTTP_OTPREG_ABSENT = 0,
    NGX_HTTP_OTPREG_OPTIONAL,
    NGX_HTTP_OTPREG_REQUIRED
} ngx_http_otpreg_presence_e;


/* what is limited, of a client and in sum */

typedef enum {
    NGX_HTTP_OTPREG_LIMIT_REGISTER = 0,
    NGX_HTTP_OTPREG_LIMIT_VERIFY,
    NGX_HTTP_OTPREG_LIMIT_RESEND,
    NGX_HTTP_OTPREG_LIMIT_WRONG,        /* codes that were wrong */
    NGX_HTTP_OTPREG_LIMIT_STATUS,       /* looks at what became of a code */
    NGX_HTTP_OTPREG_LIMITS
} ngx_http_otpreg_limit_e;


typedef struct {
    ngx_uint_t                  count;          /* 0: no limit */
    time_t                      period;         /* seconds */
} ngx_http_otpreg_limit_t;


/* an IPv6 network may do so many times what one client may */

#define NGX_HTTP_OTPREG_LIMIT_NETWORKS  4

typedef struct {
    ngx_uint_t                  bits;
    ngx_uint_t                  multiple;
} ngx_http_otpreg_limit_network_t;


/* mail and SMS: a courier, a template and a queue each */
#define NGX_HTTP_OTPREG_CHANNELS     2


static ngx_inline const char *
ngx_http_otpreg_channel_name(otpreg_channel_t channel)
{
    return (channel == OTPREG_CHANNEL_SMS) ? "sms" : "email";
}


/* the cookie outlives the code: an expired one can be sent anew */
#define NGX_HTTP_OTPREG_COOKIE_AGE  86400

/* the largest request body, bytes */
#define NGX_HTTP_OTPREG_BODY_MAX  16384


typedef struct ngx_http_otpreg_page_s  ngx_http_otpreg_page_t;
typedef struct ngx_http_otpreg_realm_s  ngx_http_otpreg_realm_t;
typedef struct ngx_http_otpreg_delivery_s  ngx_http_otpreg_delivery_t;
typedef struct ngx_http_otpreg_task_s  ngx_http_otpreg_task_t;
typedef struct ngx_http_otpreg_callout_s  ngx_http_otpreg_callout_t;
typedef struct ngx_http_otpreg_languages_s  ngx_http_otpreg_languages_t;


/*
 * What the pages of a flow have in common.  The URIs are offsets of a
 * ngx_http_complex_value_t * in the configuration of a location.
 */

typedef struct {
    otpreg_purpose_t            purpose;    /* of its codes */
    const char                 *cookie;     /* the name, without "__Host-" */
    size_t                      begin_uri;  /* the page that begins it */
    size_t                      verify_uri; /* the page for the code */
    size_t                      end_uri;    /* where to when it is over */
} ngx_http_otpreg_flow_t;


/* a service that is asked during a sign-up */

typedef struct {
    ngx_str_t                   uri;        /* of its location */
    ngx_msec_t                  time;       /* for an answer */
    ngx_uint_t                  open;       /* without one: go on */
    ngx_http_complex_value_t   *when;       /* NULL: always */
} ngx_http_otpreg_callout_conf_t;


/* what a handler does next */
typedef void (*ngx_http_otpreg_next_pt)(ngx_http_request_t *r, void *data);

/* takes a piece of an answer */
typedef void (*ngx_http_otpreg_sink_pt)(void *data, const u_char *p,
    size_t len);


typedef enum {
    NGX_HTTP_OTPREG_POOL_HASH = 0,
    NGX_HTTP_OTPREG_POOL_DATABASE,
    NGX_HTTP_OTPREG_POOL_MAIL,
    NGX_HTTP_OTPREG_POOLS
} ngx_http_otpreg_pool_e;


typedef struct {
    ngx_array_t                 realms;         /* ngx_http_otpreg_realm_t * */
    ngx_array_t                 databases;  /* otpreg_db_conf_t *: unequal */
    ngx_array_t                 secrets;    /* ngx_str_t, see secret.h */
    ngx_array_t                *sites;      /* at start only, see missing.h */
    ngx_str_t                   pool_names[NGX_HTTP_OTPREG_POOLS];
    ngx_thread_pool_t          *pools[NGX_HTTP_OTPREG_POOLS];
    ngx_int_t                   lang_index;     /* of $otpreg_lang */
    ngx_shm_zone_t             *metrics;
    ngx_shm_zone_t             *limit_zone;
    size_t                      limit_zone_size;

                                                /* the widest first */
    ngx_http_otpreg_limit_network_t
                                limit_networks[NGX_HTTP_OTPREG_LIMIT_NETWORKS];
    ngx_uint_t                  nlimit_networks;
} ngx_http_otpreg_main_conf_t;


typedef struct {
    ngx_uint_t                  role;
    ngx_http_handler_pt         handler;
    u_char                     *file;       /* of the handler's directive */
    ngx_uint_t                  line;

    const ngx_http_otpreg_page_t *page;         /* of a page: its row */
    ngx_http_complex_value_t   *page_uri;       /* what it shows */
    ngx_http_complex_value_t   *register_uri;
    ngx_http_complex_value_t   *verify_uri;
    ngx_http_complex_value_t   *resend_uri;
    ngx_http_complex_value_t   *login_uri;
    ngx_http_complex_value_t   *site_name;      /* for people, or empty */

    otpreg_db_conf_t           *database;
    otpreg_keys_t              *keys;
    ngx_str_t                   site;

    ngx_http_otpreg_presence_e  identifiers[NGX_HTTP_OTPREG_IDENTIFIERS];
    ngx_flag_t                  username_address;   /* may be like one */
    ngx_uint_t                  channel;        /* the default */
    ngx_array_t                *countries;      /* NULL: any */

    ngx_array_t                *couriers[NGX_HTTP_OTPREG_CHANNELS];
                                                /* ngx_str_t, in this order */
    ngx_http_complex_value_t   *mail_text;
    ngx_http_complex_value_t   *mail_html;
    ngx_http_complex_value_t   *sms_text;
    ngx_str_t                   sms_origin;

    ngx_uint_t                  code_length;    /* digits */
    time_t                      code_lifetime;  /* seconds */
    ngx_uint_t                  code_attempts;
    ngx_flag_t                  verify_all;     /* email and phone, both */
    time_t                      resend_delay;   /* seconds */
    otpreg_store_limits_t      *limits;         /* of one address */
    ngx_http_otpreg_limit_t     client_limits[NGX_HTTP_OTPREG_LIMITS];
    ngx_http_otpreg_limit_t     global_limits[NGX_HTTP_OTPREG_LIMITS];
    uint32_t                    limit_scope;
    otpreg_store_sms_limits_t   sms_limits;
    otpreg_store_mail_limits_t  mail_limits;

    ngx_uint_t                  password_min;   /* code points */
    ngx_uint_t                  password_max;
    otpreg_blocklist_t         *blocklist;
    size_t                      hash_memory;    /* bytes */
    ngx_uint_t                  hash_operations;

    ngx_str_t                   honeypot;       /* a field; empty: none */
    ngx_msec_t                  form_min;       /* to fill it in; 0: any */
    time_t                      form_max;       /* seconds */
    ngx_shm_zone_t             *used_forms;           /* forms that were used */
    ngx_http_otpreg_callout_conf_t *challenge;      /* NULL: none */
    ngx_http_otpreg_callout_conf_t *breach;         /* NULL: none */

    ngx_msec_t                  response_time;  /* 0: at once */
    ngx_flag_t                  cookie_secure;
    ngx_http_complex_value_t   *csp;            /* empty: no header */

    ngx_http_otpreg_languages_t *languages;     /* NULL: English only */

    otpreg_smtp_conf_t         *smtp;
    ngx_array_t                *rules;          /* of a courier, see verdict */
    ngx_http_otpreg_realm_t    *realm;
} ngx_http_otpreg_loc_conf_t;


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

typedef struct {
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
} ngx_http_otpreg_ctx_t;


static ngx_inline otpreg_str_t
ngx_http_otpreg_str(const ngx_str_t *s)
{
    return (otpreg_str_t) { s->data, s->len };
}


/* Unix milliseconds, for the order of ids only */

static ngx_inline uint64_t
ngx_http_otpreg_now_ms(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/*
 * The context of a request, also after an internal redirect and in its
 * subrequests; NULL when no handler of ours has seen the request.
 */
ngx_http_otpreg_ctx_t *ngx_http_otpreg_get_ctx(ngx_http_request_t *r);

/* The same, made when there is none; NULL when there is no memory. */
ngx_http_otpreg_ctx_t *ngx_http_otpreg_make_ctx(ngx_http_request_t *r);

/* For a variable: a page is in another location than the handler it is of. */
ngx_http_otpreg_loc_conf_t *ngx_http_otpreg_page_conf(ngx_http_request_t *r);


extern ngx_module_t  ngx_http_otpreg_module;


#endif /* _NGX_HTTP_OTPREG_MODULE_H_INCLUDED_ */
