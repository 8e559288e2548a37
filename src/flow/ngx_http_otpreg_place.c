
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_place.h"
#include "ngx_http_otpreg_refusal.h"


void
ngx_http_otpreg_place_reserve(ngx_http_otpreg_place_t *place,
    ngx_http_otpreg_service_t *service, otpreg_channel_t channel,
    otpreg_store_outbox_t *outbox)
{
    place->service = service;
    place->outbox = outbox;

    ngx_http_otpreg_dispatch_outbox(service, channel, outbox, place->lease);
}


void
ngx_http_otpreg_place_settle(ngx_http_otpreg_place_t *place,
    otpreg_outcome_t outcome, const otpreg_store_queued_t *queued,
    const otpreg_otp_t *otp)
{
    ngx_http_otpreg_refused(place->service->conf, queued->scope, otp->address);

    if (outcome == OTPREG_OK && queued->send) {
        ngx_http_otpreg_dispatch_send(place->service, &queued->message);

    } else {
        ngx_http_otpreg_place_unused(place);
    }
}


void
ngx_http_otpreg_place_unused(ngx_http_otpreg_place_t *place)
{
    ngx_http_otpreg_dispatch_unused(place->service, place->outbox->channel,
                                    place->outbox);
}
