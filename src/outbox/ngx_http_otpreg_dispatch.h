
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_DISPATCH_H_INCLUDED_
#define _NGX_HTTP_OTPREG_DISPATCH_H_INCLUDED_


#include "otpreg_binding.h"
#include "otpreg_outcome.h"
#include "otpreg_store.h"

#include "ngx_http_otpreg_module.h"
#include "ngx_http_otpreg_realm.h"


/*
 * The room "outbox": a message from the database to its courier and back: the
 * dispatcher, leases, background requests, templates, couriers, verdicts; and
 * the purge.  Not here: how a message comes into the outbox (store), and what
 * was asked before it (flow).
 */


/*
 * The outbox to subrequests.  The messages of a realm are taken from the
 * database by every worker of every node; the database is the only queue.
 * Thread: event loop.
 */


#define NGX_HTTP_OTPREG_LEASE_TIME  120         /* seconds */

/* a delivery is broken off before its lease ends */
#define NGX_HTTP_OTPREG_SEND_TIME   100000      /* ms */


/* what a delivery has come to */

enum {
    NGX_HTTP_OTPREG_STEP_TEXT = 0,
    NGX_HTTP_OTPREG_STEP_HTML,
    NGX_HTTP_OTPREG_STEP_COURIER,
    NGX_HTTP_OTPREG_STEP_END
};


/* a message on its way, in a pool of its own */

struct ngx_http_otpreg_delivery_s {
    ngx_http_otpreg_realm_t    *realm;
    ngx_pool_t                     *pool;
    otpreg_store_message_t          message;
    u_char                          code[OTPREG_CODE_DIGITS_MAX + 1];
    uint8_t                         tag[OTPREG_BINDING_LEN];
    int64_t                         start;      /* ngx_http_otpreg_task_now() */

    ngx_str_t                       subject;
    ngx_str_t                       text;
    ngx_str_t                       html;
    ngx_str_t                       template;   /* the newest one's URI */

    ngx_uint_t                      step;
    ngx_uint_t                      courier;    /* the one that tries */
    ngx_http_request_t             *waiting;    /* the subrequest in flight */
    ngx_uint_t                      status;     /* of the newest subrequest */
    ngx_str_t                       body;       /* of the newest subrequest */
    time_t                          retry_after;
    unsigned                        answered:1; /* the newest subrequest */
    unsigned                        error:1;    /* it broke off */
    unsigned                        unsent:1;   /* it was never on its way */
    unsigned                        fault:1;    /* whoever runs us must act */

    /* of the location that has answered it */
    ngx_http_otpreg_loc_conf_t     *asked;

    /* why it was not sent: no address, no code */
    u_char                          reason[OTPREG_REASON_MAX + 1];

    /* for the task that says what became of it */
    otpreg_store_result_t           result;
    unsigned                        delay_ms;
    otpreg_outcome_t                outcome;
    char                            log[OTPREG_DB_ERROR_SIZE];
    ngx_event_t                     retry;
    time_t                          mark_until;
};


/* Begin to poll in this worker.  NGX_OK or NGX_ERROR. */
ngx_int_t ngx_http_otpreg_dispatch_init(ngx_cycle_t *cycle,
    ngx_http_otpreg_main_conf_t *omcf);


/*
 * How a handler puts a message into the outbox: leased to this worker when it
 * can be sent at once, else due for anybody.
 *
 * lease  [out] OTPREG_LEASE_MAX + 1 bytes; must live as long as outbox
 */
void ngx_http_otpreg_dispatch_outbox(ngx_http_otpreg_realm_t *realm,
    otpreg_channel_t channel, otpreg_store_outbox_t *outbox, char *lease);


/* Take back the place that a lease of _outbox() reserved. */
void ngx_http_otpreg_dispatch_unused(ngx_http_otpreg_realm_t *realm,
    otpreg_channel_t channel, const otpreg_store_outbox_t *outbox);


/* Send a message whose lease is held, in the place that was reserved. */
void ngx_http_otpreg_dispatch_send(ngx_http_otpreg_realm_t *realm,
    const otpreg_store_message_t *message);


/*
 * Deliver it: render what the templates say, give it to the courier, decide.
 * Ends in _dispatch_finish().  NGX_OK, or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_otpreg_deliver(ngx_http_otpreg_realm_t *realm,
    const otpreg_store_message_t *message);


/*
 * Complete what the templates have rendered: texts of our own where they said
 * nothing, and the last line of an SMS.  NGX_OK, or NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_otpreg_text_mail(ngx_http_otpreg_delivery_t *d);
ngx_int_t ngx_http_otpreg_text_sms(ngx_http_otpreg_delivery_t *d);


/*
 * Whether these parts of a message are those that belong together, where they
 * are about to leave; text, or NULL, must contain the code.  Thread: any.
 */
ngx_uint_t ngx_http_otpreg_deliver_is_bound(const otpreg_binding_t *parts,
    const char *text, const uint8_t tag[OTPREG_BINDING_LEN]);


/* The parts of d->message; they point into d.  Thread: event loop. */
otpreg_binding_t ngx_http_otpreg_deliver_parts(ngx_http_otpreg_delivery_t *d);


/*
 * Derive the code, and bind it to message and recipient.  NGX_OK when there is
 * something to send, else fate and reason are set and the step is the end.
 */
ngx_int_t ngx_http_otpreg_deliver_code(ngx_http_otpreg_delivery_t *d);

/* The end of every delivery: decide its fate, count it, say it in the log. */
void ngx_http_otpreg_deliver_result(ngx_http_otpreg_delivery_t *d);

/* Why the newest step failed, unless a courier of ours has said it. */
void ngx_http_otpreg_deliver_reason(ngx_http_otpreg_delivery_t *d);


/*
 * Check a part that the template d->template has rendered: nothing goes out
 * with SSI commands in it, and no text of a code without the code.
 *
 * name   [in]  of the part, for the log
 *
 * NGX_OK, or NGX_ERROR with d->reason and d->fault.
 */
ngx_int_t ngx_http_otpreg_text_check(ngx_http_otpreg_delivery_t *d,
    const char *name, const ngx_str_t *part);


/* Write d->fate to the database, give the place free, destroy d. */
void ngx_http_otpreg_dispatch_finish(ngx_http_otpreg_delivery_t *d);


/* Note that the database is away or back: logged on a change only. */
void ngx_http_otpreg_dispatch_database(ngx_http_otpreg_realm_t *realm,
    otpreg_outcome_t outcome, const char *error);


/* A message, in templates and couriers; not found in other requests. */
ngx_int_t ngx_http_otpreg_variable_message(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


#endif /* _NGX_HTTP_OTPREG_DISPATCH_H_INCLUDED_ */
