
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "otpreg_mime.h"
#include "otpreg_smtp.h"
#include "otpreg_smtp_thread.h"


/* how long an answer to QUIT is waited for */
#define OTPREG_SMTP_QUIT_MS      1000

/* a slash, a host name and the end */
#define OTPREG_SMTP_HELO_SIZE    258


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


typedef struct {
    const otpreg_smtp_conf_t   *conf;
    const otpreg_mail_t        *mail;
    otpreg_smtp_result_t       *result;
    otpreg_smtp_thread_t       *thread;

    CURLU                      *url;
    struct curl_slist          *to;
    struct curl_slist          *headers;
    curl_mime                  *mime;

    int64_t                     deadline;       /* monotonic, ms */
    int64_t                     quit;           /* QUIT was sent then, or 0 */
    otpreg_smtp_phase_t         phase;
    int                         reply;          /* to the last command, or 0 */
    bool                        auth;           /* was tried */
    bool                        fresh;          /* on a new connection only */
    bool                        stale;          /* a reused one was dead */
} otpreg_smtp_job_t;


static const char *const  otpreg_smtp_phases[] = {
    "connect", "EHLO", "STARTTLS", "AUTH", "MAIL FROM", "RCPT TO", "DATA",
    "end of data"
};


static int64_t
otpreg_smtp_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static bool
otpreg_smtp_aborted(const otpreg_smtp_conf_t *conf)
{
    return conf->abort != NULL && *conf->abort != 0;
}


/*
 * libcurl tells the last reply, not what it answers: follow the dialogue.
 * After AUTH come lines of base64, which hold a password: they match none of
 * these, as none of these is made of base64's characters alone, but DATA,
 * which must follow RCPT.
 */

static void
otpreg_smtp_trace_command(otpreg_smtp_job_t *job, const char *line,
    size_t len)
{
    unsigned             i;

    static const struct {
        const char           *text;
        size_t                len;
        otpreg_smtp_phase_t   phase;
    } commands[] = {
        { "EHLO ",      5,  OTPREG_SMTP_EHLO },
        { "HELO ",      5,  OTPREG_SMTP_EHLO },
        { "STARTTLS\r", 9,  OTPREG_SMTP_STARTTLS },
        { "AUTH ",      5,  OTPREG_SMTP_AUTH },
        { "MAIL FROM:", 10, OTPREG_SMTP_MAIL },
        { "RCPT TO:",   8,  OTPREG_SMTP_RCPT }
    };

    if (len >= 5 && memcmp(line, "QUIT\r", 5) == 0) {
        job->quit = otpreg_smtp_now();
        return;
    }

    job->quit = 0;
    job->reply = 0;

    if (job->phase == OTPREG_SMTP_RCPT
        && len >= 4 && memcmp(line, "DATA", 4) == 0)
    {
        job->phase = OTPREG_SMTP_DATA;
        return;
    }

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (len >= commands[i].len
            && memcmp(line, commands[i].text, commands[i].len) == 0)
        {
            job->phase = commands[i].phase;
            break;
        }
    }

    if (job->phase == OTPREG_SMTP_AUTH) {
        job->auth = true;
    }
}


static void
otpreg_smtp_trace_reply(otpreg_smtp_job_t *job, const char *line, size_t len)
{
    unsigned  i;

    /* "250-" is not the end of a reply */

    if (job->quit != 0 || len < 4 || line[3] == '-') {
        return;
    }

    for (i = 0; i < 3; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return;
        }
    }

    job->reply = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';

    if (job->phase == OTPREG_SMTP_DATA && job->reply == 354) {
        job->phase = OTPREG_SMTP_BODY;
    }
}


static int
otpreg_smtp_trace(CURL *easy, curl_infotype type, char *data, size_t size,
    void *job)
{
    (void) easy;

    if (type == CURLINFO_HEADER_OUT) {
        otpreg_smtp_trace_command(job, data, size);

    } else if (type == CURLINFO_HEADER_IN) {
        otpreg_smtp_trace_reply(job, data, size);
    }

    return 0;
}


/* called at least once a second; not 0 ends the delivery */

static int
otpreg_smtp_progress(void *data, curl_off_t dltotal, curl_off_t dlnow,
    curl_off_t ultotal, curl_off_t ulnow)
{
    otpreg_smtp_job_t  *job = data;

    (void) dltotal;
    (void) dlnow;
    (void) ultotal;
    (void) ulnow;

    return otpreg_smtp_aborted(job->conf)
           || (job->quit != 0
               && otpreg_smtp_now() - job->quit >= OTPREG_SMTP_QUIT_MS);
}


static bool
otpreg_smtp_set_tls(CURL *easy, const otpreg_smtp_conf_t *conf)
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
otpreg_smtp_set_limits(CURL *easy, const otpreg_smtp_job_t *job)
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
otpreg_smtp_set_callbacks(CURL *easy, otpreg_smtp_job_t *job)
{
    int  rc;

    rc = curl_easy_setopt(easy, CURLOPT_VERBOSE, 1L);
    rc |= curl_easy_setopt(easy, CURLOPT_DEBUGFUNCTION, otpreg_smtp_trace);
    rc |= curl_easy_setopt(easy, CURLOPT_DEBUGDATA, job);

    rc |= curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    rc |= curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION,
                           otpreg_smtp_progress);
    rc |= curl_easy_setopt(easy, CURLOPT_XFERINFODATA, job);

    return rc == CURLE_OK;
}


static bool
otpreg_smtp_set_server(CURL *easy, const otpreg_smtp_job_t *job)
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
otpreg_smtp_set_mail(CURL *easy, otpreg_smtp_job_t *job)
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
        return "aborted";

    case CURLE_USE_SSL_FAILED:
        return "STARTTLS is not offered or refused";

    case CURLE_LOGIN_DENIED:
        return "authentication failed";

    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_WEIRD_SERVER_REPLY:
        return job->reply >= 400 ? "refused" : "connection lost";

    default:

        /* a text of libcurl's own, nothing of this mail or server in it */

        return curl_easy_strerror(rc);
    }
}


static bool
otpreg_smtp_refused(const otpreg_smtp_job_t *job, bool reused)
{
    if (job->phase < OTPREG_SMTP_RCPT
        || job->reply < 500 || job->reply > 599)
    {
        return false;
    }

    /* 530, 534, 535, 538: what is wrong is how we authenticate */

    switch (job->reply) {

    case 530:
    case 534:
    case 535:
    case 538:
        return false;
    }

    return job->conf->user == NULL || job->auth || reused;
}


static void
otpreg_smtp_classify(otpreg_smtp_job_t *job, CURLcode rc, bool reused)
{
    otpreg_smtp_result_t  *result = job->result;

    result->reply = job->reply;
    result->error[0] = '\0';

    if (rc == CURLE_OK) {
        result->status = OTPREG_SMTP_SENT;
        return;
    }

    snprintf(result->error, OTPREG_SMTP_ERROR_SIZE, "%s at %s",
             otpreg_smtp_reason(job, rc), otpreg_smtp_phases[job->phase]);

    if (otpreg_smtp_aborted(job->conf) && rc == CURLE_ABORTED_BY_CALLBACK) {
        result->status = OTPREG_SMTP_ABORTED;
        return;
    }

    result->status = otpreg_smtp_refused(job, reused) ? OTPREG_SMTP_REFUSED
                                                      : OTPREG_SMTP_LATER;

    /* after 354 nobody knows whether the mail was accepted: not again here */

    job->stale = reused && job->phase < OTPREG_SMTP_BODY
                 && rc != CURLE_OPERATION_TIMEDOUT
                 && rc != CURLE_OUT_OF_MEMORY
                 && (job->reply == 0 || job->reply == 421);
}


static void
otpreg_smtp_perform(otpreg_smtp_job_t *job, CURL *easy)
{
    long      connects;
    CURLcode  rc;

    if (!otpreg_smtp_set_tls(easy, job->conf)
        || !otpreg_smtp_set_limits(easy, job)
        || !otpreg_smtp_set_callbacks(easy, job)
        || !otpreg_smtp_set_server(easy, job)
        || !otpreg_smtp_thread_attach(job->thread, easy, job->conf->starttls)
        || !otpreg_smtp_set_mail(easy, job))
    {
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

    job->to = NULL;
    job->headers = NULL;
    job->mime = NULL;
    job->quit = 0;
    job->phase = OTPREG_SMTP_CONNECT;
    job->reply = 0;
    job->auth = false;
    job->stale = false;

    easy = curl_easy_init();

    if (easy == NULL) {
        otpreg_smtp_classify(job, CURLE_OUT_OF_MEMORY, false);
        return;
    }

    otpreg_smtp_perform(job, easy);

    curl_easy_cleanup(easy);
    curl_mime_free(job->mime);
    curl_slist_free_all(job->headers);
    curl_slist_free_all(job->to);
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

    if (otpreg_smtp_aborted(conf)) {
        otpreg_smtp_result(result, OTPREG_SMTP_ABORTED, "aborted");
        return;
    }

    if (!otpreg_mime_safe(conf->from, conf->from_address, mail)) {
        otpreg_smtp_result(result, OTPREG_SMTP_REFUSED,
                           "an address or a header is not safe");
        return;
    }

    memset(&job, 0, sizeof(otpreg_smtp_job_t));

    job.conf = conf;
    job.mail = mail;
    job.result = result;
    job.deadline = otpreg_smtp_now() + conf->timeout_ms;
    job.thread = otpreg_smtp_thread();
    job.url = otpreg_smtp_url(conf);

    if (job.thread == NULL || job.url == NULL) {
        otpreg_smtp_result(result, OTPREG_SMTP_LATER,
                           job.thread == NULL ? "no memory" : "invalid URL");

    } else {
        otpreg_smtp_try(&job);

        if (job.stale) {
            job.fresh = true;
            otpreg_smtp_try(&job);
        }
    }

    curl_url_cleanup(job.url);
}

