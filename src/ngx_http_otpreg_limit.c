
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_limit_zone.h"
#include "ngx_http_otpreg_metric.h"


/* a full zone is told so often, ms */
#define NGX_HTTP_OTPREG_LIMIT_WARN_TIME   60000


enum {
    NGX_HTTP_OTPREG_LIMIT_MET_CLIENT = 0,
    NGX_HTTP_OTPREG_LIMIT_MET_GLOBAL,
    NGX_HTTP_OTPREG_LIMIT_FULL
};


/* one request that wants to be counted */

typedef struct {
    ngx_http_otpreg_limit_e         kind;
    const ngx_http_otpreg_limit_t  *client;
    const ngx_http_otpreg_limit_t  *global;
    ngx_http_otpreg_limit_hold_t    hold;
    ngx_msec_t                      now;
    ngx_msec_int_t                  wait;       /* ms, of what is refused */
    unsigned                        met[3];     /* which limits it met */
    unsigned                        warn[3];    /* and shall be told of */
} ngx_http_otpreg_limit_try_t;


static void ngx_http_otpreg_limit_begin(ngx_http_request_t *r,
    ngx_http_otpreg_limit_e kind, ngx_http_otpreg_limit_try_t *try);
static void ngx_http_otpreg_limit_client(struct sockaddr *sa,
    ngx_http_otpreg_limit_key_t *key);
static otpreg_outcome_t ngx_http_otpreg_limit_count(
    ngx_http_otpreg_limit_zone_t *zone, ngx_http_otpreg_limit_try_t *try);
static void ngx_http_otpreg_limit_met(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_try_t *try, ngx_uint_t what, time_t period);
static void ngx_http_otpreg_limit_tell(ngx_http_request_t *r,
    ngx_http_otpreg_limit_try_t *try);


otpreg_outcome_t
ngx_http_otpreg_limit(ngx_http_request_t *r, ngx_http_otpreg_limit_e kind,
    ngx_http_otpreg_limit_hold_t *hold)
{
    otpreg_outcome_t               outcome;
    ngx_http_otpreg_limit_try_t    try;
    ngx_http_otpreg_limit_zone_t  *zone;

    ngx_http_otpreg_limit_begin(r, kind, &try);

    outcome = OTPREG_OK;

    if (try.client->count || try.global->count) {

        zone = try.hold.zone->data;

        ngx_shmtx_lock(&zone->pool->mutex);
        outcome = ngx_http_otpreg_limit_count(zone, &try);
        ngx_shmtx_unlock(&zone->pool->mutex);

        ngx_http_otpreg_limit_tell(r, &try);
    }

    if (outcome == OTPREG_CLIENT_LIMIT) {
        ngx_http_otpreg_get_ctx(r)->retry_after = (try.wait + 999) / 1000;
    }

    if (hold != NULL) {
        *hold = try.hold;
    }

    return outcome;
}


/* keys without a period are not counted (yet) */

static void
ngx_http_otpreg_limit_begin(ngx_http_request_t *r,
    ngx_http_otpreg_limit_e kind, ngx_http_otpreg_limit_try_t *try)
{
    ngx_http_otpreg_loc_conf_t   *olcf;
    ngx_http_otpreg_main_conf_t  *omcf;

    olcf = ngx_http_otpreg_get_ctx(r)->conf;
    omcf = ngx_http_get_module_main_conf(r, ngx_http_otpreg_module);

    ngx_memzero(try, sizeof(ngx_http_otpreg_limit_try_t));

    try->kind = kind;
    try->client = &olcf->client_limits[kind];
    try->global = &olcf->global_limits[kind];
    try->now = ngx_current_msec;

    try->hold.zone = omcf->limit_zone;

    try->hold.global.scope = olcf->limit_scope;
    try->hold.global.kind = kind;

    try->hold.client = try->hold.global;
    ngx_http_otpreg_limit_client(r->connection->sockaddr, &try->hold.client);
}


/*
 * Who has an IPv6 address has a /64 of them.  An IPv4 address is the same one
 * when it comes mapped (RFC 4291) or translated (RFC 6052) into IPv6: else all
 * of IPv4 would be one client.
 */

static void
ngx_http_otpreg_limit_client(struct sockaddr *sa,
    ngx_http_otpreg_limit_key_t *key)
{
    struct sockaddr_in   *sin;
#if (NGX_HAVE_INET6)
    u_char               *p;
    struct sockaddr_in6  *sin6;

    static const u_char  mapped[12] = {
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff
    };

    static const u_char  translated[12] = { 0, 0x64, 0xff, 0x9b };
#endif

    switch (sa->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        p = sin6->sin6_addr.s6_addr;

        if (ngx_memcmp(p, mapped, 12) == 0
            || ngx_memcmp(p, translated, 12) == 0)
        {
            key->family = NGX_HTTP_OTPREG_LIMIT_INET;
            ngx_memcpy(key->block, p + 12, 4);
            return;
        }

        key->family = NGX_HTTP_OTPREG_LIMIT_INET6;
        ngx_memcpy(key->block, p, 8);
        return;
#endif

    case AF_INET:
        sin = (struct sockaddr_in *) sa;
        key->family = NGX_HTTP_OTPREG_LIMIT_INET;
        ngx_memcpy(key->block, &sin->sin_addr.s_addr, 4);
        return;

    default:
        key->family = NGX_HTTP_OTPREG_LIMIT_UNIX;
    }
}


static otpreg_outcome_t
ngx_http_otpreg_limit_count(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_try_t *try)
{
    ngx_uint_t                      max, reached;
    ngx_http_otpreg_limit_hold_t   *hold;
    ngx_http_otpreg_limit_entry_t  *client, *global;

    hold = &try->hold;
    max = try->client->count ? try->client->count : NGX_MAX_UINT32_VALUE;
    client = global = NULL;
    reached = 0;

    if (try->global->count) {
        hold->global.period = try->global->period;
        global = ngx_http_otpreg_limit_zone_open(zone, &hold->global,
                                                 try->now);

        if (global != NULL && global->count >= try->global->count) {
            reached = 1;
            max = 1;
        }
    }

    if (try->client->count || reached) {
        hold->client.period = try->client->count ? try->client->period
                                                 : try->global->period;
        client = ngx_http_otpreg_limit_zone_open(zone, &hold->client,
                                                 try->now);

        if (client == NULL) {
            ngx_http_otpreg_limit_met(zone, try, NGX_HTTP_OTPREG_LIMIT_FULL,
                                      0);
            hold->client.period = 0;

            /* a guess is counted at least in sum, a mere look need not be */

            if (try->kind != NGX_HTTP_OTPREG_LIMIT_VERIFY
                && (try->kind != NGX_HTTP_OTPREG_LIMIT_WRONG || reached
                    || global == NULL))
            {
                hold->global.period = 0;
                return OTPREG_BUSY;
            }
        }
    }

    if (reached) {
        ngx_http_otpreg_limit_met(zone, try, NGX_HTTP_OTPREG_LIMIT_MET_GLOBAL,
                                  try->global->period);
    }

    if (client != NULL && client->count >= max) {

        try->wait = client->expiry.key - try->now;

        if (try->client->count && client->count >= try->client->count) {
            ngx_http_otpreg_limit_met(zone, try,
                                      NGX_HTTP_OTPREG_LIMIT_MET_CLIENT,
                                      try->client->period);
        } else {
            try->wait = ngx_min(try->wait, (ngx_msec_int_t)
                                           (global->expiry.key - try->now));
        }

        hold->client.period = 0;
        hold->global.period = 0;

        return OTPREG_CLIENT_LIMIT;
    }

    if (client != NULL) {
        client->count++;
        hold->client_expires = client->expiry.key;
    }

    if (global != NULL) {
        global->count++;
        hold->global_expires = global->expiry.key;
    }

    return OTPREG_OK;
}


/* a limit that many clients meet is told once in its period */

static void
ngx_http_otpreg_limit_met(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_try_t *try, ngx_uint_t what, time_t period)
{
    try->met[what] = 1;

    if (zone->warned[what][try->kind]
        && (ngx_msec_int_t) (zone->warn[what][try->kind] - try->now) > 0)
    {
        return;
    }

    try->warn[what] = 1;

    zone->warned[what][try->kind] = 1;
    zone->warn[what][try->kind] = try->now + (period ? period * 1000
                                     : NGX_HTTP_OTPREG_LIMIT_WARN_TIME);
}


static void
ngx_http_otpreg_limit_tell(ngx_http_request_t *r,
    ngx_http_otpreg_limit_try_t *try)
{
    const char  *name;

    name = ngx_http_otpreg_limit_names[try->kind];

    if (try->met[NGX_HTTP_OTPREG_LIMIT_MET_CLIENT]) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_CLIENT_REGISTER
                                   + try->kind, 1);
    }

    if (try->met[NGX_HTTP_OTPREG_LIMIT_MET_GLOBAL]) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_GLOBAL_REGISTER
                                   + try->kind, 1);
    }

    if (try->met[NGX_HTTP_OTPREG_LIMIT_FULL]) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_ZONE_FULL, 1);
    }

    if (try->warn[NGX_HTTP_OTPREG_LIMIT_MET_CLIENT]) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "otpreg: a client reached the limit %s=%ui/%Ts",
                      name, try->client->count,
                      try->client->period);
    }

    if (try->warn[NGX_HTTP_OTPREG_LIMIT_MET_GLOBAL]) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "otpreg: all clients together reached the limit "
                      "%s=%ui/%Ts, each new one has one request left",
                      name, try->global->count,
                      try->global->period);
    }

    if (try->warn[NGX_HTTP_OTPREG_LIMIT_FULL]) {
        ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                      "otpreg: \"otpreg_limit_zone\" is full, \"%s\" of new "
                      "clients cannot be counted", name);
    }
}


void
ngx_http_otpreg_limit_give_back(ngx_http_otpreg_limit_hold_t *hold)
{
    ngx_http_otpreg_limit_zone_t   *zone;
    ngx_http_otpreg_limit_entry_t  *entry;

    if (hold->client.period == 0 && hold->global.period == 0) {
        return;
    }

    zone = hold->zone->data;

    ngx_shmtx_lock(&zone->pool->mutex);

    /* not in a period that began since */

    if (hold->client.period) {
        entry = ngx_http_otpreg_limit_zone_find(zone, &hold->client);

        if (entry != NULL && entry->expiry.key == hold->client_expires
            && entry->count)
        {
            entry->count--;
        }
    }

    if (hold->global.period) {
        entry = ngx_http_otpreg_limit_zone_find(zone, &hold->global);

        if (entry != NULL && entry->expiry.key == hold->global_expires
            && entry->count)
        {
            entry->count--;
        }
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    hold->client.period = 0;
    hold->global.period = 0;
}


ngx_uint_t
ngx_http_otpreg_limit_is_hot(ngx_http_request_t *r)
{
    ngx_uint_t                      hot;
    ngx_http_otpreg_ctx_t          *ctx;
    ngx_http_otpreg_limit_try_t     try;
    ngx_http_otpreg_limit_zone_t   *zone;
    ngx_http_otpreg_limit_entry_t  *entry;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL || ctx->dispatch != NULL) {
        return 0;                               /* no client is there */
    }

    ngx_http_otpreg_limit_begin(r, NGX_HTTP_OTPREG_LIMIT_REGISTER, &try);

    try.hold.client.period = try.client->period;
    try.hold.global.period = try.global->period;

    zone = try.hold.zone->data;
    hot = 0;

    ngx_shmtx_lock(&zone->pool->mutex);

    if (try.client->count) {
        entry = ngx_http_otpreg_limit_zone_find(zone, &try.hold.client);

        hot = entry != NULL && !ngx_http_otpreg_limit_is_over(entry, try.now)
              && entry->count * 2 > try.client->count;
    }

    if (try.global->count && !hot) {
        entry = ngx_http_otpreg_limit_zone_find(zone, &try.hold.global);

        hot = entry != NULL && !ngx_http_otpreg_limit_is_over(entry, try.now)
              && entry->count * 2 > try.global->count;
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    return hot;
}


ngx_int_t
ngx_http_otpreg_limit_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    v->valid = 1;
    v->no_cacheable = 1;
    v->not_found = 0;
    v->data = (u_char *) "1";
    v->len = ngx_http_otpreg_limit_is_hot(r) ? 1 : 0;

    return NGX_OK;
}
