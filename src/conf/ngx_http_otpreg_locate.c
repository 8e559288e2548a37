
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_locate.h"


static ngx_http_core_loc_conf_t *ngx_http_otpreg_locate_in(
    ngx_http_core_loc_conf_t *clcf, ngx_str_t *uri, ngx_uint_t *last);
static ngx_http_core_loc_conf_t *ngx_http_otpreg_locate_static(
    ngx_http_location_tree_node_t *node, ngx_str_t *uri);


ngx_http_core_loc_conf_t *
ngx_http_otpreg_locate(ngx_http_core_loc_conf_t *server, ngx_str_t *uri)
{
    ngx_uint_t  last;

    last = 0;

    return ngx_http_otpreg_locate_in(server, uri, &last);
}


/* as nginx finds it; last: no regular expression shall be asked after it */

static ngx_http_core_loc_conf_t *
ngx_http_otpreg_locate_in(ngx_http_core_loc_conf_t *clcf, ngx_str_t *uri,
    ngx_uint_t *last)
{
    ngx_http_core_loc_conf_t   *found, *nested;
#if (NGX_PCRE)
    ngx_uint_t                  noregex, ignored;
    ngx_http_core_loc_conf_t  **re;
#endif

    found = ngx_http_otpreg_locate_static(clcf->static_locations, uri);

#if (NGX_PCRE)
    noregex = (found != NULL) ? found->noregex : 0;
#endif

    if (found != NULL) {
        if (found->exact_match) {
            *last = 1;
            return found;
        }

        nested = ngx_http_otpreg_locate_in(found, uri, last);

        if (nested != NULL) {
            found = nested;
        }

        if (*last) {
            return found;
        }
    }

#if (NGX_PCRE)

    for (re = clcf->regex_locations; !noregex && re && *re; re++) {

        if (ngx_regex_exec((*re)->regex->regex, uri, NULL, 0) >= 0) {
            *last = 1;
            ignored = 0;
            nested = ngx_http_otpreg_locate_in(*re, uri, &ignored);

            return nested ? nested : *re;
        }
    }

#endif

    return found;
}


/* the longest prefix, or the location of exactly this name */

static ngx_http_core_loc_conf_t *
ngx_http_otpreg_locate_static(ngx_http_location_tree_node_t *node,
    ngx_str_t *uri)
{
    u_char                    *p;
    size_t                     len, n;
    ngx_int_t                  rc;
    ngx_http_core_loc_conf_t  *found;

    found = NULL;
    p = uri->data;
    len = uri->len;

    while (node != NULL) {
        n = ngx_min(len, (size_t) node->len);
        rc = ngx_filename_cmp(p, node->name, n);

        if (rc != 0) {
            node = (rc < 0) ? node->left : node->right;
            continue;
        }

        if (len > (size_t) node->len) {

            if (node->inclusive != NULL) {
                found = node->inclusive;
                p += n;
                len -= n;
                node = node->tree;

            } else {
                node = node->right;
            }

            continue;
        }

        if (len == (size_t) node->len) {
            return node->exact ? node->exact : node->inclusive;
        }

        node = node->left;
    }

    return found;
}
