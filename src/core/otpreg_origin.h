
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_ORIGIN_H_INCLUDED_
#define _OTPREG_ORIGIN_H_INCLUDED_


#include "otpreg_str.h"


/*
 * What Origin and Referer say of the page that a request comes from.  Thread:
 * any.
 *
 * url   [in] the value: "scheme://host[:port]", and what follows it
 * host  [in] the host that was asked for, as in Host: "host[:port]"
 */

/* Whether both are one host and port; false for "null" and what is no URL. */
bool otpreg_origin_is(otpreg_str_t url, otpreg_str_t host);

/* Whether the page came over plain HTTP. */
bool otpreg_origin_is_plain(otpreg_str_t url);


#endif /* _OTPREG_ORIGIN_H_INCLUDED_ */
