
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_PAGE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_PAGE_H_INCLUDED_


#include "otpreg_outcome.h"

#include "ngx_http_otpreg_module.h"


/*
 * A page is a row: everything in which it differs from others.  One content
 * handler serves them all.  Thread: event loop.
 */


/*
 * show  GET or HEAD; fills ctx, and returns what a content handler returns
 * act   POST, after the form was read; owes ngx_http_otpreg_wipe_form() on
 *       every path, and must end in ngx_http_otpreg_page_finish(), a task or
 *       ngx_http_otpreg_reply_later()
 */
typedef ngx_int_t (*ngx_http_otpreg_page_show_pt)(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx);
typedef void (*ngx_http_otpreg_page_act_pt)(ngx_http_request_t *r);


struct ngx_http_otpreg_page_s {
    const char                     *directive;
    const ngx_http_otpreg_flow_t   *flow;       /* that it belongs to */

    ngx_uint_t                      methods;    /* NGX_HTTP_GET|... */
    const char                     *allow;      /* the same, for the header */
    ngx_uint_t                      status;     /* of a success, as JSON */

    /* the page that says what was refused here; NULL: this one */
    const ngx_http_otpreg_page_t   *said_on;

    unsigned                        begins:1;   /* a flow: it needs no ticket */
    unsigned                        bare:1;     /* a form may be empty */
    unsigned                        tells:1;    /* a GET by a program is told
                                                   how the flow stands */

    ngx_http_otpreg_page_show_pt    show;       /* NULL: there is no GET */
    ngx_http_otpreg_page_act_pt     act;
};


/* Of every location with a page: olcf->page is the row. */
ngx_int_t ngx_http_otpreg_page_handler(ngx_http_request_t *r);


/* Answer with an outcome, and finalize the request. */
void ngx_http_otpreg_page_finish(ngx_http_request_t *r,
    otpreg_outcome_t outcome);


#endif /* _NGX_HTTP_OTPREG_PAGE_H_INCLUDED_ */
