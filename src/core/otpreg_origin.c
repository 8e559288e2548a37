
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_origin.h"


static bool
otpreg_origin_split(otpreg_str_t url, otpreg_str_t *scheme,
    otpreg_str_t *authority)
{
    size_t  i;

    static const char  separator[] = "://";
    const size_t       n = sizeof(separator) - 1;

    for (i = 0; i < url.len && url.data[i] != ':'; i++) { /* void */ }

    if (i == 0 || url.len - i < n || memcmp(url.data + i, separator, n) != 0) {
        return false;
    }

    scheme->data = url.data;
    scheme->len = i;

    authority->data = url.data + i + n;

    for (i += n; i < url.len; i++) {
        if (strchr("/?#\\", url.data[i]) != NULL) {     /* a NUL, too */
            break;
        }
    }

    authority->len = (size_t) (url.data + i - authority->data);

    return authority->len != 0;
}


static bool
otpreg_origin_same(otpreg_str_t a, otpreg_str_t b)
{
    size_t  i;

    if (a.len != b.len) {
        return false;
    }

    for (i = 0; i < a.len; i++) {
        if (otpreg_str_lower(a.data[i]) != otpreg_str_lower(b.data[i])) {
            return false;
        }
    }

    return true;
}


bool
otpreg_origin_is(otpreg_str_t url, otpreg_str_t host)
{
    size_t        n;
    const char   *port;
    otpreg_str_t  scheme, authority;

    if (!otpreg_origin_split(url, &scheme, &authority)) {
        return false;
    }

    if (otpreg_origin_same(authority, host)) {
        return true;
    }

    /* a browser leaves the scheme's own port out, a proxy may add it */

    if (otpreg_str_equal_nocase(scheme, "https")) {
        port = ":443";

    } else if (otpreg_str_equal_nocase(scheme, "http")) {
        port = ":80";

    } else {
        return false;
    }

    n = strlen(port);

    if (host.len <= n || memcmp(host.data + host.len - n, port, n) != 0) {
        return false;
    }

    host.len -= n;

    return otpreg_origin_same(authority, host);
}


bool
otpreg_origin_is_plain(otpreg_str_t url)
{
    otpreg_str_t  scheme, authority;

    return otpreg_origin_split(url, &scheme, &authority)
           && otpreg_str_equal_nocase(scheme, "http");
}
