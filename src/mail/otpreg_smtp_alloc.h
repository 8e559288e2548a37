
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SMTP_ALLOC_H_INCLUDED_
#define _OTPREG_SMTP_ALLOC_H_INCLUDED_


#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>


/*
 * libcurl's allocator.  What it frees (a mail holds a code) is wiped, and its
 * copies of the password, one for each connection that it keeps, are in memory
 * that is locked and left out of core dumps.
 */


/*
 * curl_global_init() with this allocator; called once, before any thread uses
 * libcurl.  Other users of libcurl in the process get it too, unless they were
 * there first.
 */
bool otpreg_smtp_alloc_init(void);


/*
 * The password which the calling thread gives to libcurl from now on; NULL:
 * none.  It must stay where it is meanwhile.
 */
void otpreg_smtp_alloc_password(const char *password);


#endif /* _OTPREG_SMTP_ALLOC_H_INCLUDED_ */
