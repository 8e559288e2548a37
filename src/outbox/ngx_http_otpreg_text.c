
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_sms.h"
#include "otpreg_template.h"

#include "ngx_http_otpreg_dispatch.h"
#include "ngx_http_otpreg_loc_conf.h"


static void ngx_http_otpreg_text_reason(ngx_http_otpreg_delivery_t *d,
    const char *name, const char *fault);


/* what is said when no template says it: one part, with the last line */

ngx_int_t
ngx_http_otpreg_text_sms(ngx_http_otpreg_delivery_t *d)
{
    size_t      size;
    u_char     *text;
    ngx_str_t  *host;

    static const char  otp[] = "Your verification code is %s. Never tell it "
                               "to anybody.";
    static const char  taken[] = "Somebody tried to sign up with your number. "
                                 "You have an account already.";

    if (d->text.len == 0) {
        d->text.data = ngx_pnalloc(d->pool, ngx_max(sizeof(otp), sizeof(taken))
                                            + OTPREG_CODE_DIGITS_MAX);
        if (d->text.data == NULL) {
            return NGX_ERROR;
        }

        d->text.len = ngx_sprintf(d->text.data, d->code[0] ? otp : taken,
                                  d->code)
                      - d->text.data;
    }

    host = &d->realm->conf->sms_origin;
    size = d->text.len + host->len + 16;

    text = ngx_pnalloc(d->pool, size);
    if (text == NULL) {
        return NGX_ERROR;
    }

    d->text.len = otpreg_sms_compose(ngx_http_otpreg_str(&d->text),
                                     ngx_http_otpreg_str(host),
                                     (char *) d->code, (char *) text, size);
    d->text.data = text;

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_text_mail(ngx_http_otpreg_delivery_t *d)
{
    static const char  otp[] =
        "Your verification code is %s." CRLF CRLF
        "If you did not ask for it, ignore this message. Never tell the code "
        "to anybody." CRLF;

    static const char  taken[] =
        "Somebody tried to sign up with your address. You have an account "
        "already, so" CRLF "nothing was changed and there is nothing to do."
        CRLF;

    if (d->subject.len == 0) {
        if (d->code[0] != '\0') {
            ngx_str_set(&d->subject, "Your verification code");

        } else {
            ngx_str_set(&d->subject, "You have an account already");
        }
    }

    if (d->text.len != 0) {
        return NGX_OK;
    }

    d->text.data = ngx_pnalloc(d->pool, ngx_max(sizeof(otp), sizeof(taken))
                                        + OTPREG_CODE_DIGITS_MAX);
    if (d->text.data == NULL) {
        return NGX_ERROR;
    }

    d->text.len = ngx_sprintf(d->text.data, d->code[0] ? otp : taken, d->code)
                  - d->text.data;

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_text_check(ngx_http_otpreg_delivery_t *d, const char *name,
    const ngx_str_t *part)
{
    const char  *fault;

    fault = otpreg_template_fault(ngx_http_otpreg_str(&d->subject), "");

    /* where there is no text one of our own takes its place */

    if (fault == NULL && part->len != 0) {
        fault = otpreg_template_fault(ngx_http_otpreg_str(part),
                                      (const char *) d->code);
    }

    if (fault == NULL) {
        return NGX_OK;
    }

    ngx_http_otpreg_text_reason(d, name, fault);

    d->error = 1;
    d->fault = 1;

    return NGX_ERROR;
}


/* the reason goes into the log and the database: plain ASCII, no arguments */

static void
ngx_http_otpreg_text_reason(ngx_http_otpreg_delivery_t *d, const char *name,
    const char *fault)
{
    u_char  *p, *last;
    size_t   i;

    p = ngx_snprintf(d->reason, OTPREG_REASON_MAX, "the %s template %s: ",
                     name, fault);
    last = d->reason + OTPREG_REASON_MAX;

    for (i = 0; i < d->template.len && p < last; i++) {

        if (d->template.data[i] == '?') {
            break;
        }

        *p++ = (d->template.data[i] > ' ' && d->template.data[i] < 0x7f)
               ? d->template.data[i] : '?';
    }

    *p = '\0';
}
