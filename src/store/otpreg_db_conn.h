
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_DB_CONN_H_INCLUDED_
#define _OTPREG_DB_CONN_H_INCLUDED_


#include <mysql.h>

#include "otpreg_db.h"


/* What the files of a connection share with each other and with nobody else. */


#define OTPREG_DB_COLUMNS_MAX    20


#ifdef LIBMARIADB
typedef my_bool  otpreg_db_bool_t;
#else
typedef bool     otpreg_db_bool_t;
#endif


/*
 * Where a statement's rows go.  A client library keeps these pointers, and the
 * next execution may write through them: they live as long as the statement.
 */

typedef struct {
    MYSQL_BIND                   bind[OTPREG_DB_COLUMNS_MAX];
    int64_t                      num[OTPREG_DB_COLUMNS_MAX];
    unsigned long                len[OTPREG_DB_COLUMNS_MAX];
    otpreg_db_bool_t             null[OTPREG_DB_COLUMNS_MAX];
    otpreg_db_bool_t             error[OTPREG_DB_COLUMNS_MAX];
} otpreg_db_row_t;


typedef struct {
    MYSQL_STMT                  *stmt;          /* NULL: not prepared */
    otpreg_db_row_t             *row;           /* NULL: had none so far */
} otpreg_db_stmt_t;


struct otpreg_db_s {
    const otpreg_db_conf_t      *conf;
    const char *const           *sql;
    unsigned                     nsql;
    otpreg_db_check_pt           check;
    MYSQL                       *mysql;         /* NULL: not connected */
    bool                         ready;         /* connected and checked */
    unsigned                     host;          /* which one of conf's it is */
    int64_t                      failback_at;   /* ms, monotonic */
    otpreg_db_stmt_t            *stmt;          /* nsql */
    otpreg_db_stmt_t            *open;          /* has rows to fetch */
    char                         error[OTPREG_DB_ERROR_SIZE];
};


/*
 * Make a new connection one of ours, whatever the server's settings are.
 * OTPREG_DB_OK, or why it cannot serve, with a line in error.
 */
otpreg_db_rc_t otpreg_db_session_start(otpreg_db_t *db);

/* Run a statement that has no placeholders. */
otpreg_db_rc_t otpreg_db_simple(otpreg_db_t *db, const char *sql);

/* Close what was prepared; before the connection is closed. */
void otpreg_db_statements_close(otpreg_db_t *db);

/*
 * What the error with this code is for us; a line about it goes to error, with
 * the server's text only if that cannot quote what people typed in.
 */
otpreg_db_rc_t otpreg_db_fail(otpreg_db_t *db, const char *what,
    unsigned code, const char *state, const char *text);


#endif /* _OTPREG_DB_CONN_H_INCLUDED_ */
