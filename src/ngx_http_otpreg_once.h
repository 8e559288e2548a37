
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_ONCE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_ONCE_H_INCLUDED_


#include "otpreg_form_token.h"

#include "ngx_http_otpreg_module.h"


/*
 * Which forms were sent already: a table in shared memory, of a node, which a
 * reload keeps.  Thread: event loop; a look takes a lock and 8 comparisons.
 */


/* The zone, made when it is first asked for; NULL after an [emerg] line. */
ngx_shm_zone_t *ngx_http_otpreg_once_zone(ngx_conf_t *cf);


/* a form that a request has used */

typedef struct {
    ngx_shm_zone_t             *zone;           /* NULL: there is none */
    uint64_t                    form;
    uint8_t                     otp_id[OTPREG_ID_LEN];
} ngx_http_otpreg_once_hold_t;


/*
 * Use a form.
 *
 * expires  [in]       Unix seconds: until then it is remembered; when too many
 *                     are, what expires first is forgotten
 * sender   [in]       who sent it
 * otp_id   [in, out]  of the sign-up that it makes; when the same sender has
 *                     used the form before, of the sign-up that it made then
 * hold     [out]      at the first use what to give back when no sign-up came
 *                     of it; NULL: that will not be
 *
 * NGX_OK at the first use, NGX_BUSY when the sender used it before,
 * NGX_DECLINED when somebody else did.
 */
ngx_int_t ngx_http_otpreg_once_use(ngx_shm_zone_t *zone,
    const otpreg_form_token_t *form, time_t expires,
    const uint8_t sender[OTPREG_FORM_SENDER_LEN],
    uint8_t otp_id[OTPREG_ID_LEN], ngx_http_otpreg_once_hold_t *hold);

/* As if it were not used; also when nothing is held. */
void ngx_http_otpreg_once_give_back(ngx_http_otpreg_once_hold_t *hold);


#endif /* _NGX_HTTP_OTPREG_ONCE_H_INCLUDED_ */
