
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdlib.h>
#include <string.h>

#include "otpreg_db_conn.h"


/* statements: prepared at their first use, bound, executed, fetched */


#define OTPREG_DB_PARAMS_MAX     72


static otpreg_db_rc_t otpreg_db_prepare(otpreg_db_t *db, unsigned i);
static otpreg_db_rc_t otpreg_db_execute(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params);
static void otpreg_db_bind_params(MYSQL_BIND *bind,
    const otpreg_db_param_t *params, unsigned n);
static otpreg_db_rc_t otpreg_db_bind_row(otpreg_db_t *db,
    otpreg_db_stmt_t *stmt, const otpreg_db_column_t *columns, unsigned n);
static otpreg_db_rc_t otpreg_db_fetch(otpreg_db_stmt_t *stmt, unsigned i,
    otpreg_db_column_t *column);
static otpreg_db_rc_t otpreg_db_failed(otpreg_db_t *db, const char *what,
    MYSQL_STMT *stmt);
static otpreg_db_rc_t otpreg_db_ended(otpreg_db_t *db, otpreg_db_rc_t rc);


otpreg_db_rc_t
otpreg_db_exec(otpreg_db_t *db, unsigned i, const otpreg_db_param_t *params,
    uint64_t *affected, uint64_t *insert_id)
{
    otpreg_db_rc_t  rc;

    rc = otpreg_db_execute(db, i, params);

    if (rc == OTPREG_DB_OK) {

        if (affected != NULL) {
            *affected = mysql_stmt_affected_rows(db->stmt[i].stmt);
        }

        if (insert_id != NULL) {
            *insert_id = mysql_stmt_insert_id(db->stmt[i].stmt);
        }
    }

    return rc;
}


otpreg_db_rc_t
otpreg_db_query(otpreg_db_t *db, unsigned i, const otpreg_db_param_t *params,
    otpreg_db_column_t *columns, unsigned n)
{
    otpreg_db_rc_t     rc;
    otpreg_db_stmt_t  *stmt;

    rc = otpreg_db_execute(db, i, params);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    stmt = &db->stmt[i];

    rc = otpreg_db_bind_row(db, stmt, columns, n);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (mysql_stmt_store_result(stmt->stmt) != 0) {
        return otpreg_db_ended(db, otpreg_db_failed(db,
                                         "mysql_stmt_store_result()",
                                         stmt->stmt));
    }

    db->open = stmt;

    return otpreg_db_next(db, columns, n);
}


otpreg_db_rc_t
otpreg_db_next(otpreg_db_t *db, otpreg_db_column_t *columns, unsigned n)
{
    int             rc;
    unsigned        i;
    otpreg_db_rc_t  fetched;

    rc = mysql_stmt_fetch(db->open->stmt);

    if (rc == MYSQL_NO_DATA) {
        otpreg_db_finish(db);
        return OTPREG_DB_NONE;
    }

    /* bytes are "truncated" to none here, and are fetched below */

    fetched = (rc == 0 || rc == MYSQL_DATA_TRUNCATED) ? OTPREG_DB_OK
                                                      : OTPREG_DB_FAILED;

    for (i = 0; i < n && fetched == OTPREG_DB_OK; i++) {
        fetched = otpreg_db_fetch(db->open, i, &columns[i]);
    }

    if (fetched != OTPREG_DB_OK) {
        otpreg_db_explain(db, "mysql_stmt_fetch() failed: column %u", i);
        otpreg_db_finish(db);
    }

    return fetched;
}


void
otpreg_db_finish(otpreg_db_t *db)
{
    if (db->open != NULL) {
        mysql_stmt_free_result(db->open->stmt);
        db->open = NULL;
    }
}


void
otpreg_db_statements_close(otpreg_db_t *db)
{
    unsigned           i;
    otpreg_db_stmt_t  *stmt;

    otpreg_db_finish(db);

    for (i = 0; i < db->nsql; i++) {
        stmt = &db->stmt[i];

        if (stmt->stmt != NULL) {
            mysql_stmt_close(stmt->stmt);
            free(stmt->row);
        }

        stmt->stmt = NULL;
        stmt->row = NULL;
    }
}


static otpreg_db_rc_t
otpreg_db_prepare(otpreg_db_t *db, unsigned i)
{
    MYSQL_STMT      *stmt;
    otpreg_db_rc_t   rc;

    stmt = mysql_stmt_init(db->mysql);
    if (stmt == NULL) {
        otpreg_db_explain(db, "mysql_stmt_init() failed");
        return OTPREG_DB_FAILED;
    }

    if (mysql_stmt_prepare(stmt, db->sql[i], strlen(db->sql[i])) != 0) {
        rc = otpreg_db_failed(db, "mysql_stmt_prepare()", stmt);
        mysql_stmt_close(stmt);
        return rc;
    }

    db->stmt[i].stmt = stmt;

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_db_execute(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params)
{
    unsigned         n;
    MYSQL_BIND       bind[OTPREG_DB_PARAMS_MAX];
    MYSQL_STMT      *stmt;
    otpreg_db_rc_t   rc;

    otpreg_db_finish(db);

    if (db->mysql == NULL) {
        return OTPREG_DB_DOWN;
    }

    if (db->stmt[i].stmt == NULL) {
        rc = otpreg_db_prepare(db, i);
        if (rc != OTPREG_DB_OK) {
            return otpreg_db_ended(db, rc);
        }
    }

    stmt = db->stmt[i].stmt;
    n = (unsigned) mysql_stmt_param_count(stmt);

    if (n > OTPREG_DB_PARAMS_MAX) {
        otpreg_db_explain(db, "too many placeholders");
        return OTPREG_DB_FAILED;
    }

    otpreg_db_bind_params(bind, params, n);

    if ((n > 0 && mysql_stmt_bind_param(stmt, bind) != 0)
        || mysql_stmt_execute(stmt) != 0)
    {
        return otpreg_db_ended(db, otpreg_db_failed(db,
                                         "mysql_stmt_execute()", stmt));
    }

    return OTPREG_DB_OK;
}


static void
otpreg_db_bind_params(MYSQL_BIND *bind, const otpreg_db_param_t *params,
    unsigned n)
{
    unsigned  i;

    memset(bind, 0, n * sizeof(MYSQL_BIND));

    for (i = 0; i < n; i++) {

        switch (params[i].type) {

        case OTPREG_DB_INT:
            bind[i].buffer_type = MYSQL_TYPE_LONGLONG;
            bind[i].buffer = (void *) (uintptr_t) &params[i].num;
            break;

        case OTPREG_DB_BYTES:
            bind[i].buffer_type = MYSQL_TYPE_STRING;
            bind[i].buffer = (void *) (uintptr_t) params[i].data;
            bind[i].buffer_length = params[i].len;
            break;

        default:
            bind[i].buffer_type = MYSQL_TYPE_NULL;
        }
    }
}


/* once for a statement: numbers go to its row, and the lengths of bytes */

static otpreg_db_rc_t
otpreg_db_bind_row(otpreg_db_t *db, otpreg_db_stmt_t *stmt,
    const otpreg_db_column_t *columns, unsigned n)
{
    unsigned          i;
    otpreg_db_row_t  *row;

    if (n > OTPREG_DB_COLUMNS_MAX || n != mysql_stmt_field_count(stmt->stmt)) {
        otpreg_db_explain(db, "unexpected number of columns");
        return OTPREG_DB_FAILED;
    }

    if (stmt->row != NULL) {
        return OTPREG_DB_OK;
    }

    row = calloc(1, sizeof(otpreg_db_row_t));
    if (row == NULL) {
        otpreg_db_explain(db, "no memory");
        return OTPREG_DB_FAILED;
    }

    for (i = 0; i < n; i++) {
        row->bind[i].length = &row->len[i];
        row->bind[i].is_null = &row->null[i];
        row->bind[i].error = &row->error[i];

        if (columns[i].type == OTPREG_DB_INT) {
            row->bind[i].buffer_type = MYSQL_TYPE_LONGLONG;
            row->bind[i].buffer = &row->num[i];

        } else {
            row->bind[i].buffer_type = MYSQL_TYPE_STRING;
        }
    }

    stmt->row = row;

    if (mysql_stmt_bind_result(stmt->stmt, row->bind) != 0) {
        return otpreg_db_failed(db, "mysql_stmt_bind_result()", stmt->stmt);
    }

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_db_fetch(otpreg_db_stmt_t *stmt, unsigned i, otpreg_db_column_t *column)
{
    MYSQL_BIND        bind;
    unsigned long     len;
    otpreg_db_bool_t  null, error;
    otpreg_db_row_t  *row;

    row = stmt->row;

    column->null = row->null[i];
    column->len = row->null[i] ? 0 : row->len[i];

    if (column->type == OTPREG_DB_INT) {
        column->num = row->null[i] ? 0 : row->num[i];

        return (!row->null[i] && row->error[i]) ? OTPREG_DB_FAILED
                                                : OTPREG_DB_OK;
    }

    if (column->len >= column->size) {
        return OTPREG_DB_FAILED;
    }

    if (column->len != 0) {
        memset(&bind, 0, sizeof(MYSQL_BIND));

        bind.buffer_type = MYSQL_TYPE_STRING;
        bind.buffer = column->data;
        bind.buffer_length = column->len;
        bind.length = &len;
        bind.is_null = &null;
        bind.error = &error;

        if (mysql_stmt_fetch_column(stmt->stmt, &bind, i, 0) != 0) {
            return OTPREG_DB_FAILED;
        }
    }

    column->data[column->len] = '\0';

    return OTPREG_DB_OK;
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


otpreg_db_rc_t
otpreg_db_simple(otpreg_db_t *db, const char *sql)
{
    otpreg_db_finish(db);

    if (db->mysql == NULL) {
        return OTPREG_DB_DOWN;
    }

    if (mysql_real_query(db->mysql, sql, strlen(sql)) == 0) {
        return OTPREG_DB_OK;
    }

    return otpreg_db_ended(db, otpreg_db_fail(db, sql, mysql_errno(db->mysql),
                                              mysql_sqlstate(db->mysql),
                                              mysql_error(db->mysql)));
}


static otpreg_db_rc_t
otpreg_db_failed(otpreg_db_t *db, const char *what, MYSQL_STMT *stmt)
{
    return otpreg_db_fail(db, what, mysql_stmt_errno(stmt),
                          mysql_stmt_sqlstate(stmt), mysql_stmt_error(stmt));
}


/* after these the connection is of no more use */

static otpreg_db_rc_t
otpreg_db_ended(otpreg_db_t *db, otpreg_db_rc_t rc)
{
    if (rc == OTPREG_DB_LOST || rc == OTPREG_DB_DOWN) {
        otpreg_db_disconnect(db);
    }

    return rc;
}
