
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_LOC_CONF_H_INCLUDED_
#define _NGX_HTTP_OTPREG_LOC_CONF_H_INCLUDED_


#include "otpreg_password.h"
#include "otpreg_seal.h"
#include "otpreg_smtp.h"
#include "otpreg_store.h"

#include "ngx_http_otpreg_module.h"


/*
 * What a configuration says, when it is merged.
 */


/* what a location does */

#define NGX_HTTP_OTPREG_NONE      0
#define NGX_HTTP_OTPREG_PAGE      1
#define NGX_HTTP_OTPREG_COURIER   2
#define NGX_HTTP_OTPREG_STATUS    3


/* the first fields identify a user: otpreg_fields says which a form has */
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


/* a service that is asked during a sign-up */

typedef struct {
    ngx_str_t                   uri;        /* of its location */
    ngx_msec_t                  time;       /* for an answer */
    ngx_uint_t                  open;       /* without one: go on */
    ngx_http_complex_value_t   *when;       /* NULL: always */
} ngx_http_otpreg_callout_conf_t;


struct ngx_http_otpreg_main_conf_s {
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
};


struct ngx_http_otpreg_loc_conf_s {
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
};


#endif /* _NGX_HTTP_OTPREG_LOC_CONF_H_INCLUDED_ */
