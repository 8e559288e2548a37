
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "otpreg_db_conn.h"


/* a connection: its hosts, its options, its end */


static void otpreg_db_failback(otpreg_db_t *db);
static void otpreg_db_connected(otpreg_db_t *db, unsigned host);
static int64_t otpreg_db_now_ms(void);
static otpreg_db_rc_t otpreg_db_open(otpreg_db_t *db, const char *host);
static otpreg_db_rc_t otpreg_db_verify(otpreg_db_t *db);
static void otpreg_db_options(const otpreg_db_conf_t *conf, MYSQL *mysql);
static void otpreg_db_options_tls(const otpreg_db_conf_t *conf, MYSQL *mysql);
static void otpreg_db_wipe_password(MYSQL *mysql);


otpreg_db_t *
otpreg_db_create(const otpreg_db_conf_t *conf, const char *const *sql,
    unsigned n, otpreg_db_check_pt check)
{
    otpreg_db_t  *db;

    db = calloc(1, sizeof(otpreg_db_t));
    if (db == NULL) {
        return NULL;
    }

    db->stmt = calloc(n, sizeof(otpreg_db_stmt_t));
    if (db->stmt == NULL) {
        free(db);
        return NULL;
    }

    db->conf = conf;
    db->sql = sql;
    db->nsql = n;
    db->check = check;

    return db;
}


void
otpreg_db_destroy(otpreg_db_t *db)
{
    otpreg_db_disconnect(db);
    free(db->stmt);
    free(db);
}


otpreg_db_rc_t
otpreg_db_connect(otpreg_db_t *db)
{
    int                      n;
    char                     error[OTPREG_DB_ERROR_SIZE];
    size_t                   len;
    unsigned                 i;
    const otpreg_db_conf_t  *conf;

    if (db->mysql != NULL) {
        otpreg_db_failback(db);
        return OTPREG_DB_OK;
    }

    conf = db->conf;

    if (conf->socket != NULL) {
        return otpreg_db_open(db, NULL);
    }

    len = 0;
    error[0] = '\0';

    for (i = 0; i < conf->nhosts; i++) {

        if (otpreg_db_open(db, conf->host[i]) == OTPREG_DB_OK) {
            otpreg_db_error_clear(db);
            otpreg_db_connected(db, i);
            return OTPREG_DB_OK;
        }

        if (conf->nhosts == 1) {
            return OTPREG_DB_DOWN;
        }

        n = snprintf(error + len, sizeof(error) - len, "%s%s: %s",
                     i == 0 ? "" : "; ", conf->host[i], db->error);
        len += (size_t) n;

        if (len >= sizeof(error)) {
            len = sizeof(error) - 1;
        }
    }

    otpreg_db_explain(db, "%s", error);

    return OTPREG_DB_DOWN;
}


/*
 * A host that was away may be back: who has moved on to a later one looks now
 * and then, and keeps what it has until a better one answers.
 */

static void
otpreg_db_failback(otpreg_db_t *db)
{
    unsigned      i;
    otpreg_db_t  *earlier, kept;

    if (db->host == 0 || db->conf->failback_ms == 0
        || otpreg_db_now_ms() < db->failback_at)
    {
        return;
    }

    otpreg_db_connected(db, db->host);

    earlier = otpreg_db_create(db->conf, db->sql, db->nsql, db->check);
    if (earlier == NULL) {
        return;
    }

    for (i = 0; i < db->host; i++) {

        if (otpreg_db_open(earlier, db->conf->host[i]) == OTPREG_DB_OK) {
            otpreg_db_connected(earlier, i);

            kept = *db;
            *db = *earlier;
            *earlier = kept;

            break;
        }
    }

    otpreg_db_destroy(earlier);
}


/* the threads that have moved together do not all look at once */

static void
otpreg_db_connected(otpreg_db_t *db, unsigned host)
{
    db->host = host;
    db->failback_at = otpreg_db_now_ms() + db->conf->failback_ms
                      + randombytes_uniform(db->conf->failback_ms / 2 + 1);
}


static int64_t
otpreg_db_now_ms(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


void
otpreg_db_disconnect(otpreg_db_t *db)
{
    if (db->mysql == NULL) {
        return;
    }

    otpreg_db_statements_close(db);

    mysql_close(db->mysql);
    db->mysql = NULL;
    db->ready = false;
}


static otpreg_db_rc_t
otpreg_db_open(otpreg_db_t *db, const char *host)
{
    MYSQL                   *mysql;
    const otpreg_db_conf_t  *conf;

    conf = db->conf;

    mysql = mysql_init(NULL);
    if (mysql == NULL) {
        otpreg_db_explain(db, "mysql_init() failed");
        return OTPREG_DB_DOWN;
    }

    otpreg_db_options(conf, mysql);

    /* without CLIENT_FOUND_ROWS: affected rows must be changed rows */

    if (mysql_real_connect(mysql, host, conf->user, conf->password,
                           conf->name, conf->port, conf->socket, 0)
        == NULL)
    {
        (void) otpreg_db_fail(db, "mysql_real_connect()", mysql_errno(mysql),
                              mysql_sqlstate(mysql), mysql_error(mysql));
        otpreg_db_wipe_password(mysql);
        mysql_close(mysql);
        return OTPREG_DB_DOWN;
    }

    otpreg_db_wipe_password(mysql);

    db->mysql = mysql;

    if (otpreg_db_verify(db) != OTPREG_DB_OK) {
        otpreg_db_disconnect(db);
        return OTPREG_DB_DOWN;
    }

    db->ready = true;

    return OTPREG_DB_OK;
}


/* whether the server at the other end is one that we can work with */

static otpreg_db_rc_t
otpreg_db_verify(otpreg_db_t *db)
{
    otpreg_db_rc_t  rc;

    /*
     * libmariadb 3.3 takes MYSQL_OPT_SSL_ENFORCE for a wish unless it shall
     * verify, too: the login went in clear text, but nothing else shall
     */

    if (db->conf->ssl != OTPREG_DB_SSL_DISABLED
        && mysql_get_ssl_cipher(db->mysql) == NULL)
    {
        otpreg_db_explain(db, "the server has no TLS");
        return OTPREG_DB_DOWN;
    }

    rc = otpreg_db_session_start(db);

    return (rc == OTPREG_DB_OK) ? db->check(db) : rc;
}


static void
otpreg_db_options(const otpreg_db_conf_t *conf, MYSQL *mysql)
{
    unsigned  off, protocol;

    off = 0;

    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &conf->connect_timeout);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &conf->read_timeout);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &conf->read_timeout);
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");

    /* "localhost" is a host, too, and not the name of a socket */

    if (conf->socket == NULL) {
        protocol = MYSQL_PROTOCOL_TCP;
        mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    }

    if (conf->ssl_ca != NULL) {
        mysql_options(mysql, MYSQL_OPT_SSL_CA, conf->ssl_ca);
    }

    otpreg_db_options_tls(conf, mysql);
}


#ifdef LIBMARIADB

static void
otpreg_db_options_tls(const otpreg_db_conf_t *conf, MYSQL *mysql)
{
    otpreg_db_bool_t  enforce, verify;

    enforce = (conf->ssl != OTPREG_DB_SSL_DISABLED);
    verify = (conf->ssl == OTPREG_DB_SSL_VERIFY_IDENTITY);

    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &enforce);
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

#else

/* libmysqlclient does not know where a system keeps its certificates */

static const char *
otpreg_db_system_ca(void)
{
    unsigned  i;

    static const char *const  files[] = {
        "/etc/ssl/certs/ca-certificates.crt",   /* Debian, Alpine, Arch */
        "/etc/pki/tls/certs/ca-bundle.crt",     /* Red Hat */
        "/etc/ssl/ca-bundle.pem",               /* SUSE */
        "/etc/ssl/cert.pem"                     /* BSD */
    };

    for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (access(files[i], R_OK) == 0) {
            return files[i];
        }
    }

    return NULL;
}


static void
otpreg_db_options_tls(const otpreg_db_conf_t *conf, MYSQL *mysql)
{
    bool         on;
    unsigned     mode;
    const char  *ca;

    on = true;

    switch (conf->ssl) {

    case OTPREG_DB_SSL_VERIFY_IDENTITY:
        mode = SSL_MODE_VERIFY_IDENTITY;
        ca = conf->ssl_ca ? NULL : otpreg_db_system_ca();

        if (ca != NULL) {
            mysql_options(mysql, MYSQL_OPT_SSL_CA, ca);
        }

        break;

    case OTPREG_DB_SSL_REQUIRED:
        mode = SSL_MODE_REQUIRED;
        break;

    default:
        mode = SSL_MODE_DISABLED;

        /* libmariadb asks for the key of caching_sha2_password by itself */

        mysql_options(mysql, MYSQL_OPT_GET_SERVER_PUBLIC_KEY, &on);
    }

    mysql_options(mysql, MYSQL_OPT_SSL_MODE, &mode);
}

#endif


/* the library's copy serves reconnects of its own, which there are none of */

static void
otpreg_db_wipe_password(MYSQL *mysql)
{
    if (mysql->passwd != NULL) {
        sodium_memzero(mysql->passwd, strlen(mysql->passwd));
    }
}


bool
otpreg_db_library_init(void)
{
    return mysql_library_init(0, NULL, NULL) == 0;
}


void
otpreg_db_library_end(void)
{
    mysql_library_end();
}


void
otpreg_db_thread_end(void)
{
    mysql_thread_end();
}
