
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SMTP_THREAD_H_INCLUDED_
#define _OTPREG_SMTP_THREAD_H_INCLUDED_


#include <curl/curl.h>
#include <stdbool.h>


/*
 * What a thread that sends mail keeps until it ends: its connections.
 */
typedef struct otpreg_smtp_thread_s  otpreg_smtp_thread_t;


/*
 * Returns what the calling thread keeps, NULL: no memory.  otpreg_smtp_init()
 * was called before.
 */
otpreg_smtp_thread_t *otpreg_smtp_thread(void);


/*
 * Let a handle of this thread use and leave its connections.
 *
 * starttls   [in]  connections with and without it are kept apart
 *
 * Returns whether it worked.
 */
bool otpreg_smtp_thread_attach(otpreg_smtp_thread_t *thread, CURL *easy,
    bool starttls);


#endif /* _OTPREG_SMTP_THREAD_H_INCLUDED_ */
