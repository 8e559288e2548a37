
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _STORE_BIG_H_INCLUDED_
#define _STORE_BIG_H_INCLUDED_


#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "otpreg_db_conn.h"
#include "otpreg_sql.h"
#include "tap.h"


/*
 * What each statement of the list cost when the store ran it: linked with
 * --wrap, so that the functions here stand between the store and its
 * connection.  Rows are those that the server was handed by InnoDB, or that
 * InnoDB compared in its place: what SHOW SESSION STATUS counts.
 */


#define STORE_BIG_PLAN_SIZE      2048
#define STORE_BIG_PLAN_COLUMNS   10         /* of EXPLAIN */


typedef struct {
    unsigned            calls;
    uint64_t            rows;               /* the most of a call */
    int64_t             us;                 /* the longest */
    char                plan[STORE_BIG_PLAN_SIZE];  /* with the most rows */
} store_big_stmt_t;


#define STORE_BIG_NAME(name, text)     #name,
#define STORE_BIG_EXPLAIN(name, text)  "EXPLAIN " text,


static const char *const  store_big_names[] = {
    OTPREG_SQL_LIST(STORE_BIG_NAME)
};

static const char *const  store_big_explain[] = {
    OTPREG_SQL_LIST(STORE_BIG_EXPLAIN)
};


static store_big_stmt_t   store_big_stmts[OTPREG_SQL_COUNT];
static otpreg_db_t       *store_big_explainer;
static bool               store_big_lose;   /* the answer to a COMMIT */


otpreg_db_rc_t __real_otpreg_db_exec(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params, uint64_t *affected, uint64_t *insert_id);
otpreg_db_rc_t __real_otpreg_db_query(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params, otpreg_db_column_t *columns, unsigned n);
otpreg_db_rc_t __real_otpreg_db_commit(otpreg_db_t *db);

otpreg_db_rc_t __wrap_otpreg_db_exec(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params, uint64_t *affected, uint64_t *insert_id);
otpreg_db_rc_t __wrap_otpreg_db_query(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params, otpreg_db_column_t *columns, unsigned n);
otpreg_db_rc_t __wrap_otpreg_db_commit(otpreg_db_t *db);


static inline int64_t
store_big_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


/* what this connection has read so far; the question itself does not count */

static inline uint64_t
store_big_rows(MYSQL *mysql)
{
    uint64_t    rows;
    MYSQL_ROW   row;
    MYSQL_RES  *res;

    static const char  sql[] = "SHOW SESSION STATUS WHERE"
                               " Variable_name LIKE 'Handler\\_read\\_%'"
                               " OR Variable_name = 'Handler_icp_attempts'";

    if (mysql_query(mysql, sql) != 0
        || (res = mysql_store_result(mysql)) == NULL)
    {
        printf("# %s: %s\n", sql, mysql_error(mysql));
        exit(2);
    }

    rows = 0;

    while ((row = mysql_fetch_row(res)) != NULL) {
        rows += strtoull(row[1], NULL, 10);
    }

    mysql_free_result(res);

    return rows;
}


/* one line a table: how it is read, by what key, rows as estimated */

static inline void
store_big_plan(otpreg_db_t *db, unsigned i, const otpreg_db_param_t *params,
    char *plan)
{
    char                text[STORE_BIG_PLAN_COLUMNS][128];
    size_t              len;
    unsigned            n;
    otpreg_db_rc_t      rc;
    otpreg_db_column_t  columns[STORE_BIG_PLAN_COLUMNS];

    for (n = 0; n < STORE_BIG_PLAN_COLUMNS; n++) {
        columns[n].type = (n == 0 || n == 8) ? OTPREG_DB_INT : OTPREG_DB_BYTES;
        columns[n].data = text[n];
        columns[n].size = sizeof(text[n]);
    }

    /* on the same connection, which sees what it has locked itself */

    store_big_explainer->mysql = db->mysql;
    rc = __real_otpreg_db_query(store_big_explainer, i, params, columns,
                                STORE_BIG_PLAN_COLUMNS);

    for (len = 0; rc == OTPREG_DB_OK && len < STORE_BIG_PLAN_SIZE - 1; ) {
        len += (size_t) snprintf(plan + len, STORE_BIG_PLAN_SIZE - len,
                                 "    %-20s %-8s %-8s %-20s %9" PRId64 "  %s\n",
                                 text[1], text[2], text[3], text[5],
                                 columns[8].num, text[9]);

        rc = otpreg_db_next(store_big_explainer, columns,
                            STORE_BIG_PLAN_COLUMNS);
    }

    if (len == 0) {
        printf("# EXPLAIN of %s: %s\n", store_big_names[i],
               otpreg_db_error(store_big_explainer));
        exit(2);
    }

    otpreg_db_statements_close(store_big_explainer);
    store_big_explainer->mysql = NULL;
}


/* another time is now where BIG_NOW says so, in seconds */

static inline void
store_big_now(MYSQL *mysql)
{
    char         sql[64];
    const char  *now;

    now = getenv("BIG_NOW");

    snprintf(sql, sizeof(sql), "SET timestamp = %s", now ? now : "DEFAULT");

    if (mysql_query(mysql, sql) != 0) {
        printf("# %s: %s\n", sql, mysql_error(mysql));
        exit(2);
    }
}


static inline void
store_big_note(otpreg_db_t *db, unsigned i, uint64_t rows, int64_t us,
    const char *plan)
{
    store_big_stmt_t  *stmt;

    stmt = &store_big_stmts[i];

    if (db->mysql == NULL) {
        return;
    }

    rows = store_big_rows(db->mysql) - rows;

    if (stmt->calls++ == 0 || rows > stmt->rows) {
        stmt->rows = rows;
        memcpy(stmt->plan, plan, STORE_BIG_PLAN_SIZE);
    }

    if (us > stmt->us) {
        stmt->us = us;
    }
}


otpreg_db_rc_t
__wrap_otpreg_db_exec(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params, uint64_t *affected, uint64_t *insert_id)
{
    char            plan[STORE_BIG_PLAN_SIZE];
    int64_t         us;
    uint64_t        rows;
    otpreg_db_rc_t  rc;

    store_big_now(db->mysql);
    store_big_plan(db, i, params, plan);
    rows = store_big_rows(db->mysql);
    us = store_big_us();

    rc = __real_otpreg_db_exec(db, i, params, affected, insert_id);

    us = store_big_us() - us;
    store_big_note(db, i, rows, us, plan);

    return rc;
}


/* the rows that follow the first have come with it */

otpreg_db_rc_t
__wrap_otpreg_db_query(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params, otpreg_db_column_t *columns, unsigned n)
{
    char            plan[STORE_BIG_PLAN_SIZE];
    int64_t         us;
    uint64_t        rows;
    otpreg_db_rc_t  rc;

    store_big_now(db->mysql);
    store_big_plan(db, i, params, plan);
    rows = store_big_rows(db->mysql);
    us = store_big_us();

    rc = __real_otpreg_db_query(db, i, params, columns, n);

    us = store_big_us() - us;
    store_big_note(db, i, rows, us, plan);

    return rc;
}


otpreg_db_rc_t
__wrap_otpreg_db_commit(otpreg_db_t *db)
{
    otpreg_db_rc_t  rc;

    rc = __real_otpreg_db_commit(db);

    if (rc == OTPREG_DB_OK && store_big_lose) {
        store_big_lose = false;
        otpreg_db_disconnect(db);
        return OTPREG_DB_LOST;
    }

    return rc;
}


#endif /* _STORE_BIG_H_INCLUDED_ */
