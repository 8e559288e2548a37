
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_LIMIT_H_INCLUDED_
#define _NGX_HTTP_OTPREG_LIMIT_H_INCLUDED_


#include "otpreg_outcome.h"

#include "ngx_http_otpreg_loc_conf.h"


/*
 * The room "guard": what says no before and beside a flow: limits of clients
 * and of all, budgets of addresses, SMS and mails, robots, challenges,
 * passwords that were stolen.  Not here: what a client is told of it (flow);
 * what is counted in the database is counted there (store).
 */


/*
 * How often a client may do something, and all clients of a site together, on
 * this node: counted in shared memory, exactly, over workers and reloads.
 *
 * A client is an IPv4 address or an IPv6 /64, as nginx's realip left it; the
 * wider networks that it is in are counted as well, against a multiple of its
 * limit.  A period begins with the first request that is counted in it; what is
 * refused is not counted.  When a global limit is reached nobody is locked out:
 * each client that has done nothing in its own period may do it once, as long
 * as its networks have not done so by that multiple.
 */


#define NGX_HTTP_OTPREG_LIMIT_GLOBAL      0
#define NGX_HTTP_OTPREG_LIMIT_UNIX        1
#define NGX_HTTP_OTPREG_LIMIT_INET        4
#define NGX_HTTP_OTPREG_LIMIT_INET6       6

/* of a request: all clients together, its networks, itself */
#define NGX_HTTP_OTPREG_LIMIT_COUNTERS    (NGX_HTTP_OTPREG_LIMIT_NETWORKS + 2)


/*
 * A look into the counters of this request's client and site that counts
 * nothing: true while one of them is above the half of its limit for
 * NGX_HTTP_OTPREG_LIMIT_REGISTER, as when a robot signs up.  For any request
 * of a handler or its page, also GET; false in others, and when the limits are
 * off.  Thread: event loop; takes the zone's mutex.
 */
ngx_uint_t ngx_http_otpreg_limit_is_hot(ngx_http_request_t *r);

/* $otpreg_limit_hot */
ngx_int_t ngx_http_otpreg_limit_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


/* of a counter; compared and hashed as bytes */

typedef struct {
    uint32_t                    scope;          /* site and database */
    uint32_t                    period;         /* seconds */
    u_char                      kind;
    u_char                      family;
    u_char                      network;        /* bits; 0: a client */
    u_char                      pad;
    u_char                      block[12];      /* all zero: global */
} ngx_http_otpreg_limit_key_t;


/* what was counted, and in which periods, so that it can be given back */

typedef struct {
    ngx_shm_zone_t             *zone;
    ngx_uint_t                  n;              /* 0: nothing was counted */
    ngx_http_otpreg_limit_key_t keys[NGX_HTTP_OTPREG_LIMIT_COUNTERS];
    ngx_msec_t                  expires[NGX_HTTP_OTPREG_LIMIT_COUNTERS];
} ngx_http_otpreg_reservation_t;


/*
 * Count a request, if the limits allow it: check and count are one.
 *
 * taken  [out]  may be NULL
 *
 * OTPREG_OK; OTPREG_CLIENT_LIMIT, with ctx->answer.retry_after; OTPREG_BUSY:
 * the zone is too small for the global counters alone.  Logs and counts what
 * it refuses.  Thread: event loop.
 */
otpreg_outcome_t ngx_http_otpreg_limit(ngx_http_request_t *r,
    ngx_http_otpreg_limit_e kind, ngx_http_otpreg_reservation_t *taken);


/*
 * It was not what is limited after all, as a code that was right; also when
 * nothing is held.
 */
void ngx_http_otpreg_limit_give_back(ngx_http_otpreg_reservation_t *taken);

/*
 * It hurts nobody but who did it, as a try on a code that was dead before: the
 * counter of all clients together is as if it had not been, and the others
 * keep it.  Also when nothing is held.
 */
void ngx_http_otpreg_limit_give_back_global(
    ngx_http_otpreg_reservation_t *taken);


/*
 * Who a client is: the family and the block of its key.  An IPv4 address is the
 * same client when it comes mapped or translated into IPv6 or through a tunnel
 * whose addresses hold it (6to4, Teredo).
 */
void ngx_http_otpreg_limit_client(const struct sockaddr *sa,
    ngx_http_otpreg_limit_key_t *key);

/* The network of so many bits around a client of IPv6, by the key of that. */
void ngx_http_otpreg_limit_network(const ngx_http_otpreg_limit_key_t *client,
    ngx_uint_t bits, ngx_http_otpreg_limit_key_t *key);


/* "register", ... by ngx_http_otpreg_limit_e */
extern const char *const  ngx_http_otpreg_limit_names[];


/* configuration: see ngx_http_otpreg_limit_conf.c */

char *ngx_http_otpreg_set_limit_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

char *ngx_http_otpreg_set_limit_networks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* What holds where the directive is not there. */
void ngx_http_otpreg_limit_default_networks(ngx_http_otpreg_main_conf_t *omcf);

/* otpreg_client_limit and otpreg_global_limit: cmd->offset is the field's */
char *ngx_http_otpreg_set_limits(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

void ngx_http_otpreg_limit_unset(ngx_http_otpreg_loc_conf_t *conf);
void ngx_http_otpreg_limit_merge(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev);

/* The zone and the scope of a location with a handler; NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_otpreg_limit_complete(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf);

/* "5/h", also "5/30m": NGX_OK, or NGX_ERROR */
ngx_int_t ngx_http_otpreg_limit_parse(const ngx_str_t *value,
    ngx_int_t count_max, time_t period_max, ngx_int_t *count,
    time_t *period);


#endif /* _NGX_HTTP_OTPREG_LIMIT_H_INCLUDED_ */
