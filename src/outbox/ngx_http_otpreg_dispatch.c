
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_background.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_lease.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_task.h"


/*
 * Messages that a worker sends at once, for each realm, at most.  No more is
 * claimed than gets through within a lease: one that waited for too long halves
 * the limit, and each that was sent raises it by one.
 */
#define NGX_HTTP_OTPREG_IN_FLIGHT     32

/* ms that a worker that ends goes on trying to mark what was sent */
#define NGX_HTTP_OTPREG_MARK_TIME     30000

#define NGX_HTTP_OTPREG_POLL_TIME     1000      /* ms, and up to a half more */
#define NGX_HTTP_OTPREG_RELEASE_TIME  10000     /* ms */


/* one look into the outbox */

typedef struct {
    ngx_http_otpreg_queue_t    *queue;
    ngx_pool_t                 *pool;
    otpreg_store_outbox_t       outbox;
    char                        lease[OTPREG_LEASE_MAX + 1];
    otpreg_store_message_t     *messages;
    unsigned                    max;
    unsigned                    n;
    unsigned                    expired;
    unsigned                    released;
    unsigned                    release:1;
    otpreg_outcome_t            outcome;
    char                        error[OTPREG_DB_ERROR_SIZE];
} ngx_http_otpreg_poll_t;


static void ngx_http_otpreg_dispatch_poll(ngx_event_t *ev);
static ngx_int_t ngx_http_otpreg_dispatch_claim(
    ngx_http_otpreg_queue_t *queue);
static void ngx_http_otpreg_dispatch_claim_work(void *data);
static void ngx_http_otpreg_dispatch_claimed(void *data);
static void ngx_http_otpreg_dispatch_again(ngx_http_otpreg_queue_t *queue,
    ngx_msec_t time);
static void ngx_http_otpreg_dispatch_leave(ngx_http_otpreg_queue_t *queue);

static void ngx_http_otpreg_dispatch_finish_later(
    ngx_http_otpreg_delivery_t *d, ngx_msec_t time);
static void ngx_http_otpreg_dispatch_finish_again(ngx_event_t *ev);
static void ngx_http_otpreg_dispatch_finish_work(void *data);
static void ngx_http_otpreg_dispatch_finished(void *data);


ngx_int_t
ngx_http_otpreg_dispatch_init(ngx_cycle_t *cycle,
    ngx_http_otpreg_main_conf_t *omcf)
{
    ngx_uint_t                 i, k;
    ngx_http_otpreg_queue_t   *queue;
    ngx_http_otpreg_realm_t  **realm;

    if (ngx_http_otpreg_background_init(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_otpreg_lease_init();

    realm = omcf->realms.elts;

    for (i = 0; i < omcf->realms.nelts; i++) {

        for (k = 0; k < NGX_HTTP_OTPREG_CHANNELS; k++) {

            if (realm[i]->conf->couriers[k] == NULL) {
                continue;
            }

            queue = &realm[i]->queues[k];

            queue->realm = realm[i];
            queue->channel = k + 1;
            queue->limit = NGX_HTTP_OTPREG_IN_FLIGHT;
            queue->poll.handler = ngx_http_otpreg_dispatch_poll;
            queue->poll.data = queue;
            queue->poll.log = cycle->log;
            queue->poll.cancelable = 1;

            ngx_add_timer(&queue->poll, 1);
        }

        realm[i]->release_at = ngx_current_msec;
    }

    return NGX_OK;
}


void
ngx_http_otpreg_dispatch_outbox(ngx_http_otpreg_realm_t *realm,
    otpreg_channel_t channel, otpreg_store_outbox_t *outbox, char *lease)
{
    ngx_http_otpreg_queue_t  *queue;

    queue = ngx_http_otpreg_realm_queue(realm, channel);

    outbox->site = (char *) realm->conf->site.data;
    outbox->channel = channel;
    outbox->lease_time = NGX_HTTP_OTPREG_LEASE_TIME;
    outbox->lease = NULL;

    if (ngx_exiting || queue->in_flight >= queue->limit) {
        return;
    }

    queue->in_flight++;

    ngx_http_otpreg_lease_make(lease);
    outbox->lease = lease;
}


void
ngx_http_otpreg_dispatch_unused(ngx_http_otpreg_realm_t *realm,
    otpreg_channel_t channel, const otpreg_store_outbox_t *outbox)
{
    if (outbox->lease != NULL) {
        ngx_http_otpreg_dispatch_leave(
                            ngx_http_otpreg_realm_queue(realm, channel));
    }
}


/* a place is free */

static void
ngx_http_otpreg_dispatch_leave(ngx_http_otpreg_queue_t *queue)
{
    queue->in_flight--;

    if (queue->more && !queue->polling && !ngx_exiting
        && queue->in_flight <= queue->limit / 2)
    {
        queue->more = 0;
        ngx_add_timer(&queue->poll, 1);
    }
}


void
ngx_http_otpreg_dispatch_database(ngx_http_otpreg_realm_t *realm,
    otpreg_outcome_t outcome, const char *error)
{
    ngx_http_otpreg_metric_database(outcome);

    if (outcome == OTPREG_BUSY) {               /* it was not asked */
        return;
    }

    if (outcome == OTPREG_ERROR) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "otpreg: database: %s", error);
        return;
    }

    if (outcome == OTPREG_DATABASE_DOWN) {

        if (ngx_strcmp(realm->down, error) != 0) {
            ngx_cpystrn((u_char *) realm->down, (u_char *) error,
                        OTPREG_DB_ERROR_SIZE);
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "otpreg: database is not available: %s", error);
        }

        return;
    }

    if (realm->down[0] != '\0') {
        realm->down[0] = '\0';
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "otpreg: database is available again");
    }
}


static void
ngx_http_otpreg_dispatch_poll(ngx_event_t *ev)
{
    ngx_http_otpreg_queue_t  *queue;

    queue = ev->data;

    if (ngx_exiting || queue->polling) {
        return;
    }

    if (queue->in_flight >= queue->limit
        || ngx_http_otpreg_dispatch_claim(queue) != NGX_OK)
    {
        ngx_http_otpreg_dispatch_again(queue, NGX_HTTP_OTPREG_POLL_TIME);
    }
}


static ngx_int_t
ngx_http_otpreg_dispatch_claim(ngx_http_otpreg_queue_t *queue)
{
    ngx_pool_t               *pool;
    ngx_http_otpreg_job_t     job;
    ngx_http_otpreg_poll_t   *poll;
    ngx_http_otpreg_realm_t  *realm;

    realm = queue->realm;

    pool = ngx_create_pool(1024, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    poll = ngx_pcalloc(pool, sizeof(ngx_http_otpreg_poll_t));
    if (poll == NULL) {
        goto failed;
    }

    poll->max = queue->limit - queue->in_flight;

    poll->messages = ngx_pcalloc(pool,
                                 poll->max * sizeof(otpreg_store_message_t));
    if (poll->messages == NULL) {
        goto failed;
    }

    poll->queue = queue;
    poll->pool = pool;
    poll->outbox.site = (char *) realm->conf->site.data;
    poll->outbox.channel = queue->channel;
    poll->outbox.lease_time = NGX_HTTP_OTPREG_LEASE_TIME;
    poll->outbox.lease = poll->lease;
    poll->release = ((ngx_msec_int_t) (ngx_current_msec - realm->release_at)
                     >= 0);

    ngx_http_otpreg_lease_make(poll->lease);

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_dispatch_claim_work;
    job.settle = ngx_http_otpreg_dispatch_claimed;
    job.data = poll;

    if (ngx_http_otpreg_task_background(
            realm->main_conf->pools[NGX_HTTP_OTPREG_POOL_DATABASE], &job)
        != NGX_OK)
    {
        goto failed;
    }

    queue->polling = 1;
    queue->in_flight += poll->max;

    return NGX_OK;

failed:

    ngx_destroy_pool(pool);

    return NGX_ERROR;
}


static void
ngx_http_otpreg_dispatch_claim_work(void *data)
{
    ngx_http_otpreg_poll_t *poll = data;

    otpreg_db_conf_t  *database;

    database = poll->queue->realm->conf->database;
    poll->outcome = OTPREG_OK;

    if (poll->release) {
        poll->outcome = otpreg_store_release(database,
                                             ngx_http_otpreg_lease_node(),
                                             ngx_http_otpreg_lease_dead,
                                             &poll->released, poll->error);
    }

    if (poll->outcome == OTPREG_OK) {
        poll->outcome = otpreg_store_claim(database, &poll->outbox,
                                           poll->messages, poll->max,
                                           &poll->n, &poll->expired,
                                           poll->error);
    }
}


static void
ngx_http_otpreg_dispatch_claimed(void *data)
{
    ngx_http_otpreg_poll_t *poll = data;

    ngx_uint_t                i;
    ngx_http_otpreg_queue_t  *queue;
    ngx_http_otpreg_realm_t  *realm;

    queue = poll->queue;
    realm = queue->realm;

    queue->polling = 0;
    queue->more = (poll->n && poll->n == poll->max);
    queue->in_flight -= poll->max - poll->n;

    ngx_http_otpreg_dispatch_database(realm, poll->outcome, poll->error);

    if (poll->outcome == OTPREG_OK && poll->release) {
        realm->release_at = ngx_current_msec + NGX_HTTP_OTPREG_RELEASE_TIME;
    }

    if (poll->released) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "otpreg: %ui messages taken over from dead workers",
                      (ngx_uint_t) poll->released);
    }

    if (poll->expired) {
        ngx_http_otpreg_metric_add(
                               NGX_HTTP_OTPREG_METRIC_MAIL_EXPIRED
                               + queue->channel - OTPREG_CHANNEL_EMAIL,
                               poll->expired);

        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "otpreg: %ui messages expired before they were sent",
                      (ngx_uint_t) poll->expired);
    }

    for (i = 0; i < poll->n; i++) {
        ngx_http_otpreg_dispatch_send(realm, &poll->messages[i]);
    }

    if (!queue->poll.timer_set) {
        ngx_http_otpreg_dispatch_again(queue, NGX_HTTP_OTPREG_POLL_TIME);
    }

    ngx_destroy_pool(poll->pool);
}


static void
ngx_http_otpreg_dispatch_again(ngx_http_otpreg_queue_t *queue, ngx_msec_t time)
{
    if (ngx_exiting) {
        return;
    }

    /* workers and nodes that began together shall not stay together */

    ngx_add_timer(&queue->poll, time + randombytes_uniform(time / 2 + 1));
}


void
ngx_http_otpreg_dispatch_send(ngx_http_otpreg_realm_t *realm,
    const otpreg_store_message_t *message)
{
    if (ngx_http_otpreg_deliver(realm, message) != NGX_OK) {

        /* no memory: the lease runs out, and somebody sends it later */

        ngx_http_otpreg_dispatch_leave(
               ngx_http_otpreg_realm_queue(realm, message->otp.channel));
    }
}


void
ngx_http_otpreg_dispatch_finish(ngx_http_otpreg_delivery_t *d)
{
    ngx_http_otpreg_job_t  job;

    sodium_memzero(d->code, sizeof(d->code));

    ngx_memzero(&job, sizeof(ngx_http_otpreg_job_t));

    job.work = ngx_http_otpreg_dispatch_finish_work;
    job.settle = ngx_http_otpreg_dispatch_finished;
    job.data = d;

    if (ngx_http_otpreg_task_background(
          d->realm->main_conf->pools[NGX_HTTP_OTPREG_POOL_DATABASE], &job)
        != NGX_OK)
    {
        /*
         * The queue is full.  The lease keeps a message that was sent from
         * being sent again only until it ends, so try until it fits.
         */

        ngx_http_otpreg_dispatch_finish_later(d, 100);
    }
}


static void
ngx_http_otpreg_dispatch_finish_later(ngx_http_otpreg_delivery_t *d,
    ngx_msec_t time)
{
    d->retry.handler = ngx_http_otpreg_dispatch_finish_again;
    d->retry.data = d;
    d->retry.log = ngx_cycle->log;

    ngx_add_timer(&d->retry, time);
}


static void
ngx_http_otpreg_dispatch_finish_again(ngx_event_t *ev)
{
    ngx_http_otpreg_dispatch_finish(ev->data);
}


static void
ngx_http_otpreg_dispatch_finish_work(void *data)
{
    ngx_http_otpreg_delivery_t  *d = data;

    d->outcome = otpreg_store_finish(d->realm->conf->database, &d->message,
                                     d->result, d->delay_ms, (char *) d->reason,
                                     d->log);
}


static void
ngx_http_otpreg_dispatch_finished(void *data)
{
    ngx_http_otpreg_delivery_t  *d = data;

    ngx_http_otpreg_queue_t  *queue;
    ngx_http_otpreg_realm_t  *realm;

    realm = d->realm;
    queue = ngx_http_otpreg_realm_queue(realm, d->message.otp.channel);

    ngx_http_otpreg_dispatch_database(realm, d->outcome, d->log);

    if (ngx_exiting && d->mark_until == 0) {
        d->mark_until = ngx_max(1, ngx_current_msec
                                   + NGX_HTTP_OTPREG_MARK_TIME);
    }

    if (d->outcome != OTPREG_OK && d->result == OTPREG_STORE_SENT
        && (!ngx_exiting
            || (ngx_msec_int_t) (d->mark_until - ngx_current_msec) > 0))
    {
        /* it was sent: say so when the database is back */

        ngx_http_otpreg_dispatch_finish_later(d, 1000);
        return;
    }

    if (d->result == OTPREG_STORE_UNSENT) {
        queue->limit = ngx_max(queue->limit / 2, 1);

    } else if (d->result == OTPREG_STORE_SENT) {
        queue->limit = ngx_min(queue->limit + 1, NGX_HTTP_OTPREG_IN_FLIGHT);
    }

    ngx_http_otpreg_dispatch_leave(queue);

    ngx_destroy_pool(d->pool);
}
