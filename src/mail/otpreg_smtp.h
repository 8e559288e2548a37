
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SMTP_H_INCLUDED_
#define _OTPREG_SMTP_H_INCLUDED_


#include <signal.h>
#include <stdbool.h>
#include <stdint.h>


/*
 * The room "mail": one mail by SMTP, through libcurl: MIME, TLS, AUTH,
 * deadlines, the wiping of what was sent.  It may block.  Not here: nginx, the
 * database, what a mail says.
 */


#define OTPREG_SMTP_ERROR_SIZE   128


/* one SMTP server, as configured; read-only; strings NUL-terminated */

typedef struct {
    const char                      *url;        /* smtp[s]://host[:port] */
    const char                      *from;       /* the header's value, UTF-8 */
    const char                      *from_address;   /* the envelope's */
    const char                      *user;       /* or NULL */
    const char                      *password;   /* or NULL; a secret */
    const char                      *ca_file;    /* PEM, or NULL: system's */
    const char                      *helo;       /* EHLO name, or NULL */
    bool                             starttls;   /* required, smtp:// only */
    long                             connect_timeout_ms;
    long                             timeout_ms; /* the whole delivery */
    const volatile sig_atomic_t     *abort;      /* not 0: stop at once */
} otpreg_smtp_conf_t;


typedef struct {
    const char                      *to;         /* one address */
    const char                      *subject;    /* UTF-8, not encoded */
    const char                      *text;       /* UTF-8 */
    const char                      *html;       /* UTF-8, or NULL */
    const char                      *message_id; /* without <>, with @ */
    int64_t                          date;       /* Unix seconds */
    const volatile sig_atomic_t     *unwanted;   /* or NULL; not 0: stop while
                                                    nothing was handed over */
} otpreg_mail_t;


typedef enum {
    OTPREG_SMTP_SENT,
    OTPREG_SMTP_REFUSED,        /* 5xx to this mail: do not try again */
    OTPREG_SMTP_LATER,          /* 4xx, 421, no connection, TLS, timeout */
    OTPREG_SMTP_ABORTED         /* the worker exits, or it is unwanted */
} otpreg_smtp_status_t;


typedef struct {
    otpreg_smtp_status_t             status;
    int                              reply;      /* last SMTP reply, or 0 */
    char                             error[OTPREG_SMTP_ERROR_SIZE];
} otpreg_smtp_result_t;


/*
 * Deliver one mail to one recipient.  Blocks: mail thread only.  A handle and
 * its connection stay with the thread and are used again; a connection that
 * turns out to be dead before the mail was accepted is replaced once.
 *
 * When the connection is lost after DATA was accepted, or an abort comes then,
 * nobody knows whether the mail went out: it is OTPREG_SMTP_LATER or _ABORTED,
 * and a repetition, which the recipient may see twice, is up to the caller.
 *
 * A failed AUTH (535, 534, ...) and every 5xx before RCPT is a fault of the
 * configuration, not of this mail: OTPREG_SMTP_LATER.  result->error is a
 * short reason of ours (no address, no text from the server, no secret).
 */
void otpreg_smtp_send(const otpreg_smtp_conf_t *conf,
    const otpreg_mail_t *mail, otpreg_smtp_result_t *result);


/*
 * Once in a process, before threads use libcurl: curl_global_init_mem() with
 * an allocator that wipes what is freed.  Returns whether it worked.
 */
bool otpreg_smtp_init(void);


/*
 * Once in a process, after the threads were told to end (in exit_process):
 * waits up to a second until those that sent mail have closed what they keep,
 * then curl_global_cleanup().  Without it exit() may pull OpenSSL away from a
 * thread that still uses it: nginx does not join its pool threads.
 *
 * Returns whether they have; else nothing they use may be freed.
 */
bool otpreg_smtp_exit(void);


#endif /* _OTPREG_SMTP_H_INCLUDED_ */
