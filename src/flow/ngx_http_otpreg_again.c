
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_again.h"
#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_refusal.h"
#include "ngx_http_otpreg_ticket.h"


/* how often the address of a sign-up may be changed */
#define NGX_HTTP_OTPREG_CHANGES_MAX  2


ngx_http_otpreg_again_t *
ngx_http_otpreg_again_make(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    otpreg_channel_t channel, const otpreg_store_to_t *to)
{
    uint64_t                     now_ms;
    ngx_http_otpreg_again_t     *again;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    again = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_again_t));
    if (again == NULL) {
        return NULL;
    }

    now_ms = ngx_http_otpreg_now_ms();

    ngx_http_otpreg_query_init(&again->query, olcf);
    ngx_memcpy(again->in.id, ctx->ticket.otp.id, OTPREG_ID_LEN);
    otpreg_id_make(now_ms, again->in.new_id);
    otpreg_id_make(now_ms, again->in.message_id);
    again->in.purpose = OTPREG_PURPOSE_SIGNUP;
    again->in.attempts_max = olcf->code_attempts;
    again->in.changes_max = NGX_HTTP_OTPREG_CHANGES_MAX;
    ngx_http_otpreg_budgets(r, &again->in.budgets);
    again->in.delay = olcf->resend_delay;
    again->in.lifetime = olcf->code_lifetime;
    again->in.digits = olcf->code_length;
    again->in.key_name = olcf->keys->key[0].name;

    if (to != NULL) {
        again->in.to = *to;
    }

    ngx_http_otpreg_dispatch_outbox(again->query.service, channel,
                                    &again->in.outbox, again->lease);

    return again;
}


void
ngx_http_otpreg_again_store(ngx_http_otpreg_again_t *again)
{
    again->query.outcome = otpreg_store_resend(again->query.database,
                                               &again->in, &again->out,
                                               again->query.error);
}


void
ngx_http_otpreg_again_settle(ngx_http_otpreg_again_t *again)
{
    ngx_http_otpreg_query_settle(&again->query);

    ngx_http_otpreg_refused(again->query.service->conf, again->out.queued.scope,
                            again->out.otp.address);

    if (again->query.outcome == OTPREG_OK && again->out.queued.send) {
        ngx_http_otpreg_dispatch_send(again->query.service,
                                      &again->out.queued.message);

    } else {
        ngx_http_otpreg_again_unused(again);
    }
}


void
ngx_http_otpreg_again_unused(ngx_http_otpreg_again_t *again)
{
    ngx_http_otpreg_dispatch_unused(again->query.service,
                                    again->in.outbox.channel,
                                    &again->in.outbox);
}


void
ngx_http_otpreg_again_ticket(ngx_http_otpreg_ctx_t *ctx,
    const ngx_http_otpreg_again_t *again)
{
    otpreg_ticket_t  *ticket;

    ticket = &ctx->ticket;

    /*
     * What the database says of the time that is left is as exact as the work
     * was long: it is taken only when this browser did not know the code.
     */

    if (ngx_memcmp(again->out.otp.id, again->in.new_id, OTPREG_ID_LEN) == 0) {
        ctx->answer.lifetime = again->in.lifetime;

    } else if (ngx_memcmp(again->out.otp.id, ticket->otp.id, OTPREG_ID_LEN)
               != 0
               || ngx_http_otpreg_expires_in(ctx) == 0)
    {
        ticket->expires_at = ngx_time() + again->out.expires_in;
    }

    ticket->otp = again->out.otp;
}
