
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_COOKIE_H_INCLUDED_
#define _OTPREG_COOKIE_H_INCLUDED_


#include "otpreg_str.h"


/*
 * The first cookie of that name in the value of a Cookie header, which
 * *value then points into.  RFC 6265 5.4
 *
 * Names differ by case: some browsers do not take "__host-" for the prefix
 * that only the host itself may set, and nginx's own search would find it.
 */
bool otpreg_cookie_find(otpreg_str_t header, const char *name,
    otpreg_str_t *value);


#endif /* _OTPREG_COOKIE_H_INCLUDED_ */
