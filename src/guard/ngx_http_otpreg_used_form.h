
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_USED_FORM_H_INCLUDED_
#define _NGX_HTTP_OTPREG_USED_FORM_H_INCLUDED_


#include "otpreg_form_token.h"

#include "ngx_http_otpreg_module.h"


/*
 * Which forms were sent already: a table in shared memory, of a node, which a
 * reload keeps.  Thread: event loop; a look takes a lock and 8 comparisons.
 */


/* The zone, made when it is first asked for; NULL after an [emerg] line. */
ngx_shm_zone_t *ngx_http_otpreg_used_form_zone(ngx_conf_t *cf);


/* the newest use of a form */

typedef struct {
    uint64_t                    form;       /* of its random id; 0: unused */
    int64_t                     expires;    /* Unix seconds: what expires first
                                               is forgotten first */
    uint8_t                     sender[OTPREG_FORM_SENDER_LEN];
    uint8_t                     values[OTPREG_FORM_VALUES_LEN];
    uint8_t                     otp_id[OTPREG_ID_LEN];  /* the sign-up's */
} ngx_http_otpreg_used_form_t;


/* a form that a request has used */

typedef struct {
    ngx_shm_zone_t             *zone;           /* NULL: there is none */
    ngx_http_otpreg_used_form_t use;
    ngx_http_otpreg_used_form_t before;         /* or unused */
} ngx_http_otpreg_used_form_undo_t;


/*
 * Use a form.
 *
 * use   [in, out]  all but the form; when the same sender has sent the same
 *                  values before, otp_id becomes that of the sign-up then
 * undo  [out]      at NGX_OK what to give back when no sign-up came of it;
 *                  NULL: that will not be
 *
 * NGX_OK when the form was not used, or by the same sender with other values:
 * somebody who went back and corrected it.  NGX_BUSY when the sender has used
 * it just so, NGX_DECLINED when somebody else did.
 */
ngx_int_t ngx_http_otpreg_used_form_use(ngx_shm_zone_t *zone,
    const otpreg_form_token_t *form, ngx_http_otpreg_used_form_t *use,
    ngx_http_otpreg_used_form_undo_t *undo);

/* As it was before; also when nothing is held. */
void ngx_http_otpreg_used_form_give_back(
    ngx_http_otpreg_used_form_undo_t *undo);


#endif /* _NGX_HTTP_OTPREG_USED_FORM_H_INCLUDED_ */
