
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_origin.h"

#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_origin.h"


static ngx_table_elt_t *ngx_http_otpreg_find_origin(ngx_http_request_t *r);
static otpreg_str_t ngx_http_otpreg_own_host(ngx_http_request_t *r);


ngx_uint_t
ngx_http_otpreg_is_cross_site(ngx_http_request_t *r)
{
    otpreg_str_t      site;
    ngx_table_elt_t  *h;

    h = ngx_http_otpreg_find_header(r, "sec-fetch-site");

    if (h != NULL) {
        site = ngx_http_otpreg_str(&h->value);

        return !(site.len == sizeof("same-origin") - 1
                 && ngx_strncmp(site.data, "same-origin", site.len) == 0)
               && !(site.len == sizeof("none") - 1
                    && ngx_strncmp(site.data, "none", site.len) == 0);
    }

    h = ngx_http_otpreg_find_origin(r);

    return h != NULL
           && !otpreg_origin_is(ngx_http_otpreg_str(&h->value),
                                ngx_http_otpreg_own_host(r));
}


ngx_uint_t
ngx_http_otpreg_is_plain_http(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    /* sent to hosts only that a browser trusts: by HTTPS, and to localhost */

    if (ngx_http_otpreg_find_header(r, "sec-fetch-site") != NULL) {
        return 0;
    }

    h = ngx_http_otpreg_find_origin(r);

    return h != NULL && otpreg_origin_is_plain(ngx_http_otpreg_str(&h->value));
}


/* Origin, "null" too, is what counts: Referer is for browsers without it */

static ngx_table_elt_t *
ngx_http_otpreg_find_origin(ngx_http_request_t *r)
{
    ngx_table_elt_t  *h;

    h = ngx_http_otpreg_find_header(r, "origin");

    return h ? h : ngx_http_otpreg_find_header(r, "referer");
}


/*
 * The host and port that were asked for.  HTTP/3 has no Host, and in a request
 * line with a whole URL it is not the one that counts (RFC 9112, 3.2.2).
 */

static otpreg_str_t
ngx_http_otpreg_own_host(ngx_http_request_t *r)
{
    u_char        *last;
    otpreg_str_t   host;

    host.data = NULL;
    host.len = 0;

    if (r->host_start == NULL || r->host_end == NULL) {
        return r->headers_in.host
               ? ngx_http_otpreg_str(&r->headers_in.host->value) : host;
    }

    host.data = r->host_start;
    host.len = r->host_end - r->host_start;

    /* older versions of nginx leave the port of a request line out */

    last = r->request_line.data + r->request_line.len;

    if (host.data >= r->request_line.data && host.data + host.len < last
        && host.data[host.len] == ':')
    {
        do {
            host.len++;
        } while (host.data + host.len < last
                 && host.data[host.len] >= '0' && host.data[host.len] <= '9');
    }

    return host;
}
