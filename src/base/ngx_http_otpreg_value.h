
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_VALUE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_VALUE_H_INCLUDED_


#include "ngx_http_otpreg_module.h"


/*
 * What getters of variables use in every room.  They are called as nginx calls
 * getters, with one of these values as data; what they give lives in r->pool.
 * Thread: event loop.
 */


/* what a variable shows; the rest of the data is its argument */

#define NGX_HTTP_OTPREG_VAR_ERROR         0
#define NGX_HTTP_OTPREG_VAR_ERROR_CODE    1
#define NGX_HTTP_OTPREG_VAR_PHONE         2
#define NGX_HTTP_OTPREG_VAR_CHANNEL       3

#define NGX_HTTP_OTPREG_VAR_USERNAME      8
#define NGX_HTTP_OTPREG_VAR_EMAIL         9
#define NGX_HTTP_OTPREG_VAR_MASKED_TO     10
#define NGX_HTTP_OTPREG_VAR_CODE_LENGTH   11
#define NGX_HTTP_OTPREG_VAR_ATTEMPTS      12
#define NGX_HTTP_OTPREG_VAR_EXPIRES_IN    13
#define NGX_HTTP_OTPREG_VAR_RESEND_IN     14

#define NGX_HTTP_OTPREG_VAR_REGISTER_URI  16
#define NGX_HTTP_OTPREG_VAR_VERIFY_URI    17
#define NGX_HTTP_OTPREG_VAR_RESEND_URI    18
#define NGX_HTTP_OTPREG_VAR_LOGIN_URI     19
#define NGX_HTTP_OTPREG_VAR_PASSWORD_MIN  20
#define NGX_HTTP_OTPREG_VAR_PASSWORD_MAX  21
#define NGX_HTTP_OTPREG_VAR_SITE_NAME     22

/* + the field */
#define NGX_HTTP_OTPREG_VAR_FIELD         64
#define NGX_HTTP_OTPREG_VAR_PRESENCE      80

#define NGX_HTTP_OTPREG_VAR_TO            24
#define NGX_HTTP_OTPREG_VAR_CODE          25
#define NGX_HTTP_OTPREG_VAR_SUBJECT       26
#define NGX_HTTP_OTPREG_VAR_TEXT          27
#define NGX_HTTP_OTPREG_VAR_HTML          28
#define NGX_HTTP_OTPREG_VAR_MESSAGE_ID    29
#define NGX_HTTP_OTPREG_VAR_TEMPLATE      30


/* as a string in JSON without its quotes, or in a query */

#define NGX_HTTP_OTPREG_VAR_JSON          0x100
#define NGX_HTTP_OTPREG_VAR_URLENCODED    0x200
#define NGX_HTTP_OTPREG_VAR_MASK          0xff


/* For getters: a decimal number in r->pool; NGX_ERROR: no memory. */
ngx_int_t ngx_http_otpreg_variable_number(ngx_http_request_t *r,
    ngx_str_t *value, int64_t number);

/* v gets the value, which must live as long as the request; NGX_OK. */
ngx_int_t ngx_http_otpreg_variable_set(ngx_http_variable_value_t *v,
    ngx_str_t *value);


#endif /* _NGX_HTTP_OTPREG_VALUE_H_INCLUDED_ */
