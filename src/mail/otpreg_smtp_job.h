
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SMTP_JOB_H_INCLUDED_
#define _OTPREG_SMTP_JOB_H_INCLUDED_


#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "otpreg_smtp.h"
#include "otpreg_smtp_thread.h"
#include "otpreg_smtp_trace.h"


/* one delivery, which may take two tries */

typedef struct {
    const otpreg_smtp_conf_t   *conf;
    const otpreg_mail_t        *mail;
    otpreg_smtp_result_t       *result;
    otpreg_smtp_thread_t       *thread;
    CURLU                      *url;

    int64_t                     deadline;       /* otpreg_smtp_now() then */
    bool                        fresh;          /* on a new connection only */

    /* of one try */

    struct curl_slist          *to;
    struct curl_slist          *headers;
    curl_mime                  *mime;
    otpreg_smtp_trace_t         trace;
    bool                        stale;          /* a reused one was dead */
} otpreg_smtp_job_t;


/* Whether the caller wants the delivery to stop. */
bool otpreg_smtp_job_aborted(const otpreg_smtp_job_t *job);


/*
 * Whether a server that offers no AUTH would take the mail from nobody, though
 * there is a user: what it accepts unproved it may drop, or is not ours.
 */
bool otpreg_smtp_job_unproved(const otpreg_smtp_job_t *job);


/*
 * Set up a new handle for a try: server, TLS, limits, callbacks, mail.
 *
 * job    [in, out]  keeps what the handle uses; otpreg_smtp_job_free() after
 *                   the handle is gone, after a failure too
 *
 * Returns whether it worked; false means no memory.
 */
bool otpreg_smtp_job_set(otpreg_smtp_job_t *job, CURL *easy);
void otpreg_smtp_job_free(otpreg_smtp_job_t *job);


#endif /* _OTPREG_SMTP_JOB_H_INCLUDED_ */
