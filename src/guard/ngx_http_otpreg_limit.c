
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_limit_zone.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"


/* a full zone is told so often, ms */
#define NGX_HTTP_OTPREG_LIMIT_WARN_TIME   60000


/* one request that wants to be counted */

typedef struct {
    ngx_http_otpreg_limit_e         kind;
    const ngx_http_otpreg_limit_t  *client;
    const ngx_http_otpreg_limit_t  *global;
    ngx_shm_zone_t                 *zone;
    ngx_msec_t                      now;

    /* all clients together, the networks, and the client, in this order */
    ngx_http_otpreg_limit_key_t     keys[NGX_HTTP_OTPREG_LIMIT_COUNTERS];
    ngx_uint_t                      multiples[NGX_HTTP_OTPREG_LIMIT_COUNTERS];
    ngx_uint_t                      n;
    ngx_http_otpreg_limit_entry_t  *entries[NGX_HTTP_OTPREG_LIMIT_COUNTERS];

    ngx_msec_int_t                  wait;       /* ms, of what is refused */
    unsigned                        met[NGX_HTTP_OTPREG_LIMIT_METS];
    unsigned                        warn[NGX_HTTP_OTPREG_LIMIT_METS];
} ngx_http_otpreg_limit_try_t;


static void ngx_http_otpreg_limit_begin(ngx_http_request_t *r,
    ngx_http_otpreg_limit_e kind, ngx_http_otpreg_limit_try_t *try);
static otpreg_outcome_t ngx_http_otpreg_limit_count(
    ngx_http_otpreg_limit_zone_t *zone, ngx_http_otpreg_limit_try_t *try,
    ngx_http_otpreg_reservation_t *taken);
static otpreg_outcome_t ngx_http_otpreg_limit_check(
    ngx_http_otpreg_limit_zone_t *zone, ngx_http_otpreg_limit_try_t *try);
static otpreg_outcome_t ngx_http_otpreg_limit_check_client(
    ngx_http_otpreg_limit_zone_t *zone, ngx_http_otpreg_limit_try_t *try,
    ngx_uint_t reached);
static void ngx_http_otpreg_limit_met(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_try_t *try, ngx_http_otpreg_limit_met_e what,
    time_t period);
static void ngx_http_otpreg_limit_tell(ngx_http_request_t *r,
    ngx_http_otpreg_limit_try_t *try);
static void ngx_http_otpreg_limit_uncount(ngx_http_otpreg_reservation_t *taken,
    ngx_uint_t n);


otpreg_outcome_t
ngx_http_otpreg_limit(ngx_http_request_t *r, ngx_http_otpreg_limit_e kind,
    ngx_http_otpreg_reservation_t *taken)
{
    otpreg_outcome_t               outcome;
    ngx_http_otpreg_limit_try_t    try;
    ngx_http_otpreg_limit_zone_t  *zone;

    ngx_http_otpreg_limit_begin(r, kind, &try);

    if (taken != NULL) {
        taken->n = 0;
    }

    if (try.client->count == 0 && try.global->count == 0) {
        return OTPREG_OK;
    }

    zone = try.zone->data;

    ngx_shmtx_lock(&zone->pool->mutex);
    outcome = ngx_http_otpreg_limit_count(zone, &try, taken);
    ngx_shmtx_unlock(&zone->pool->mutex);

    ngx_http_otpreg_limit_tell(r, &try);

    if (outcome == OTPREG_CLIENT_LIMIT) {
        ngx_http_otpreg_get_ctx(r)->answer.retry_after = (try.wait + 999)
                                                         / 1000;
    }

    return outcome;
}


static void
ngx_http_otpreg_limit_begin(ngx_http_request_t *r,
    ngx_http_otpreg_limit_e kind, ngx_http_otpreg_limit_try_t *try)
{
    ngx_uint_t                        i;
    ngx_http_otpreg_loc_conf_t       *olcf;
    ngx_http_otpreg_main_conf_t      *omcf;
    ngx_http_otpreg_limit_key_t      *key, client;
    ngx_http_otpreg_limit_network_t  *network;

    olcf = ngx_http_otpreg_get_ctx(r)->conf;
    omcf = ngx_http_get_module_main_conf(r, ngx_http_otpreg_module);

    ngx_memzero(try, sizeof(ngx_http_otpreg_limit_try_t));

    try->kind = kind;
    try->client = &olcf->client_limits[kind];
    try->global = &olcf->global_limits[kind];
    try->zone = omcf->limit_zone;
    try->now = ngx_current_msec;

    key = &try->keys[0];
    key->scope = olcf->limit_scope;
    key->kind = kind;
    key->period = try->global->period;

    /* while a global limit is reached, it is the client's as well */

    client = *key;
    ngx_http_otpreg_limit_client(r->connection->sockaddr, &client);

    if (try->client->count) {
        client.period = try->client->period;
    }

    try->n = 1;

    if (client.family == NGX_HTTP_OTPREG_LIMIT_INET6) {

        for (i = 0; i < omcf->nlimit_networks; i++) {
            network = &omcf->limit_networks[i];

            ngx_http_otpreg_limit_network(&client, network->bits,
                                          &try->keys[try->n]);
            try->multiples[try->n++] = network->multiple;
        }
    }

    try->keys[try->n] = client;
    try->multiples[try->n++] = 1;
}


static otpreg_outcome_t
ngx_http_otpreg_limit_count(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_try_t *try, ngx_http_otpreg_reservation_t *taken)
{
    ngx_uint_t        i;
    otpreg_outcome_t  outcome;

    ngx_http_otpreg_limit_zone_begin(zone);

    outcome = ngx_http_otpreg_limit_check(zone, try);

    if (zone->forgotten) {
        ngx_http_otpreg_limit_met(zone, try, NGX_HTTP_OTPREG_LIMIT_MET_FULL,
                                  0);
    }

    if (outcome != OTPREG_OK) {
        return outcome;
    }

    for (i = 0; i < try->n; i++) {

        if (try->entries[i] == NULL) {
            continue;
        }

        ngx_http_otpreg_limit_zone_count(zone, try->entries[i]);

        if (taken != NULL) {
            taken->zone = try->zone;
            taken->keys[taken->n] = try->keys[i];
            taken->expires[taken->n++] = try->entries[i]->expiry.key;
        }
    }

    return OTPREG_OK;
}


static otpreg_outcome_t
ngx_http_otpreg_limit_check(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_try_t *try)
{
    ngx_uint_t                      reached;
    ngx_http_otpreg_limit_entry_t  *global;

    reached = 0;

    if (try->global->count) {
        global = ngx_http_otpreg_limit_zone_open(zone, &try->keys[0],
                                                 try->now);

        if (global == NULL) {
            ngx_http_otpreg_limit_met(zone, try,
                                      NGX_HTTP_OTPREG_LIMIT_MET_FULL, 0);
            return OTPREG_BUSY;
        }

        try->entries[0] = global;

        if (global->count >= try->global->count) {
            reached = 1;
            ngx_http_otpreg_limit_met(zone, try,
                                      NGX_HTTP_OTPREG_LIMIT_MET_GLOBAL,
                                      try->global->period);
        }
    }

    if (try->client->count == 0 && !reached) {
        return OTPREG_OK;
    }

    return ngx_http_otpreg_limit_check_client(zone, try, reached);
}


/*
 * The widest network first: once it has used up what it may, no address of it
 * gets a counter of its own.
 */

static otpreg_outcome_t
ngx_http_otpreg_limit_check_client(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_try_t *try, ngx_uint_t reached)
{
    uint64_t                        max, own;
    ngx_uint_t                      i;
    ngx_http_otpreg_limit_entry_t  *entry;

    for (i = 1; i < try->n; i++) {
        entry = ngx_http_otpreg_limit_zone_open(zone, &try->keys[i],
                                                try->now);

        if (entry == NULL) {
            ngx_http_otpreg_limit_met(zone, try,
                                      NGX_HTTP_OTPREG_LIMIT_MET_FULL, 0);
            return OTPREG_BUSY;
        }

        try->entries[i] = entry;

        own = (uint64_t) try->client->count * try->multiples[i];
        max = reached ? try->multiples[i] : own;

        if (entry->count < max) {
            continue;
        }

        try->wait = entry->expiry.key - try->now;

        if (own != 0 && entry->count >= own) {
            ngx_http_otpreg_limit_met(zone, try,
                                      (i == try->n - 1)
                                      ? NGX_HTTP_OTPREG_LIMIT_MET_CLIENT
                                      : NGX_HTTP_OTPREG_LIMIT_MET_NETWORK,
                                      try->client->period);
        } else {
            try->wait = ngx_min(try->wait, (ngx_msec_int_t)
                                     (try->entries[0]->expiry.key - try->now));
        }

        return OTPREG_CLIENT_LIMIT;
    }

    return OTPREG_OK;
}


/* a limit that many clients meet is told once in its period */

static void
ngx_http_otpreg_limit_met(ngx_http_otpreg_limit_zone_t *zone,
    ngx_http_otpreg_limit_try_t *try, ngx_http_otpreg_limit_met_e what,
    time_t period)
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

    if (try->met[NGX_HTTP_OTPREG_LIMIT_MET_NETWORK]) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_NETWORK_REGISTER
                                   + try->kind, 1);
    }

    if (try->met[NGX_HTTP_OTPREG_LIMIT_MET_GLOBAL]) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_GLOBAL_REGISTER
                                   + try->kind, 1);
    }

    if (try->met[NGX_HTTP_OTPREG_LIMIT_MET_FULL]) {
        ngx_http_otpreg_metric_add(NGX_HTTP_OTPREG_METRIC_ZONE_FULL, 1);
    }

    if (try->warn[NGX_HTTP_OTPREG_LIMIT_MET_CLIENT]) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "otpreg: a client reached the limit %s=%ui/%Ts",
                      name, try->client->count,
                      try->client->period);
    }

    if (try->warn[NGX_HTTP_OTPREG_LIMIT_MET_NETWORK]) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "otpreg: an IPv6 network reached its multiple of the "
                      "limit %s=%ui/%Ts", name, try->client->count,
                      try->client->period);
    }

    if (try->warn[NGX_HTTP_OTPREG_LIMIT_MET_GLOBAL]) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "otpreg: all clients together reached the limit "
                      "%s=%ui/%Ts, each new one has one request left",
                      name, try->global->count,
                      try->global->period);
    }

    if (try->warn[NGX_HTTP_OTPREG_LIMIT_MET_FULL]) {
        ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                      "otpreg: \"otpreg_limit_zone\" is full, for \"%s\" the "
                      "counters of other clients are forgotten", name);
    }
}


void
ngx_http_otpreg_limit_give_back(ngx_http_otpreg_reservation_t *taken)
{
    ngx_http_otpreg_limit_uncount(taken, taken->n);
}


void
ngx_http_otpreg_limit_give_back_global(ngx_http_otpreg_reservation_t *taken)
{
    /* it is the first, if there is one */

    ngx_http_otpreg_limit_uncount(taken, taken->n != 0
                      && taken->keys[0].family == NGX_HTTP_OTPREG_LIMIT_GLOBAL);
}


/* the first n of what was taken; the others are kept as they are */

static void
ngx_http_otpreg_limit_uncount(ngx_http_otpreg_reservation_t *taken,
    ngx_uint_t n)
{
    ngx_uint_t                      i;
    ngx_http_otpreg_limit_zone_t   *zone;
    ngx_http_otpreg_limit_entry_t  *entry;

    if (n == 0) {
        return;
    }

    zone = taken->zone->data;

    ngx_shmtx_lock(&zone->pool->mutex);

    for (i = 0; i < n; i++) {
        entry = ngx_http_otpreg_limit_zone_find(zone, &taken->keys[i]);

        /* not in a period that began since */

        if (entry != NULL && entry->expiry.key == taken->expires[i]
            && entry->count)
        {
            entry->count--;
        }
    }

    ngx_shmtx_unlock(&zone->pool->mutex);

    taken->n = 0;
}


ngx_uint_t
ngx_http_otpreg_limit_is_hot(ngx_http_request_t *r)
{
    uint64_t                        max;
    ngx_uint_t                      i, hot;
    ngx_http_otpreg_ctx_t          *ctx;
    ngx_http_otpreg_limit_try_t     try;
    ngx_http_otpreg_limit_zone_t   *zone;
    ngx_http_otpreg_limit_entry_t  *entry;

    ctx = ngx_http_otpreg_get_ctx(r);

    if (ctx == NULL || ctx->background.delivery != NULL) {
        return 0;                               /* no client is there */
    }

    ngx_http_otpreg_limit_begin(r, NGX_HTTP_OTPREG_LIMIT_REGISTER, &try);

    zone = try.zone->data;
    hot = 0;

    ngx_shmtx_lock(&zone->pool->mutex);

    for (i = 0; i < try.n && !hot; i++) {

        max = (i == 0) ? try.global->count
                       : (uint64_t) try.client->count * try.multiples[i];

        if (max == 0) {
            continue;
        }

        entry = ngx_http_otpreg_limit_zone_find(zone, &try.keys[i]);

        hot = entry != NULL && !ngx_http_otpreg_limit_is_over(entry, try.now)
              && (uint64_t) entry->count * 2 > max;
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
