
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mysql.h>
#include <errmsg.h>
#include <mysqld_error.h>
#include <sodium.h>

#include "otpreg_db.h"


#define OTPREG_DB_PARAMS_MAX     24
#define OTPREG_DB_COLUMNS_MAX    20
#define OTPREG_DB_KEY_SIZE       128
#define OTPREG_DB_SESSION_SIZE   80

/* the longest wait for a lock of somebody else, in seconds */
#define OTPREG_DB_LOCK_WAIT_MAX  5


#ifdef LIBMARIADB
typedef my_bool  otpreg_db_bool_t;
#else
typedef bool     otpreg_db_bool_t;
#endif

#ifndef CR_CONNECTION_KILLED
#define ER_OTPREG_CONNECTION_KILLED     1927    /* MariaDB's */
#else
#define ER_OTPREG_CONNECTION_KILLED     CR_CONNECTION_KILLED
#endif

#define ER_OTPREG_WSREP_NOT_READY       1047    /* Galera: not synced */
#define ER_OTPREG_READ_ONLY             1290
#define ER_OTPREG_READ_ONLY_TRANSACTION 1792
#define ER_OTPREG_READ_ONLY_MODE        1836
#define ER_OTPREG_CLIENT_TIMEOUT        4031    /* MySQL's, of wait_timeout */
#define ER_OTPREG_STATEMENT_TIMEOUT     1969    /* MariaDB's */
#define ER_OTPREG_TOO_MANY_TRXS         1637
#define EE_OTPREG_WRITE                 3
#define EE_OTPREG_DISK_FULL             20


struct otpreg_db_s {
    const otpreg_db_conf_t      *conf;
    const char *const           *sql;
    unsigned                     nsql;
    MYSQL                       *mysql;         /* NULL: not connected */
    MYSQL_STMT                 **stmt;          /* nsql, NULL: not prepared */
    MYSQL_STMT                  *open;          /* has rows to fetch */
    char                         key[OTPREG_DB_KEY_SIZE];
    char                         error[OTPREG_DB_ERROR_SIZE];
};


typedef struct {
    MYSQL_BIND                   bind[OTPREG_DB_COLUMNS_MAX];
    unsigned long                len[OTPREG_DB_COLUMNS_MAX];
    otpreg_db_bool_t             null[OTPREG_DB_COLUMNS_MAX];
} otpreg_db_row_t;


static const char *const  otpreg_db_session[] = {
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "SET SESSION autocommit = 1"
};


/*
 * Rows and tables (an ALTER TABLE waits, or is waited for): the server gives
 * up before we do, so that nobody is left waiting in it for a lost client.
 */

static const char *const  otpreg_db_lock_waits[] = {
    "innodb_lock_wait_timeout",
    "lock_wait_timeout"
};


static void otpreg_db_options(otpreg_db_t *db, MYSQL *mysql);
static otpreg_db_rc_t otpreg_db_open(otpreg_db_t *db, const char *host);
static otpreg_db_rc_t otpreg_db_session_start(otpreg_db_t *db);
static otpreg_db_rc_t otpreg_db_writable(otpreg_db_t *db);
static otpreg_db_rc_t otpreg_db_prepare(otpreg_db_t *db, unsigned i);
static otpreg_db_rc_t otpreg_db_execute(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params);
static void otpreg_db_bind_columns(otpreg_db_row_t *row,
    otpreg_db_column_t *columns, unsigned n);
static otpreg_db_rc_t otpreg_db_simple(otpreg_db_t *db, const char *sql);
static otpreg_db_rc_t otpreg_db_fail(otpreg_db_t *db, const char *what,
    unsigned code, const char *state, const char *text);
static otpreg_db_rc_t otpreg_db_class(unsigned code);


otpreg_db_t *
otpreg_db_create(const otpreg_db_conf_t *conf, const char *const *sql,
    unsigned n)
{
    otpreg_db_t  *db;

    db = calloc(1, sizeof(otpreg_db_t));
    if (db == NULL) {
        return NULL;
    }

    db->stmt = calloc(n, sizeof(MYSQL_STMT *));
    if (db->stmt == NULL) {
        free(db);
        return NULL;
    }

    db->conf = conf;
    db->sql = sql;
    db->nsql = n;

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
otpreg_db_connect(otpreg_db_t *db, bool *fresh)
{
    unsigned        i;
    otpreg_db_rc_t  rc;

    *fresh = false;

    if (db->mysql != NULL) {
        return OTPREG_DB_OK;
    }

    *fresh = true;

    if (db->conf->socket != NULL) {
        return otpreg_db_open(db, NULL);
    }

    rc = OTPREG_DB_DOWN;

    for (i = 0; i < db->conf->nhosts; i++) {
        rc = otpreg_db_open(db, db->conf->host[i]);
        if (rc == OTPREG_DB_OK) {
            break;
        }
    }

    return rc;
}


void
otpreg_db_disconnect(otpreg_db_t *db)
{
    unsigned  i;

    if (db->mysql == NULL) {
        return;
    }

    otpreg_db_finish(db);

    for (i = 0; i < db->nsql; i++) {
        if (db->stmt[i] != NULL) {
            mysql_stmt_close(db->stmt[i]);
            db->stmt[i] = NULL;
        }
    }

    mysql_close(db->mysql);
    db->mysql = NULL;
}


static void
otpreg_db_options(otpreg_db_t *db, MYSQL *mysql)
{
    unsigned                 off;
    const otpreg_db_conf_t  *conf;

    off = 0;
    conf = db->conf;

    mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &conf->connect_timeout);
    mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &conf->read_timeout);
    mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &conf->read_timeout);
    mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off);
    mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");

    if (conf->ssl_ca != NULL) {
        mysql_options(mysql, MYSQL_OPT_SSL_CA, conf->ssl_ca);
    }

#ifdef LIBMARIADB
    {
    otpreg_db_bool_t  enforce, verify;

    enforce = (conf->ssl != OTPREG_DB_SSL_DISABLED);
    verify = (conf->ssl == OTPREG_DB_SSL_VERIFY_IDENTITY);

    mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &enforce);
    mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
    }
#else
    {
    unsigned  mode;

    mode = (conf->ssl == OTPREG_DB_SSL_VERIFY_IDENTITY)
                                                    ? SSL_MODE_VERIFY_IDENTITY
           : (conf->ssl == OTPREG_DB_SSL_REQUIRED) ? SSL_MODE_REQUIRED
                                                   : SSL_MODE_DISABLED;

    mysql_options(mysql, MYSQL_OPT_SSL_MODE, &mode);
    }
#endif
}


/* the library's copy serves reconnects of its own, which there are none of */

static void
otpreg_db_wipe_password(MYSQL *mysql)
{
    if (mysql->passwd != NULL) {
        sodium_memzero(mysql->passwd, strlen(mysql->passwd));
    }
}


static otpreg_db_rc_t
otpreg_db_open(otpreg_db_t *db, const char *host)
{
    MYSQL                   *mysql;
    const otpreg_db_conf_t  *conf;

    conf = db->conf;

    mysql = mysql_init(NULL);
    if (mysql == NULL) {
        snprintf(db->error, sizeof(db->error), "mysql_init() failed");
        return OTPREG_DB_DOWN;
    }

    otpreg_db_options(db, mysql);

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

    /*
     * libmariadb 3.3 takes MYSQL_OPT_SSL_ENFORCE for a wish unless it shall
     * verify, too: the login went in clear text, but nothing else shall
     */

    if (conf->ssl != OTPREG_DB_SSL_DISABLED
        && mysql_get_ssl_cipher(mysql) == NULL)
    {
        otpreg_db_disconnect(db);
        snprintf(db->error, sizeof(db->error), "the server has no TLS");
        return OTPREG_DB_DOWN;
    }

    if (otpreg_db_session_start(db) != OTPREG_DB_OK) {
        otpreg_db_disconnect(db);
        return OTPREG_DB_DOWN;
    }

    return otpreg_db_writable(db);
}


static otpreg_db_rc_t
otpreg_db_session_start(otpreg_db_t *db)
{
    char            sql[OTPREG_DB_SESSION_SIZE];
    unsigned        i, wait;
    otpreg_db_rc_t  rc;

    for (i = 0; i < sizeof(otpreg_db_session) / sizeof(char *); i++) {

        rc = otpreg_db_simple(db, otpreg_db_session[i]);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }
    }

    wait = db->conf->read_timeout / 2;

    if (wait < 1) {
        wait = 1;

    } else if (wait > OTPREG_DB_LOCK_WAIT_MAX) {
        wait = OTPREG_DB_LOCK_WAIT_MAX;
    }

    for (i = 0; i < sizeof(otpreg_db_lock_waits) / sizeof(char *); i++) {

        snprintf(sql, sizeof(sql), "SET SESSION %s = %u",
                 otpreg_db_lock_waits[i], wait);

        rc = otpreg_db_simple(db, sql);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }
    }

    return OTPREG_DB_OK;
}


/* a replica answers reads, but a sign-up must be written */

static otpreg_db_rc_t
otpreg_db_writable(otpreg_db_t *db)
{
    MYSQL_ROW   row;
    MYSQL_RES  *res;
    bool        read_only;

    if (otpreg_db_simple(db, "SELECT @@global.read_only") != OTPREG_DB_OK) {
        otpreg_db_disconnect(db);
        return OTPREG_DB_DOWN;
    }

    res = mysql_store_result(db->mysql);
    row = res ? mysql_fetch_row(res) : NULL;
    read_only = (row == NULL || row[0] == NULL
                 || (strcmp(row[0], "0") != 0 && strcmp(row[0], "OFF") != 0));

    if (res != NULL) {
        mysql_free_result(res);
    }

    if (read_only) {
        otpreg_db_disconnect(db);
        snprintf(db->error, sizeof(db->error), "the server is read-only");
        return OTPREG_DB_DOWN;
    }

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_db_prepare(otpreg_db_t *db, unsigned i)
{
    MYSQL_STMT      *stmt;
    otpreg_db_rc_t   rc;

    stmt = mysql_stmt_init(db->mysql);
    if (stmt == NULL) {
        snprintf(db->error, sizeof(db->error), "mysql_stmt_init() failed");
        return OTPREG_DB_FAILED;
    }

    if (mysql_stmt_prepare(stmt, db->sql[i], strlen(db->sql[i])) != 0) {
        rc = otpreg_db_fail(db, "mysql_stmt_prepare()", mysql_stmt_errno(stmt),
                            mysql_stmt_sqlstate(stmt), NULL);
        mysql_stmt_close(stmt);
        return rc;
    }

    db->stmt[i] = stmt;

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_db_execute(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params)
{
    unsigned         n, count;
    MYSQL_BIND       bind[OTPREG_DB_PARAMS_MAX];
    MYSQL_STMT      *stmt;
    otpreg_db_rc_t   rc;

    otpreg_db_finish(db);

    if (db->mysql == NULL) {
        return OTPREG_DB_DOWN;
    }

    if (db->stmt[i] == NULL) {
        rc = otpreg_db_prepare(db, i);
        if (rc != OTPREG_DB_OK) {
            goto done;
        }
    }

    stmt = db->stmt[i];
    count = (unsigned) mysql_stmt_param_count(stmt);

    if (count > OTPREG_DB_PARAMS_MAX) {
        return OTPREG_DB_FAILED;
    }

    memset(bind, 0, sizeof(bind));

    for (n = 0; n < count; n++) {

        switch (params[n].type) {

        case OTPREG_DB_INT:
            bind[n].buffer_type = MYSQL_TYPE_LONGLONG;
            bind[n].buffer = (void *) (uintptr_t) &params[n].num;
            break;

        case OTPREG_DB_BYTES:
            bind[n].buffer_type = MYSQL_TYPE_STRING;
            bind[n].buffer = (void *) (uintptr_t) params[n].data;
            bind[n].buffer_length = params[n].len;
            break;

        default:
            bind[n].buffer_type = MYSQL_TYPE_NULL;
        }
    }

    rc = OTPREG_DB_OK;

    if ((count > 0 && mysql_stmt_bind_param(stmt, bind) != 0)
        || mysql_stmt_execute(stmt) != 0)
    {
        rc = otpreg_db_fail(db, "mysql_stmt_execute()", mysql_stmt_errno(stmt),
                            mysql_stmt_sqlstate(stmt), mysql_stmt_error(stmt));
    }

done:

    if (rc == OTPREG_DB_LOST || rc == OTPREG_DB_DOWN) {
        otpreg_db_disconnect(db);
    }

    return rc;
}


otpreg_db_rc_t
otpreg_db_exec(otpreg_db_t *db, unsigned i, const otpreg_db_param_t *params,
    uint64_t *affected, uint64_t *insert_id)
{
    otpreg_db_rc_t  rc;

    rc = otpreg_db_execute(db, i, params);

    if (rc == OTPREG_DB_OK) {

        if (affected != NULL) {
            *affected = mysql_stmt_affected_rows(db->stmt[i]);
        }

        if (insert_id != NULL) {
            *insert_id = mysql_stmt_insert_id(db->stmt[i]);
        }
    }

    return rc;
}


otpreg_db_rc_t
otpreg_db_query(otpreg_db_t *db, unsigned i, const otpreg_db_param_t *params,
    otpreg_db_column_t *columns, unsigned n)
{
    MYSQL_STMT      *stmt;
    otpreg_db_rc_t   rc;

    rc = otpreg_db_execute(db, i, params);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    stmt = db->stmt[i];

    if (mysql_stmt_store_result(stmt) != 0) {
        rc = otpreg_db_fail(db, "mysql_stmt_store_result()",
                            mysql_stmt_errno(stmt), mysql_stmt_sqlstate(stmt),
                            NULL);

        if (rc == OTPREG_DB_LOST || rc == OTPREG_DB_DOWN) {
            otpreg_db_disconnect(db);
        }

        return rc;
    }

    db->open = stmt;

    return otpreg_db_next(db, columns, n);
}


otpreg_db_rc_t
otpreg_db_next(otpreg_db_t *db, otpreg_db_column_t *columns, unsigned n)
{
    int              rc;
    unsigned         i;
    otpreg_db_row_t  row;

    if (n > OTPREG_DB_COLUMNS_MAX
        || n != mysql_stmt_field_count(db->open))
    {
        snprintf(db->error, sizeof(db->error), "unexpected number of columns");
        otpreg_db_finish(db);
        return OTPREG_DB_FAILED;
    }

    otpreg_db_bind_columns(&row, columns, n);

    rc = mysql_stmt_bind_result(db->open, row.bind);
    if (rc == 0) {
        rc = mysql_stmt_fetch(db->open);
    }

    if (rc == MYSQL_NO_DATA) {
        otpreg_db_finish(db);
        return OTPREG_DB_NONE;
    }

    if (rc != 0) {
        snprintf(db->error, sizeof(db->error), "mysql_stmt_fetch() failed%s",
                 (rc == MYSQL_DATA_TRUNCATED) ? ": a column is too long" : "");
        otpreg_db_finish(db);
        return OTPREG_DB_FAILED;
    }

    for (i = 0; i < n; i++) {
        columns[i].null = row.null[i];
        columns[i].len = row.null[i] ? 0 : row.len[i];

        if (row.null[i]) {
            columns[i].num = 0;
        }

        if (columns[i].type == OTPREG_DB_BYTES) {
            columns[i].data[columns[i].len] = '\0';
        }
    }

    return OTPREG_DB_OK;
}


static void
otpreg_db_bind_columns(otpreg_db_row_t *row, otpreg_db_column_t *columns,
    unsigned n)
{
    unsigned  i;

    memset(row, 0, sizeof(otpreg_db_row_t));

    for (i = 0; i < n; i++) {
        row->bind[i].length = &row->len[i];
        row->bind[i].is_null = &row->null[i];

        if (columns[i].type == OTPREG_DB_INT) {
            row->bind[i].buffer_type = MYSQL_TYPE_LONGLONG;
            row->bind[i].buffer = &columns[i].num;
            continue;
        }

        row->bind[i].buffer_type = MYSQL_TYPE_STRING;
        row->bind[i].buffer = columns[i].data;
        row->bind[i].buffer_length = columns[i].size - 1;
    }
}


void
otpreg_db_finish(otpreg_db_t *db)
{
    if (db->open != NULL) {
        mysql_stmt_free_result(db->open);
        db->open = NULL;
    }
}


otpreg_db_rc_t
otpreg_db_begin(otpreg_db_t *db)
{
    return otpreg_db_simple(db, "START TRANSACTION");
}


otpreg_db_rc_t
otpreg_db_commit(otpreg_db_t *db)
{
    return otpreg_db_simple(db, "COMMIT");
}


void
otpreg_db_rollback(otpreg_db_t *db)
{
    if (db->mysql != NULL) {
        (void) otpreg_db_simple(db, "ROLLBACK");
    }
}


static otpreg_db_rc_t
otpreg_db_simple(otpreg_db_t *db, const char *sql)
{
    otpreg_db_rc_t  rc;

    otpreg_db_finish(db);

    if (db->mysql == NULL) {
        return OTPREG_DB_DOWN;
    }

    if (mysql_real_query(db->mysql, sql, strlen(sql)) == 0) {
        return OTPREG_DB_OK;
    }

    rc = otpreg_db_fail(db, sql, mysql_errno(db->mysql),
                        mysql_sqlstate(db->mysql), NULL);

    if (rc == OTPREG_DB_LOST || rc == OTPREG_DB_DOWN) {
        otpreg_db_disconnect(db);
    }

    return rc;
}


/*
 * Text is the server's: it is kept for connection errors, and of a duplicate
 * only the name of the index, since the rest quotes a value.
 */

static otpreg_db_rc_t
otpreg_db_fail(otpreg_db_t *db, const char *what, unsigned code,
    const char *state, const char *text)
{
    const char      *key;
    otpreg_db_rc_t   rc;

    rc = otpreg_db_class(code);

    if (rc == OTPREG_DB_DUPLICATE) {
        key = text;

        while (key != NULL && (text = strstr(key, "key '")) != NULL) {
            key = text + 1;
        }

        snprintf(db->key, sizeof(db->key), "%s", key ? key : "");
        return rc;
    }

    snprintf(db->error, sizeof(db->error), "%s failed (%u: %s%s%s)",
             what, code, state, (db->mysql == NULL && text) ? ": " : "",
             (db->mysql == NULL && text) ? text : "");

    return rc;
}


static otpreg_db_rc_t
otpreg_db_class(unsigned code)
{
    switch (code) {

    case ER_DUP_ENTRY:
        return OTPREG_DB_DUPLICATE;

    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_OTPREG_STATEMENT_TIMEOUT:
        return OTPREG_DB_RETRY;

    case CR_SERVER_GONE_ERROR:
    case CR_SERVER_LOST:
    case CR_COMMANDS_OUT_OF_SYNC:
    case CR_UNKNOWN_ERROR:
    case 2055:                          /* CR_SERVER_LOST_EXTENDED */
    case ER_SERVER_SHUTDOWN:
    case ER_OTPREG_CONNECTION_KILLED:
    case ER_OTPREG_CLIENT_TIMEOUT:
    case ER_QUERY_INTERRUPTED:
    case ER_UNKNOWN_STMT_HANDLER:
    case ER_ERROR_DURING_COMMIT:
        return OTPREG_DB_LOST;

    case ER_OTPREG_WSREP_NOT_READY:
    case ER_OTPREG_READ_ONLY:
    case ER_OTPREG_READ_ONLY_TRANSACTION:
    case ER_OTPREG_READ_ONLY_MODE:
        return OTPREG_DB_DOWN;

    case EE_OTPREG_WRITE:
    case EE_OTPREG_DISK_FULL:
    case ER_DISK_FULL:
    case ER_ERROR_ON_WRITE:
    case ER_OUT_OF_RESOURCES:
    case ER_OUTOFMEMORY:
    case ER_RECORD_FILE_FULL:
    case ER_OTPREG_TOO_MANY_TRXS:
        return OTPREG_DB_FULL;

    default:
        return OTPREG_DB_FAILED;
    }
}


const char *
otpreg_db_error(const otpreg_db_t *db)
{
    return db->error;
}


void
otpreg_db_error_clear(otpreg_db_t *db)
{
    db->error[0] = '\0';
    db->key[0] = '\0';
}


bool
otpreg_db_key(const otpreg_db_t *db, const char *index)
{
    return strstr(db->key, index) != NULL;
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
