
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>
#include <time.h>

#include "otpreg_smtp_trace.h"


int64_t
otpreg_smtp_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/*
 * libcurl tells the last reply, not what it answers: follow the dialogue.
 * After AUTH come lines of base64, which hold a password.  Of these commands
 * only DATA, which must follow RCPT, QUIT and STARTTLS are made of base64's
 * characters alone, and the two would be names or passwords with control bytes.
 */

static void
otpreg_smtp_trace_command(otpreg_smtp_trace_t *trace, const char *line,
    size_t len)
{
    unsigned  i;

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
        trace->quit = otpreg_smtp_now();
        return;
    }

    trace->quit = 0;
    trace->reply = 0;

    if (trace->phase == OTPREG_SMTP_RCPT
        && len >= 4 && memcmp(line, "DATA", 4) == 0)
    {
        trace->phase = OTPREG_SMTP_DATA;
        return;
    }

    for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (len >= commands[i].len
            && memcmp(line, commands[i].text, commands[i].len) == 0)
        {
            trace->phase = commands[i].phase;
            break;
        }
    }

    if (trace->phase == OTPREG_SMTP_EHLO) {
        trace->greeted = true;
    }

    if (trace->phase == OTPREG_SMTP_AUTH) {
        trace->auth = true;
    }
}


static void
otpreg_smtp_trace_reply(otpreg_smtp_trace_t *trace, const char *line,
    size_t len)
{
    unsigned  i;

    /* "250-" is not the end of a reply */

    if (trace->quit != 0 || len < 4 || line[3] == '-') {
        return;
    }

    for (i = 0; i < 3; i++) {
        if (line[i] < '0' || line[i] > '9') {
            return;
        }
    }

    trace->reply = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';

    if (trace->phase == OTPREG_SMTP_DATA && trace->reply == 354) {
        trace->phase = OTPREG_SMTP_BODY;
    }
}


int
otpreg_smtp_trace(CURL *easy, curl_infotype type, char *data, size_t size,
    void *trace)
{
    (void) easy;

    if (type == CURLINFO_HEADER_OUT) {
        otpreg_smtp_trace_command(trace, data, size);

    } else if (type == CURLINFO_HEADER_IN) {
        otpreg_smtp_trace_reply(trace, data, size);
    }

    return 0;
}
