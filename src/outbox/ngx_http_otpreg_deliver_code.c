
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_loc_conf.h"


/* of this process: it never leaves it, and a new one does no harm */
static uint8_t  ngx_http_otpreg_deliver_key[OTPREG_BINDING_KEY_LEN];
static ngx_uint_t  ngx_http_otpreg_deliver_has_key;


/* NGX_OK when there is something to send, else fate and reason are set */

ngx_int_t
ngx_http_otpreg_deliver_code(ngx_http_otpreg_delivery_t *d)
{
    otpreg_otp_t        *otp;
    otpreg_binding_t     parts;
    const otpreg_key_t  *key;

    d->result = OTPREG_STORE_GIVEN_UP;

    if (d->message.obsolete) {
        ngx_sprintf(d->reason, "the code was used already%Z");
        d->step = NGX_HTTP_OTPREG_STEP_END;
        return NGX_DECLINED;
    }

    otp = &d->message.otp;

    key = otpreg_keys_find(d->realm->conf->keys, otp->key_name);

    if (key == NULL) {
        ngx_sprintf(d->reason, "no key \"%s\" in the key file%Z",
                    otp->key_name);
        d->step = NGX_HTTP_OTPREG_STEP_END;
        return NGX_DECLINED;
    }

    /* the owner of an address is told of a sign-up, but never gets a code */

    if (ngx_strcmp(d->message.template, OTPREG_TEMPLATE_OTP) == 0) {
        otpreg_code_derive(key->key, otp, (char *) d->code);
    }

    if (!ngx_http_otpreg_deliver_has_key) {
        randombytes_buf(ngx_http_otpreg_deliver_key,
                        sizeof(ngx_http_otpreg_deliver_key));
        ngx_http_otpreg_deliver_has_key = 1;
    }

    parts = ngx_http_otpreg_deliver_parts(d);

    otpreg_binding_tag(ngx_http_otpreg_deliver_key, &parts, d->tag);

    return NGX_OK;
}


otpreg_binding_t
ngx_http_otpreg_deliver_parts(ngx_http_otpreg_delivery_t *d)
{
    otpreg_binding_t  parts;

    parts.id = d->message.id;
    parts.purpose = d->message.otp.purpose;
    parts.channel = d->message.otp.channel;
    parts.template = d->message.template;
    parts.address = d->message.otp.address;
    parts.code = (char *) d->code;

    return parts;
}


/* the key is written once, before any thread has a tag to verify */

ngx_uint_t
ngx_http_otpreg_deliver_is_bound(const otpreg_binding_t *parts,
    const char *text, const uint8_t tag[OTPREG_BINDING_LEN])
{
    return otpreg_binding_verify(ngx_http_otpreg_deliver_key, parts, text,
                                 tag);
}
