
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <curl/curl.h>

#include "otpreg_mime.h"
#include "otpreg_smtp_job.h"


/* how long an answer to QUIT is waited for */
#define OTPREG_SMTP_JOB_QUIT_MS  1000


bool
otpreg_smtp_job_aborted(const otpreg_smtp_job_t *job)
{
    if (job->conf->abort != NULL
        && __atomic_load_n(job->conf->abort, __ATOMIC_RELAXED) != 0)
    {
        return true;
    }

    /* what has been handed over may have been sent: wait for the answer */

    return job->mail->unwanted != NULL
           && job->trace.phase < OTPREG_SMTP_BODY
           && __atomic_load_n(job->mail->unwanted, __ATOMIC_RELAXED) != 0;
}


bool
otpreg_smtp_job_unproved(const otpreg_smtp_job_t *job)
{
    return job->conf->user != NULL && job->trace.greeted && !job->trace.auth
           && job->trace.phase >= OTPREG_SMTP_MAIL;
}


/* called at least once a second; not 0 ends the delivery */

static int
otpreg_smtp_job_progress(void *data, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow)
{
    otpreg_smtp_job_t  *job = data;

    (void) dltotal;
    (void) dlnow;
    (void) ultotal;
    (void) ulnow;

    return otpreg_smtp_job_aborted(job)
           || otpreg_smtp_job_unproved(job)
           || (job->trace.quit != 0
               && otpreg_smtp_now() - job->trace.quit
                  >= OTPREG_SMTP_JOB_QUIT_MS);
}


static bool
otpreg_smtp_job_set_tls(CURL *easy, const otpreg_smtp_conf_t *conf)
{
    int  rc;

    rc = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    rc |= curl_easy_setopt(easy, CURLOPT_SSLVERSION,
                           (long) CURL_SSLVERSION_TLSv1_2);

    if (conf->starttls) {
        rc |= curl_easy_setopt(easy, CURLOPT_USE_SSL, (long) CURLUSESSL_ALL);
    }

    if (conf->ca_file != NULL) {

        /* these and no others: a directory of the system's is the default */

        rc |= curl_easy_setopt(easy, CURLOPT_CAINFO, conf->ca_file);
        rc |= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }

    return rc == CURLE_OK;
}


static bool
otpreg_smtp_job_set_limits(CURL *easy, const otpreg_smtp_job_t *job)
{
    int   rc;
    long  left;

    left = (long) (job->deadline - otpreg_smtp_now());

    if (left < 1) {
        left = 1;
    }

    rc = curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                           job->conf->connect_timeout_ms);
    rc |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, left);
    rc |= curl_easy_setopt(easy, CURLOPT_SERVER_RESPONSE_TIMEOUT,
                           left / 1000 + 1);

#if (LIBCURL_VERSION_NUM >= 0x075700)

    /* do not wait for a resolver that hangs */

    rc |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);

#endif

    return rc == CURLE_OK;
}


static bool
otpreg_smtp_job_set_callbacks(CURL *easy, otpreg_smtp_job_t *job)
{
    int  rc;

    rc = curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, otpreg_smtp_trace);
    rc |= curl_easy_setopt(easy, CURLOPT_DEBUGDATA, &job->trace);

    rc |= curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    rc |= curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION,
                           otpreg_smtp_job_progress);
    rc |= curl_easy_setopt(easy, CURLOPT_XFERINFODATA, job);

    return rc == CURLE_OK;
}


static bool
otpreg_smtp_job_set_server(CURL *easy, const otpreg_smtp_job_t *job)
{
    int                        rc;
    const otpreg_smtp_conf_t  *conf = job->conf;

    rc = curl_easy_setopt(easy, CURLOPT_CURLU, job->url);

#if (LIBCURL_VERSION_NUM >= 0x075500)
    rc |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
#else
    rc |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS,
                           (long) (CURLPROTO_SMTP|CURLPROTO_SMTPS));
#endif

    /* not what the environment says */

    rc |= curl_easy_setopt(easy, CURLOPT_PROXY, "");

    if (job->fresh) {
        rc |= curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    }

    if (conf->user != NULL) {
        rc |= curl_easy_setopt(easy, CURLOPT_USERNAME, conf->user);
        rc |= curl_easy_setopt(easy, CURLOPT_PASSWORD,
                               conf->password != NULL ? conf->password : "");
    }

    return rc == CURLE_OK;
}


static bool
otpreg_smtp_job_set_mail(CURL *easy, otpreg_smtp_job_t *job)
{
    int  rc;

    job->to = curl_slist_append(NULL, job->mail->to);
    job->headers = otpreg_mime_headers(job->conf->from, job->mail);
    job->mime = otpreg_mime_body(easy, job->mail);

    if (job->to == NULL || job->headers == NULL || job->mime == NULL) {
        return false;
    }

    rc = curl_easy_setopt(easy, CURLOPT_MAIL_FROM, job->conf->from_address);
    rc |= curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, job->to);
    rc |= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, job->headers);
    rc |= curl_easy_setopt(easy, CURLOPT_MIMEPOST, job->mime);

    return rc == CURLE_OK;
}


bool
otpreg_smtp_job_set(otpreg_smtp_job_t *job, CURL *easy)
{
    return otpreg_smtp_job_set_tls(easy, job->conf)
           && otpreg_smtp_job_set_limits(easy, job)
           && otpreg_smtp_job_set_callbacks(easy, job)
           && otpreg_smtp_job_set_server(easy, job)
           && otpreg_smtp_thread_attach(job->thread, easy, job->conf->starttls)
           && otpreg_smtp_job_set_mail(easy, job);
}


void
otpreg_smtp_job_free(otpreg_smtp_job_t *job)
{
    curl_mime_free(job->mime);
    curl_slist_free_all(job->headers);
    curl_slist_free_all(job->to);

    job->mime = NULL;
    job->headers = NULL;
    job->to = NULL;
}
