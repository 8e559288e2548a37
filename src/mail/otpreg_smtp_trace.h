
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SMTP_TRACE_H_INCLUDED_
#define _OTPREG_SMTP_TRACE_H_INCLUDED_


#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>


/* how far a delivery got: the last command sent */

typedef enum {
    OTPREG_SMTP_CONNECT,
    OTPREG_SMTP_EHLO,
    OTPREG_SMTP_STARTTLS,
    OTPREG_SMTP_AUTH,
    OTPREG_SMTP_MAIL,
    OTPREG_SMTP_RCPT,
    OTPREG_SMTP_DATA,
    OTPREG_SMTP_BODY            /* 354 came: the mail is on its way */
} otpreg_smtp_phase_t;


/* what is known of the dialogue with the server; zeroed before it begins */

typedef struct {
    otpreg_smtp_phase_t   phase;
    int                   reply;    /* to the last command, or 0 */
    int64_t               quit;     /* QUIT was sent then, or 0 */
    bool                  greeted;  /* the connection is new */
    bool                  auth;     /* was tried */
} otpreg_smtp_trace_t;


/* Milliseconds of the monotonic clock. */
int64_t otpreg_smtp_now(void);


/*
 * CURLOPT_DEBUGFUNCTION: follow the dialogue.
 *
 * trace      [in, out]  an otpreg_smtp_trace_t; keeps no text, which may hold
 *                       a password or a code
 */
int otpreg_smtp_trace(CURL *easy, curl_infotype type, char *data, size_t size,
    void *trace);


#endif /* _OTPREG_SMTP_TRACE_H_INCLUDED_ */
