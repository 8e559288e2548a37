
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_store_run.h"


/* before all that was ever written */
#define OTPREG_STORE_PURGE_START  "1000-01-01"


typedef struct otpreg_store_purge_work_s  otpreg_store_purge_work_t;

typedef otpreg_db_rc_t (*otpreg_store_purge_pt)(otpreg_db_t *db,
    otpreg_store_purge_work_t *work);


/* a kind of rows, and what became of them */

struct otpreg_store_purge_work_s {
    otpreg_store_purge_pt       run;
    unsigned                    sql;        /* of otpreg_store_purge_rows() */
    otpreg_store_purge_t       *purge;
    unsigned                    rows;       /* deleted */
    bool                        first;      /* of the kinds */
    bool                        more;
    otpreg_outcome_t            outcome;
    char                        error[OTPREG_DB_ERROR_SIZE];
};


typedef struct {
    int64_t                     id;
    char                        created[OTPREG_STORE_TIME_SIZE];
} otpreg_store_purge_user_t;


static otpreg_db_rc_t otpreg_store_purge_work(otpreg_db_t *db, void *data,
    bool lost);
static otpreg_db_rc_t otpreg_store_purge_rows(otpreg_db_t *db,
    otpreg_store_purge_work_t *work);
static otpreg_db_rc_t otpreg_store_purge_users(otpreg_db_t *db,
    otpreg_store_purge_work_t *work);
static otpreg_db_rc_t otpreg_store_purge_batch(otpreg_db_t *db,
    otpreg_store_purge_work_t *work, const otpreg_store_purge_user_t *users,
    unsigned n);
static otpreg_db_rc_t otpreg_store_purge_each(otpreg_db_t *db,
    otpreg_store_purge_work_t *work, const otpreg_store_purge_user_t *users,
    unsigned n);
static otpreg_db_rc_t otpreg_store_purge_user(otpreg_db_t *db,
    otpreg_store_purge_work_t *work, const otpreg_store_purge_user_t *user,
    unsigned *rows);
static otpreg_db_rc_t otpreg_store_purge_look(otpreg_db_t *db,
    const otpreg_store_purge_t *purge, otpreg_store_purge_user_t *users,
    unsigned *n);
static otpreg_db_rc_t otpreg_store_purge_fetch(otpreg_db_t *db, unsigned sql,
    const otpreg_db_param_t *params, otpreg_store_purge_user_t *users,
    unsigned *n);
static otpreg_db_rc_t otpreg_store_purge_otps(otpreg_db_t *db,
    otpreg_store_purge_work_t *work);
static const char *otpreg_store_purge_from(const char *time);


static const struct {
    otpreg_store_purge_pt       run;
    unsigned                    sql;
} otpreg_store_purge_kinds[] = {
    { otpreg_store_purge_rows,  OTPREG_SQL_PURGE_SENDS },
    { otpreg_store_purge_rows,  OTPREG_SQL_PURGE_SMS_SENDS },
    { otpreg_store_purge_rows,  OTPREG_SQL_PURGE_SMS_TOTALS },
    { otpreg_store_purge_rows,  OTPREG_SQL_PURGE_MAIL_TOTALS },
    { otpreg_store_purge_rows,  OTPREG_SQL_PURGE_BUDGETS },
    { otpreg_store_purge_rows,  OTPREG_SQL_PURGE_MESSAGES },
    { otpreg_store_purge_users, OTPREG_SQL_PURGE_USER },
    { otpreg_store_purge_otps,  OTPREG_SQL_PURGE_OTPS }
};


otpreg_outcome_t
otpreg_store_purge(const otpreg_db_conf_t *conf, otpreg_store_purge_t *purge,
    unsigned *rows, bool *more, char *error)
{
    char                       run_error[OTPREG_DB_ERROR_SIZE];
    unsigned                   i;
    otpreg_outcome_t           outcome, first;
    otpreg_store_purge_work_t  work;

    *rows = 0;
    *more = false;
    error[0] = '\0';
    first = OTPREG_OK;

    for (i = 0; i < sizeof(otpreg_store_purge_kinds)
                    / sizeof(otpreg_store_purge_kinds[0]); i++)
    {
        memset(&work, 0, sizeof(otpreg_store_purge_work_t));

        work.run = otpreg_store_purge_kinds[i].run;
        work.sql = otpreg_store_purge_kinds[i].sql;
        work.purge = purge;
        work.first = (i == 0);
        work.outcome = OTPREG_OK;

        outcome = otpreg_store_run(conf, otpreg_store_purge_work, &work,
                                   run_error);

        if (outcome != OTPREG_OK) {

            /* there is no connection */

            memcpy(error, run_error, OTPREG_DB_ERROR_SIZE);
            return outcome;
        }

        *rows += work.rows;
        *more = *more || work.more;

        if (work.outcome != OTPREG_OK && first == OTPREG_OK) {
            first = work.outcome;
            memcpy(error, work.error, OTPREG_DB_ERROR_SIZE);
        }
    }

    return first;
}


/*
 * A failure is told here, for who runs us would repeat it: that is only of use
 * where the connection was lost since the last time.
 */

static otpreg_db_rc_t
otpreg_store_purge_work(otpreg_db_t *db, void *data, bool lost)
{
    otpreg_store_purge_work_t *work = data;

    otpreg_db_rc_t  rc;

    rc = work->run(db, work);

    if (rc == OTPREG_DB_LOST && work->first && !lost) {
        return rc;
    }

    if (rc != OTPREG_DB_OK) {
        snprintf(work->error, OTPREG_DB_ERROR_SIZE, "%s", otpreg_db_error(db));
        otpreg_db_rollback(db);

        work->rows = 0;
        work->outcome = (rc == OTPREG_DB_FAILED) ? OTPREG_ERROR
                                                 : OTPREG_DATABASE_DOWN;
    }

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_store_purge_rows(otpreg_db_t *db, otpreg_store_purge_work_t *work)
{
    uint64_t        affected;
    otpreg_db_rc_t  rc;

    rc = otpreg_db_exec(db, work->sql, NULL, &affected, NULL);

    if (rc == OTPREG_DB_OK) {
        work->rows = (unsigned) affected;
        work->more = (affected >= OTPREG_STORE_PURGE_MAX);
    }

    return rc;
}


/*
 * There may be any number of users who were never proved and whom we must not
 * delete, all of the same moment: each is looked at once in a walk.
 */

static otpreg_db_rc_t
otpreg_store_purge_users(otpreg_db_t *db, otpreg_store_purge_work_t *work)
{
    unsigned                   n;
    otpreg_db_rc_t             rc;
    otpreg_store_purge_t      *purge;
    otpreg_store_purge_user_t  users[OTPREG_STORE_PURGE_MAX];

    n = 0;
    purge = work->purge;

    rc = otpreg_store_purge_look(db, purge, users, &n);

    if (rc == OTPREG_DB_OK && n > 0) {
        rc = otpreg_store_purge_batch(db, work, users, n);

        /* an application's table may need one of them: all others go */

        if (rc == OTPREG_DB_FAILED) {
            rc = otpreg_store_purge_each(db, work, users, n);
        }
    }

    /* a walk that failed goes on behind those that made it fail */

    if (n == OTPREG_STORE_PURGE_MAX) {
        purge->user_id = users[n - 1].id;
        memcpy(purge->users, users[n - 1].created, OTPREG_STORE_TIME_SIZE);
        work->more = (rc == OTPREG_DB_OK);

    } else {
        memset(purge->users, 0, OTPREG_STORE_TIME_SIZE);
        purge->user_id = 0;
    }

    return rc;
}


static otpreg_db_rc_t
otpreg_store_purge_batch(otpreg_db_t *db, otpreg_store_purge_work_t *work,
    const otpreg_store_purge_user_t *users, unsigned n)
{
    unsigned        i, rows;
    otpreg_db_rc_t  rc;

    rows = 0;
    rc = otpreg_db_begin(db);

    for (i = 0; rc == OTPREG_DB_OK && i < n; i++) {
        rc = otpreg_store_purge_user(db, work, &users[i], &rows);
    }

    if (rc == OTPREG_DB_OK) {
        rc = otpreg_db_commit(db);
    }

    if (rc == OTPREG_DB_OK) {
        work->rows += rows;
    }

    return rc;
}


/* the first failure is told, when all others are deleted */

static otpreg_db_rc_t
otpreg_store_purge_each(otpreg_db_t *db, otpreg_store_purge_work_t *work,
    const otpreg_store_purge_user_t *users, unsigned n)
{
    unsigned        i;
    otpreg_db_rc_t  rc;

    otpreg_db_rollback(db);

    for (i = 0; i < n; i++) {
        rc = otpreg_store_purge_user(db, work, &users[i], &work->rows);

        if (rc == OTPREG_DB_FAILED) {

            if (work->outcome == OTPREG_OK) {
                snprintf(work->error, OTPREG_DB_ERROR_SIZE, "%s",
                         otpreg_db_error(db));
                work->outcome = OTPREG_ERROR;
            }

        } else if (rc != OTPREG_DB_OK) {
            return rc;
        }
    }

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_store_purge_user(otpreg_db_t *db, otpreg_store_purge_work_t *work,
    const otpreg_store_purge_user_t *user, unsigned *rows)
{
    uint64_t           affected;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  id;

    id = otpreg_store_int(user->id);

    rc = otpreg_db_exec(db, work->sql, &id, &affected, NULL);
    if (rc == OTPREG_DB_OK) {
        *rows += (unsigned) affected;
    }

    return rc;
}


/* the rest of the moment where the walk has come to, then what comes next */

static otpreg_db_rc_t
otpreg_store_purge_look(otpreg_db_t *db, const otpreg_store_purge_t *purge,
    otpreg_store_purge_user_t *users, unsigned *n)
{
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  params[2];

    params[0] = otpreg_store_text(otpreg_store_purge_from(purge->users));
    params[1] = otpreg_store_int(purge->user_id);

    rc = otpreg_store_purge_fetch(db, OTPREG_SQL_PURGE_SAME, params, users, n);

    if (rc != OTPREG_DB_OK || *n == OTPREG_STORE_PURGE_MAX) {
        return rc;
    }

    return otpreg_store_purge_fetch(db, OTPREG_SQL_PURGE_NEXT, params, users,
                                    n);
}


static otpreg_db_rc_t
otpreg_store_purge_fetch(otpreg_db_t *db, unsigned sql,
    const otpreg_db_param_t *params, otpreg_store_purge_user_t *users,
    unsigned *n)
{
    char                created[OTPREG_STORE_TIME_SIZE];
    otpreg_db_rc_t      rc;
    otpreg_db_column_t  columns[2];

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out(created, sizeof(created));

    rc = otpreg_db_query(db, sql, params, columns, 2);

    while (rc == OTPREG_DB_OK && *n < OTPREG_STORE_PURGE_MAX) {
        users[*n].id = columns[0].num;
        memcpy(users[*n].created, created, sizeof(created));
        (*n)++;

        rc = otpreg_db_next(db, columns, 2);
    }

    otpreg_db_finish(db);

    return (rc == OTPREG_DB_NONE) ? OTPREG_DB_OK : rc;
}


static otpreg_db_rc_t
otpreg_store_purge_otps(otpreg_db_t *db, otpreg_store_purge_work_t *work)
{
    char                to[OTPREG_STORE_TIME_SIZE];
    uint64_t            affected;
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[2];
    otpreg_db_column_t  columns[2];

    params[0] = otpreg_store_text(otpreg_store_purge_from(work->purge->otps));

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out(to, sizeof(to));

    rc = otpreg_db_query(db, OTPREG_SQL_PURGE_OTPS_NEXT, params, columns, 2);
    otpreg_db_finish(db);

    if (rc == OTPREG_DB_OK && columns[0].num != 0) {
        params[1] = otpreg_store_text(to);

        rc = otpreg_db_exec(db, work->sql, params, &affected, NULL);
        if (rc == OTPREG_DB_OK) {
            work->rows = (unsigned) affected;
        }
    }

    work->more = (rc == OTPREG_DB_OK
                  && columns[0].num >= OTPREG_STORE_PURGE_MAX);

    memset(work->purge->otps, 0, OTPREG_STORE_TIME_SIZE);

    if (work->more) {
        memcpy(work->purge->otps, to, sizeof(to));
    }

    return rc;
}


static const char *
otpreg_store_purge_from(const char *time)
{
    return (time[0] != '\0') ? time : OTPREG_STORE_PURGE_START;
}
