
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_reissue.h"
#include "ngx_http_otpreg_reply.h"
#include "ngx_http_otpreg_ticket.h"


/* how often the address of a sign-up may be changed */
#define NGX_HTTP_OTPREG_CHANGES_MAX  2


ngx_http_otpreg_reissue_t *
ngx_http_otpreg_reissue_make(ngx_http_request_t *r, ngx_http_otpreg_ctx_t *ctx,
    otpreg_channel_t channel, const otpreg_store_to_t *to)
{
    uint64_t                     now_ms;
    ngx_http_otpreg_reissue_t   *reissue;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    reissue = ngx_pcalloc(r->pool, sizeof(ngx_http_otpreg_reissue_t));
    if (reissue == NULL) {
        return NULL;
    }

    now_ms = ngx_http_otpreg_now_ms();

    ngx_http_otpreg_query_init(&reissue->query, olcf);
    ngx_memcpy(reissue->in.id, ctx->ticket.otp.id, OTPREG_ID_LEN);
    otpreg_id_make(now_ms, reissue->in.new_id);
    otpreg_id_make(now_ms, reissue->in.message_id);
    reissue->in.purpose = ctx->flow->purpose;
    reissue->in.attempts_max = olcf->code_attempts;
    reissue->in.changes_max = NGX_HTTP_OTPREG_CHANGES_MAX;
    ngx_http_otpreg_budgets(r, &reissue->in.budgets);
    reissue->in.delay = olcf->resend_delay;
    reissue->in.lifetime = olcf->code_lifetime;
    reissue->in.digits = olcf->code_length;
    reissue->in.key_name = olcf->keys->key[0].name;

    if (to != NULL) {
        reissue->in.to = *to;
    }

    ngx_http_otpreg_place_reserve(&reissue->place, reissue->query.realm,
                                  channel, &reissue->in.outbox);

    return reissue;
}


void
ngx_http_otpreg_reissue_store(ngx_http_otpreg_reissue_t *reissue)
{
    reissue->query.outcome = otpreg_store_resend(reissue->query.database,
                                               &reissue->in, &reissue->out,
                                               reissue->query.error);
}


void
ngx_http_otpreg_reissue_settle(ngx_http_otpreg_reissue_t *reissue)
{
    ngx_http_otpreg_query_settle(&reissue->query);

    ngx_http_otpreg_place_settle(&reissue->place, reissue->query.outcome,
                                 &reissue->out.queued, &reissue->out.otp);
}


void
ngx_http_otpreg_reissue_unused(ngx_http_otpreg_reissue_t *reissue)
{
    ngx_http_otpreg_place_unused(&reissue->place);
}


void
ngx_http_otpreg_reissue_ticket(ngx_http_otpreg_ctx_t *ctx,
    const ngx_http_otpreg_reissue_t *reissue)
{
    otpreg_ticket_t  *ticket;

    ticket = &ctx->ticket;

    /*
     * What the database says of the time that is left is as exact as the work
     * was long: it is taken only when this browser did not know the code.
     */

    if (ngx_memcmp(reissue->out.otp.id, reissue->in.new_id, OTPREG_ID_LEN)
        == 0)
    {
        ctx->answer.lifetime = reissue->in.lifetime;

    } else if (ngx_memcmp(reissue->out.otp.id, ticket->otp.id, OTPREG_ID_LEN)
               != 0
               || ngx_http_otpreg_expires_in(ctx) == 0)
    {
        ticket->expires_at = ngx_time() + reissue->out.expires_in;
    }

    ticket->otp = reissue->out.otp;
}
