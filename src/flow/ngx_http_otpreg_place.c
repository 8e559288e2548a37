
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
    ngx_http_otpreg_realm_t *realm, otpreg_channel_t channel,
    otpreg_store_outbox_t *outbox)
{
    place->realm = realm;
    place->outbox = outbox;

    ngx_http_otpreg_dispatch_outbox(realm, channel, outbox, place->lease);
}


void
ngx_http_otpreg_place_settle(ngx_http_otpreg_place_t *place,
    otpreg_outcome_t outcome, const otpreg_store_queued_t *queued,
    const otpreg_otp_t *otp)
{
    ngx_http_otpreg_refused(place->realm->conf, queued->scope, otp->address);

    if (outcome == OTPREG_OK && queued->send) {
        ngx_http_otpreg_dispatch_send(place->realm, &queued->message);

    } else {
        ngx_http_otpreg_place_unused(place);
    }
}


void
ngx_http_otpreg_place_unused(ngx_http_otpreg_place_t *place)
{
    ngx_http_otpreg_dispatch_unused(place->realm, place->outbox->channel,
                                    place->outbox);
}
