
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "otpreg_mime.h"
#include "otpreg_smtp.h"
#include "otpreg_smtp_alloc.h"
#include "otpreg_smtp_job.h"


/* a slash, a host name and the end */
#define OTPREG_SMTP_HELO_SIZE    258


/* by otpreg_smtp_phase_t */

static const char *const  otpreg_smtp_phases[] = {
    "connect", "EHLO", "STARTTLS", "AUTH", "MAIL FROM", "RCPT TO", "DATA",
    "end of data"
};


/* the name for EHLO is what libcurl finds in the path */

static bool
otpreg_smtp_url_set(CURLU *url, const otpreg_smtp_conf_t *conf)
{
    int   n;
    char  path[OTPREG_SMTP_HELO_SIZE];

    if (curl_url_set(url, CURLUPART_URL, conf->url, 0) != CURLUE_OK) {
        return false;
    }

    if (conf->helo == NULL) {
        return true;
    }

    n = snprintf(path, sizeof(path), "/%s", conf->helo);

    return n > 1 && n < (int) sizeof(path)
           && curl_url_set(url, CURLUPART_PATH, path, CURLU_URLENCODE)
              == CURLUE_OK;
}


static CURLU *
otpreg_smtp_url(const otpreg_smtp_conf_t *conf)
{
    CURLU  *url;

    url = curl_url();

    if (url != NULL && !otpreg_smtp_url_set(url, conf)) {
        curl_url_cleanup(url);
        return NULL;
    }

    return url;
}


static const char *
otpreg_smtp_reason(const otpreg_smtp_job_t *job, CURLcode rc)
{
    switch (rc) {

    case CURLE_OPERATION_TIMEDOUT:
        return "timed out";

    case CURLE_ABORTED_BY_CALLBACK:
        return otpreg_smtp_job_unproved(job) ? "AUTH is not offered"
                                             : "aborted";

    case CURLE_USE_SSL_FAILED:
        return "STARTTLS is not offered or refused";

    case CURLE_LOGIN_DENIED:
        return "authentication failed";

    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_WEIRD_SERVER_REPLY:
        return job->trace.reply >= 400 ? "refused" : "connection lost";

    default:

        /* a text of libcurl's own, nothing of this mail or server in it */

        return curl_easy_strerror(rc);
    }
}


static bool
otpreg_smtp_refused(const otpreg_smtp_job_t *job, bool reused)
{
    if (job->trace.phase < OTPREG_SMTP_RCPT
        || job->trace.reply < 500 || job->trace.reply > 599)
    {
        return false;
    }

    /* 530, 534, 535, 538: what is wrong is how we authenticate */

    switch (job->trace.reply) {

    case 530:
    case 534:
    case 535:
    case 538:
        return false;
    }

    return job->conf->user == NULL || job->trace.auth || reused;
}


static void
otpreg_smtp_classify(otpreg_smtp_job_t *job, CURLcode rc, bool reused)
{
    otpreg_smtp_result_t  *result = job->result;

    result->reply = job->trace.reply;
    result->error[0] = '\0';

    if (rc == CURLE_OK) {
        result->status = OTPREG_SMTP_SENT;
        return;
    }

    snprintf(result->error, OTPREG_SMTP_ERROR_SIZE, "%s at %s",
             otpreg_smtp_reason(job, rc),
             otpreg_smtp_phases[job->trace.phase]);

    if (otpreg_smtp_job_aborted(job) && rc == CURLE_ABORTED_BY_CALLBACK) {
        result->status = OTPREG_SMTP_ABORTED;
        return;
    }

    result->status = otpreg_smtp_refused(job, reused) ? OTPREG_SMTP_REFUSED
                                                      : OTPREG_SMTP_LATER;

    /* after 354 nobody knows whether the mail was accepted: not again here */

    job->stale = reused && job->trace.phase < OTPREG_SMTP_BODY
                 && rc != CURLE_OPERATION_TIMEDOUT
                 && rc != CURLE_OUT_OF_MEMORY
                 && (job->trace.reply == 0 || job->trace.reply == 421);
}


static void
otpreg_smtp_perform(otpreg_smtp_job_t *job, CURL *easy)
{
    long      connects;
    CURLcode  rc;

    if (!otpreg_smtp_job_set(job, easy)) {
        otpreg_smtp_classify(job, CURLE_OUT_OF_MEMORY, false);
        return;
    }

    rc = curl_easy_perform(easy);

    connects = 1;
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &connects);

    otpreg_smtp_classify(job, rc, connects == 0);
}


/* one try */

static void
otpreg_smtp_try(otpreg_smtp_job_t *job)
{
    CURL  *easy;

    memset(&job->trace, 0, sizeof(otpreg_smtp_trace_t));
    job->stale = false;

    easy = curl_easy_init();

    if (easy == NULL) {
        otpreg_smtp_classify(job, CURLE_OUT_OF_MEMORY, false);
        return;
    }

    otpreg_smtp_perform(job, easy);

    curl_easy_cleanup(easy);
    otpreg_smtp_job_free(job);
}


static void
otpreg_smtp_result(otpreg_smtp_result_t *result, otpreg_smtp_status_t status,
    const char *error)
{
    result->status = status;
    result->reply = 0;
    snprintf(result->error, OTPREG_SMTP_ERROR_SIZE, "%s", error);
}


void
otpreg_smtp_send(const otpreg_smtp_conf_t *conf, const otpreg_mail_t *mail,
    otpreg_smtp_result_t *result)
{
    otpreg_smtp_job_t  job;

    memset(&job, 0, sizeof(otpreg_smtp_job_t));

    job.conf = conf;
    job.mail = mail;
    job.result = result;

    if (otpreg_smtp_job_aborted(&job)) {
        otpreg_smtp_result(result, OTPREG_SMTP_ABORTED, "aborted");
        return;
    }

    if (!otpreg_mime_safe(conf->from, conf->from_address, mail)) {
        otpreg_smtp_result(result, OTPREG_SMTP_REFUSED,
                           "an address or a header is not safe");
        return;
    }

    job.deadline = otpreg_smtp_now() + conf->timeout_ms;
    job.thread = otpreg_smtp_thread();
    job.url = otpreg_smtp_url(conf);

    if (job.thread == NULL || job.url == NULL) {
        otpreg_smtp_result(result, OTPREG_SMTP_LATER,
                           job.thread == NULL ? "no memory" : "invalid URL");

    } else {
        otpreg_smtp_alloc_password(conf->password);
        otpreg_smtp_try(&job);

        if (job.stale) {
            job.fresh = true;
            otpreg_smtp_try(&job);
        }

        otpreg_smtp_alloc_password(NULL);
    }

    curl_url_cleanup(job.url);
}
