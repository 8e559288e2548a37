
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdarg.h>
#include <stdio.h>

#include "otpreg_db_conn.h"


/*
 * By number, as the headers of the two client libraries lack each other's
 * names, and both lack TiDB's.
 */

static const struct {
    unsigned                     code;
    otpreg_db_rc_t               rc;
} otpreg_db_errors[] = {

    { 1062, OTPREG_DB_DUPLICATE },      /* ER_DUP_ENTRY */

    /* rolled back, and worth another try */

    { 1020, OTPREG_DB_RETRY },          /* ER_CHECKREAD: MariaDB's snapshots */
    { 1205, OTPREG_DB_RETRY },          /* ER_LOCK_WAIT_TIMEOUT */
    { 1213, OTPREG_DB_RETRY },          /* ER_LOCK_DEADLOCK, Galera's, too */
    { 1412, OTPREG_DB_RETRY },          /* ER_TABLE_DEF_CHANGED */
    { 1615, OTPREG_DB_RETRY },          /* ER_NEED_REPREPARE */
    { 1969, OTPREG_DB_RETRY },          /* MariaDB's max_statement_time */
    { 3024, OTPREG_DB_RETRY },          /* MySQL's max_execution_time */
    { 3101, OTPREG_DB_RETRY },          /* Group Replication: certification */
    { 8002, OTPREG_DB_RETRY },          /* TiDB: write conflict, locking read */
    { 8005, OTPREG_DB_RETRY },          /* TiDB: write conflict */
    { 8022, OTPREG_DB_RETRY },          /* TiDB: commit failed, rolled back */
    { 8028, OTPREG_DB_RETRY },          /* TiDB: the schema changed meanwhile */
    { 9001, OTPREG_DB_RETRY },          /* TiDB: PD timeout */
    { 9002, OTPREG_DB_RETRY },          /* TiDB: TiKV timeout */
    { 9003, OTPREG_DB_RETRY },          /* TiDB: TiKV is busy */
    { 9004, OTPREG_DB_RETRY },          /* TiDB: lock resolution timeout */
    { 9005, OTPREG_DB_RETRY },          /* TiDB: region is unavailable */
    { 9007, OTPREG_DB_RETRY },          /* TiDB: write conflict */

    /* the connection is of no more use: what became of it is to be asked */

    { 1053, OTPREG_DB_LOST },           /* ER_SERVER_SHUTDOWN */
    { 1158, OTPREG_DB_LOST },           /* ER_NET_READ_ERROR */
    { 1159, OTPREG_DB_LOST },           /* ER_NET_READ_INTERRUPTED */
    { 1160, OTPREG_DB_LOST },           /* ER_NET_ERROR_ON_WRITE */
    { 1161, OTPREG_DB_LOST },           /* ER_NET_WRITE_INTERRUPTED */
    { 1180, OTPREG_DB_LOST },           /* ER_ERROR_DURING_COMMIT */
    { 1243, OTPREG_DB_LOST },           /* ER_UNKNOWN_STMT_HANDLER */
    { 1317, OTPREG_DB_LOST },           /* ER_QUERY_INTERRUPTED */
    { 1927, OTPREG_DB_LOST },           /* MariaDB's ER_CONNECTION_KILLED */
    { 2000, OTPREG_DB_LOST },           /* CR_UNKNOWN_ERROR */
    { 2006, OTPREG_DB_LOST },           /* CR_SERVER_GONE_ERROR */
    { 2013, OTPREG_DB_LOST },           /* CR_SERVER_LOST */
    { 2014, OTPREG_DB_LOST },           /* CR_COMMANDS_OUT_OF_SYNC */
    { 2055, OTPREG_DB_LOST },           /* CR_SERVER_LOST_EXTENDED */
    { 3100, OTPREG_DB_LOST },           /* ER_RUN_HOOK_ERROR: at a commit */
    { 4031, OTPREG_DB_LOST },           /* MySQL's, of wait_timeout */
    { 8501, OTPREG_DB_LOST },           /* TiDB: the result is unknown */

    /* this server cannot serve, another one perhaps can */

    { 1047, OTPREG_DB_DOWN },           /* Galera: not in the cluster */
    { 1290, OTPREG_DB_DOWN },           /* ER_OPTION_PREVENTS_STATEMENT */
    { 1792, OTPREG_DB_DOWN },           /* ER_CANT_EXECUTE_IN_READ_ONLY... */
    { 1836, OTPREG_DB_DOWN },           /* ER_READ_ONLY_MODE */
    { 3032, OTPREG_DB_DOWN },           /* MySQL's offline_mode */

    /* a disk, memory or a limit of the server is used up */

    {    3, OTPREG_DB_FULL },           /* EE_WRITE */
    {   20, OTPREG_DB_FULL },           /* EE_DISK_FULL */
    { 1021, OTPREG_DB_FULL },           /* ER_DISK_FULL */
    { 1026, OTPREG_DB_FULL },           /* ER_ERROR_ON_WRITE */
    { 1037, OTPREG_DB_FULL },           /* ER_OUTOFMEMORY */
    { 1038, OTPREG_DB_FULL },           /* ER_OUT_OF_SORTMEMORY */
    { 1041, OTPREG_DB_FULL },           /* ER_OUT_OF_RESOURCES */
    { 1114, OTPREG_DB_FULL },           /* ER_RECORD_FILE_FULL */
    { 1206, OTPREG_DB_FULL },           /* ER_LOCK_TABLE_FULL */
    { 1226, OTPREG_DB_FULL },           /* ER_USER_LIMIT_REACHED */
    { 1461, OTPREG_DB_FULL },           /* ER_MAX_PREPARED_STMT_COUNT_... */
    { 1637, OTPREG_DB_FULL },           /* ER_TOO_MANY_CONCURRENT_TRXS */

    /* a database, table, column or right is missing, or a setting is wrong */

    { 1044, OTPREG_DB_SETUP },          /* ER_DBACCESS_DENIED_ERROR */
    { 1049, OTPREG_DB_SETUP },          /* ER_BAD_DB_ERROR */
    { 1054, OTPREG_DB_SETUP },          /* ER_BAD_FIELD_ERROR */
    { 1142, OTPREG_DB_SETUP },          /* ER_TABLEACCESS_DENIED_ERROR */
    { 1143, OTPREG_DB_SETUP },          /* ER_COLUMNACCESS_DENIED_ERROR */
    { 1146, OTPREG_DB_SETUP },          /* ER_NO_SUCH_TABLE */
    { 1364, OTPREG_DB_SETUP },          /* ER_NO_DEFAULT_FOR_FIELD */
    { 1665, OTPREG_DB_SETUP }           /* binlog_format=STATEMENT */
};


/* a foreign key of somebody else's table */
#define ER_OTPREG_ROW_IS_REFERENCED  1451


static otpreg_db_rc_t
otpreg_db_class(unsigned code)
{
    unsigned  i;

    for (i = 0; i < sizeof(otpreg_db_errors) / sizeof(otpreg_db_errors[0]); i++)
    {
        if (otpreg_db_errors[i].code == code) {
            return otpreg_db_errors[i].rc;
        }
    }

    return OTPREG_DB_FAILED;
}


otpreg_db_rc_t
otpreg_db_fail(otpreg_db_t *db, const char *what, unsigned code,
    const char *state, const char *text)
{
    bool            told;
    otpreg_db_rc_t  rc;

    rc = otpreg_db_class(code);

    if (rc == OTPREG_DB_DUPLICATE) {
        return rc;
    }

    /* nothing was typed in yet, or it names tables and no values */

    told = (text != NULL && (!db->ready || rc == OTPREG_DB_SETUP
                             || code == ER_OTPREG_ROW_IS_REFERENCED));

    otpreg_db_explain(db, "%s failed (%u: %s%s%s)", what, code, state,
                      told ? ": " : "", told ? text : "");

    return rc;
}


void
otpreg_db_explain(otpreg_db_t *db, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    vsnprintf(db->error, sizeof(db->error), format, args);
    va_end(args);
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
}
