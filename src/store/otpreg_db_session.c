
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_db_conn.h"


#define OTPREG_DB_SESSION_SIZE   160

/* the longest wait for a lock of somebody else, in seconds */
#define OTPREG_DB_LOCK_WAIT_MAX  5

/* in seconds */
#define OTPREG_DB_IDLE           300

#define ER_OTPREG_UNKNOWN_VARIABLE  1193


/*
 * The server's settings are somebody else's: what would change the meaning of
 * a statement, or what an answer says, is set for the session.
 */

static const char *const  otpreg_db_session[] = {

    /* the server may ignore what the client library said when it logged in */

    "SET NAMES utf8mb4",

    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE",

    /*
     * autocommit       a statement alone is a transaction
     * completion_type  CHAIN: what comes after a COMMIT would be in another
     *                  transaction, and be rolled back with it; RELEASE: the
     *                  connection ends
     * sql_select_limit, sql_safe_updates, sql_big_selects
     *                  fewer rows, or none
     * sql_auto_is_null "id IS NULL" finds what was inserted last
     * unique_checks    0: InnoDB may let a second owner pass
     * foreign_key_checks
     *                  an application's, that point to our users
     * lc_messages      of what the log quotes
     */

    "SET SESSION time_zone = '+00:00',"
    " sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
    " autocommit = 1, completion_type = 'NO_CHAIN',"
    " sql_select_limit = 18446744073709551615, sql_safe_updates = 0,"
    " sql_big_selects = 1, sql_auto_is_null = 0,"
    " unique_checks = 1, foreign_key_checks = 1, lc_messages = 'en_US'"
};


/*
 * Of MariaDB only.  Galera: what was written on one node is read at once on
 * every other, and a node outside of the cluster answers nothing.
 */

static const char  otpreg_db_session_wsrep[]
    = "SET SESSION wsrep_sync_wait = 3, wsrep_dirty_reads = 0";


/*
 * Rows and tables (an ALTER TABLE waits, or is waited for): the server gives
 * up before we do, so that nobody is left waiting in it for a lost client.
 */

static const char  otpreg_db_session_waits[]
    = "SET SESSION innodb_lock_wait_timeout = %u, lock_wait_timeout = %u";


/*
 * A node that was cut off in a transaction keeps its locks until the server
 * ends the session.  MariaDB can do that for a transaction alone; MySQL has
 * the time for any statement only, after which the next one finds its
 * connection closed, and is repeated on another.
 */

static const char  otpreg_db_session_idle_transaction[]
    = "SET SESSION idle_transaction_timeout = %u";
static const char  otpreg_db_session_idle[] = "SET SESSION wait_timeout = %u";


static otpreg_db_rc_t otpreg_db_session_set(otpreg_db_t *db);
static otpreg_db_rc_t otpreg_db_session_try(otpreg_db_t *db, const char *sql,
    bool *known);
static otpreg_db_rc_t otpreg_db_writable(otpreg_db_t *db);


otpreg_db_rc_t
otpreg_db_session_start(otpreg_db_t *db)
{
    otpreg_db_rc_t  rc;

    rc = otpreg_db_session_set(db);

    if (rc == OTPREG_DB_OK) {
        rc = otpreg_db_writable(db);
    }

    return rc;
}


static otpreg_db_rc_t
otpreg_db_session_set(otpreg_db_t *db)
{
    bool            known;
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

    snprintf(sql, sizeof(sql), otpreg_db_session_waits, wait, wait);

    rc = otpreg_db_simple(db, sql);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    rc = otpreg_db_session_try(db, otpreg_db_session_wsrep, &known);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    snprintf(sql, sizeof(sql), otpreg_db_session_idle_transaction,
             db->conf->read_timeout * 2);

    rc = otpreg_db_session_try(db, sql, &known);
    if (rc != OTPREG_DB_OK || known) {
        return rc;
    }

    snprintf(sql, sizeof(sql), otpreg_db_session_idle, OTPREG_DB_IDLE);

    return otpreg_db_simple(db, sql);
}


/* known: the server has the variable */

static otpreg_db_rc_t
otpreg_db_session_try(otpreg_db_t *db, const char *sql, bool *known)
{
    otpreg_db_rc_t  rc;

    *known = true;

    rc = otpreg_db_simple(db, sql);

    if (rc != OTPREG_DB_OK && db->mysql != NULL
        && mysql_errno(db->mysql) == ER_OTPREG_UNKNOWN_VARIABLE)
    {
        otpreg_db_error_clear(db);
        *known = false;
        return OTPREG_DB_OK;
    }

    return rc;
}


/* a replica answers reads, but a sign-up must be written */

static otpreg_db_rc_t
otpreg_db_writable(otpreg_db_t *db)
{
    bool             read_only;
    MYSQL_ROW        row;
    MYSQL_RES       *res;
    otpreg_db_rc_t   rc;

    rc = otpreg_db_simple(db, "SELECT @@global.read_only");
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    res = mysql_store_result(db->mysql);
    row = res ? mysql_fetch_row(res) : NULL;
    read_only = (row == NULL || row[0] == NULL
                 || (strcmp(row[0], "0") != 0 && strcmp(row[0], "OFF") != 0));

    if (res != NULL) {
        mysql_free_result(res);
    }

    if (read_only) {
        otpreg_db_explain(db, "the server is read-only");
        return OTPREG_DB_DOWN;
    }

    return OTPREG_DB_OK;
}
