
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Sends mail by otpreg_smtp_send() from a thread of its own, for smtp.t:
 *
 *     smtp_send name=value ...
 *
 * url= from= address= to= user= password_file= ca= helo= starttls=1
 * connect_timeout= timeout= (ms) subject_file= text_file= html_file= id= date=
 * count=N (mails), pause= (ms between them), abort= (ms after the start),
 * url2= starttls2=1 (for every second mail), threads=N,
 * scan=STRING (reversed: is the string it came from left in our memory?).
 *
 * Prints a line a mail: status, reply, milliseconds, error; then how long the
 * end took and, when asked for, how often the string was found.
 */


#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "otpreg_smtp.h"


#define SMTP_SEND_FILE     262144
#define SMTP_SEND_THREADS  16


static char                   **smtp_send_argv;
static volatile sig_atomic_t    smtp_send_abort;
static pthread_barrier_t        smtp_send_idle;
static pthread_barrier_t        smtp_send_end;
static char                     smtp_send_secret[64];


static const char *
smtp_send_arg(const char *name, const char *otherwise)
{
    size_t   len;
    char   **arg;

    len = strlen(name);

    for (arg = smtp_send_argv + 1; *arg != NULL; arg++) {
        if (strncmp(*arg, name, len) == 0 && (*arg)[len] == '=') {
            return *arg + len + 1;
        }
    }

    return otherwise;
}


static long
smtp_send_number(const char *name, const char *otherwise)
{
    return atol(smtp_send_arg(name, otherwise));
}


static char *
smtp_send_file(const char *name)
{
    int          fd;
    char        *data;
    ssize_t      n;
    const char  *path;

    path = smtp_send_arg(name, NULL);
    if (path == NULL) {
        return NULL;
    }

    data = calloc(1, SMTP_SEND_FILE);
    fd = open(path, O_RDONLY);
    n = (fd == -1 || data == NULL) ? -1 : read(fd, data, SMTP_SEND_FILE - 1);

    if (n == -1) {
        fprintf(stderr, "cannot read %s\n", path);
        exit(2);
    }

    close(fd);

    return data;
}


static void
smtp_send_file_free(char *data)
{
    if (data != NULL) {
        sodium_memzero(data, SMTP_SEND_FILE);
        free(data);
    }
}


static int64_t
smtp_send_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static void
smtp_send_sleep(long ms)
{
    struct timespec  ts;

    ts.tv_sec = ms / 1000;
    ts.tv_nsec = ms % 1000 * 1000000;

    nanosleep(&ts, NULL);
}


static void
smtp_send_conf(otpreg_smtp_conf_t *conf, const char *password)
{
    memset(conf, 0, sizeof(otpreg_smtp_conf_t));

    conf->url = smtp_send_arg("url", "smtp://127.0.0.1:25");
    conf->from = smtp_send_arg("from", "no-reply@example.com");
    conf->from_address = smtp_send_arg("address", "no-reply@example.com");
    conf->user = smtp_send_arg("user", NULL);
    conf->password = password;
    conf->ca_file = smtp_send_arg("ca", NULL);
    conf->helo = smtp_send_arg("helo", NULL);
    conf->starttls = smtp_send_number("starttls", "0") != 0;
    conf->connect_timeout_ms = smtp_send_number("connect_timeout", "5000");
    conf->timeout_ms = smtp_send_number("timeout", "10000");
    conf->abort = &smtp_send_abort;
}


static void
smtp_send_print(const otpreg_smtp_result_t *result, int64_t ms)
{
    static const char *const  status[] = {
        "SENT", "REFUSED", "LATER", "ABORTED"
    };

    printf("%s %d %lld %s\n", status[result->status], result->reply,
           (long long) ms, result->error);
    fflush(stdout);
}


static void
smtp_send_mails(const otpreg_smtp_conf_t *confs, const otpreg_mail_t *mail)
{
    long                   i, count;
    int64_t                start;
    otpreg_smtp_result_t   result;

    count = smtp_send_number("count", "1");

    for (i = 0; i < count; i++) {
        if (i != 0) {
            smtp_send_sleep(smtp_send_number("pause", "0"));
        }

        start = smtp_send_now();
        otpreg_smtp_send(&confs[i % 2], mail, &result);
        smtp_send_print(&result, smtp_send_now() - start);
    }
}


static void *
smtp_send_thread(void *unused)
{
    char                *password, *subject, *text, *html;
    otpreg_mail_t        mail;
    otpreg_smtp_conf_t   confs[2];

    (void) unused;

    password = smtp_send_file("password_file");
    subject = smtp_send_file("subject_file");
    text = smtp_send_file("text_file");
    html = smtp_send_file("html_file");

    smtp_send_conf(&confs[0], password);

    confs[1] = confs[0];
    confs[1].url = smtp_send_arg("url2", confs[0].url);
    confs[1].starttls = smtp_send_number("starttls2",
                                         confs[0].starttls ? "1" : "0") != 0;

    mail.to = smtp_send_arg("to", "someone@example.net");
    mail.subject = subject != NULL ? subject : "A subject";
    mail.text = text != NULL ? text : "A text\n";
    mail.html = html;
    mail.message_id = smtp_send_arg("id", "0123456789@example.com");
    mail.date = smtp_send_number("date", "1795382568");

    smtp_send_mails(confs, &mail);

    smtp_send_file_free(password);
    smtp_send_file_free(subject);
    smtp_send_file_free(text);
    smtp_send_file_free(html);

    pthread_barrier_wait(&smtp_send_idle);
    pthread_barrier_wait(&smtp_send_end);

    return NULL;
}


static unsigned
smtp_send_scan_range(int fd, unsigned long start, unsigned long end)
{
    char          *data;
    size_t         len, i, j, n;
    ssize_t        size;
    unsigned       found;

    len = strlen(smtp_send_secret);
    data = malloc(end - start);
    found = 0;

    if (data == NULL) {
        return 0;
    }

    size = pread(fd, data, end - start, (off_t) start);
    n = size < (ssize_t) len ? 0 : (size_t) size - len + 1;

    for (i = 0; i < n; i++) {
        for (j = 0; j < len && data[i + j] == smtp_send_secret[len - 1 - j];
             j++)
        {
            /* void */
        }

        if (j == len) {
            found++;
            fprintf(stderr, "found at %lx: %.80s\n", start + i,
                    i < 40 ? data + i : data + i - 40);
        }
    }

    sodium_memzero(data, end - start);
    free(data);

    return found;
}


static unsigned
smtp_send_scan(void)
{
    int             fd;
    FILE           *maps;
    char            line[512], mode[8];
    unsigned        found;
    unsigned long   start, end;

    maps = fopen("/proc/self/maps", "r");
    fd = open("/proc/self/mem", O_RDONLY);

    if (maps == NULL || fd == -1) {
        fprintf(stderr, "cannot read our memory\n");
        exit(2);
    }

    found = 0;

    while (fgets(line, sizeof(line), maps) != NULL) {
        if (sscanf(line, "%lx-%lx %7s", &start, &end, mode) == 3
            && mode[0] == 'r' && mode[1] == 'w'
            && end - start < 256UL * 1024 * 1024)
        {
            found += smtp_send_scan_range(fd, start, end);
        }
    }

    fclose(maps);
    close(fd);

    return found;
}


static void *
smtp_send_aborter(void *unused)
{
    (void) unused;

    smtp_send_sleep(smtp_send_number("abort", "0"));
    smtp_send_abort = 1;

    return NULL;
}


int
main(int argc, char **argv)
{
    long       i, threads;
    int64_t    start;
    pthread_t  ids[SMTP_SEND_THREADS], aborter;

    (void) argc;

    smtp_send_argv = argv;
    signal(SIGPIPE, SIG_IGN);

    snprintf(smtp_send_secret, sizeof(smtp_send_secret), "%s",
             smtp_send_arg("scan", ""));

    if (!otpreg_smtp_init() || !otpreg_smtp_init()) {
        return 2;
    }

    threads = smtp_send_number("threads", "1");
    if (threads < 1 || threads > SMTP_SEND_THREADS) {
        return 2;
    }

    pthread_barrier_init(&smtp_send_idle, NULL, (unsigned) threads + 1);
    pthread_barrier_init(&smtp_send_end, NULL, (unsigned) threads + 1);

    if (smtp_send_arg("abort", NULL) != NULL) {
        pthread_create(&aborter, NULL, smtp_send_aborter, NULL);
    }

    for (i = 0; i < threads; i++) {
        pthread_create(&ids[i], NULL, smtp_send_thread, NULL);
    }

    pthread_barrier_wait(&smtp_send_idle);

    if (smtp_send_secret[0] != '\0') {
        printf("found %u\n", smtp_send_scan());
    }

    start = smtp_send_now();
    pthread_barrier_wait(&smtp_send_end);

    /* as nginx does: not joined before */

    otpreg_smtp_exit();

    printf("end %lld\n", (long long) (smtp_send_now() - start));

    for (i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
    }

    if (smtp_send_arg("abort", NULL) != NULL) {
        pthread_join(aborter, NULL);
    }

    return 0;
}
