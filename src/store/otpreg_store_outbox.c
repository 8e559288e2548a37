
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otpreg_store_run.h"


/* leases of dead owners that are looked at in one call */
#define OTPREG_STORE_LEASES_MAX  256

/* of one call, with OTPREG_SQL_IDS_MAX messages each */
#define OTPREG_STORE_EXPIRE_ROUNDS  100

/* others may have been faster with all that we had found */
#define OTPREG_STORE_CLAIM_ROUNDS   3


typedef struct {
    const uint8_t                  *id;
    unsigned                        attempts_max;
    otpreg_store_delivery_t         out;
} otpreg_store_delivery_work_t;


typedef struct {
    const otpreg_store_outbox_t    *outbox;
    otpreg_store_message_t         *messages;
    unsigned                        max;
    unsigned                        n;
    unsigned                        expired;
} otpreg_store_claim_work_t;


/* ids of messages */

typedef struct {
    uint8_t                         id[OTPREG_SQL_IDS_MAX][OTPREG_ID_LEN];
    unsigned                        n;
} otpreg_store_found_t;


typedef struct {
    const otpreg_store_message_t   *message;
    otpreg_store_result_t           result;
    unsigned                        delay_ms;
    const char                     *reason;
} otpreg_store_finish_work_t;


typedef struct {
    const char                     *node;
    bool                          (*dead)(long pid);
    unsigned                        n;
} otpreg_store_release_work_t;


static otpreg_db_rc_t otpreg_store_claim_work(otpreg_db_t *db, void *data,
    bool lost);
static otpreg_db_rc_t otpreg_store_expire(otpreg_db_t *db,
    otpreg_store_claim_work_t *work, bool *all);
static otpreg_db_rc_t otpreg_store_find(otpreg_db_t *db, unsigned sql,
    const otpreg_store_outbox_t *outbox, unsigned max,
    otpreg_store_found_t *found);
static void otpreg_store_found_params(const otpreg_store_found_t *found,
    otpreg_db_param_t *params);
static otpreg_db_rc_t otpreg_store_claimed(otpreg_db_t *db,
    otpreg_store_claim_work_t *work);
static otpreg_db_rc_t otpreg_store_finish_work(otpreg_db_t *db, void *data,
    bool lost);
static otpreg_db_rc_t otpreg_store_release_work(otpreg_db_t *db, void *data,
    bool lost);
static otpreg_db_rc_t otpreg_store_leases(otpreg_db_t *db, const char *node,
    char (*leases)[OTPREG_LEASE_MAX + 1], unsigned *n);


otpreg_outcome_t
otpreg_store_claim(const otpreg_db_conf_t *conf,
    const otpreg_store_outbox_t *outbox, otpreg_store_message_t *messages,
    unsigned max, unsigned *n, unsigned *expired, char *error)
{
    otpreg_outcome_t           outcome;
    otpreg_store_claim_work_t  work;

    memset(&work, 0, sizeof(otpreg_store_claim_work_t));

    work.outbox = outbox;
    work.messages = messages;
    work.max = max;

    outcome = otpreg_store_run(conf, otpreg_store_claim_work, &work, error);

    *n = (outcome == OTPREG_OK) ? work.n : 0;
    *expired = work.expired;

    return outcome;
}


static otpreg_db_rc_t
otpreg_store_claim_work(otpreg_db_t *db, void *data, bool lost)
{
    otpreg_store_claim_work_t *work = data;

    bool                  all;
    unsigned              i, max;
    uint64_t              affected;
    otpreg_db_rc_t        rc;
    otpreg_db_param_t     params[2 + OTPREG_SQL_IDS_MAX];
    otpreg_store_found_t  due;

    /* after a lost connection the lease may have been taken: look first */

    if (lost) {
        rc = otpreg_store_claimed(db, work);
        if (rc != OTPREG_DB_OK || work->n > 0) {
            return rc;
        }
    }

    rc = otpreg_store_expire(db, work, &all);

    if (rc != OTPREG_DB_OK || !all) {

        /* what is due would have to be looked for among what has expired */

        return rc;
    }

    max = (work->max < OTPREG_SQL_IDS_MAX) ? work->max : OTPREG_SQL_IDS_MAX;

    params[0] = otpreg_store_int(work->outbox->lease_time);
    params[1] = otpreg_store_text(work->outbox->lease);

    for (i = 0; i < OTPREG_STORE_CLAIM_ROUNDS; i++) {

        rc = otpreg_store_find(db, OTPREG_SQL_DUE, work->outbox, max, &due);
        if (rc != OTPREG_DB_OK || due.n == 0) {
            return rc;
        }

        otpreg_store_found_params(&due, &params[2]);

        rc = otpreg_db_exec(db, OTPREG_SQL_CLAIM, params, &affected, NULL);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }

        if (affected > 0) {
            return otpreg_store_claimed(db, work);
        }
    }

    return OTPREG_DB_OK;
}


/* all: none is left but those that others hold leases of */

static otpreg_db_rc_t
otpreg_store_expire(otpreg_db_t *db, otpreg_store_claim_work_t *work,
    bool *all)
{
    unsigned              i;
    uint64_t              affected;
    otpreg_db_rc_t        rc;
    otpreg_db_param_t     params[OTPREG_SQL_IDS_MAX];
    otpreg_store_found_t  over;

    *all = false;

    for (i = 0; i < OTPREG_STORE_EXPIRE_ROUNDS; i++) {

        rc = otpreg_store_find(db, OTPREG_SQL_OVER, work->outbox,
                               OTPREG_SQL_IDS_MAX, &over);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }

        if (over.n > 0) {
            otpreg_store_found_params(&over, params);

            rc = otpreg_db_exec(db, OTPREG_SQL_EXPIRE, params, &affected,
                                NULL);
            if (rc != OTPREG_DB_OK) {
                return rc;
            }

            work->expired += (unsigned) affected;
        }

        if (over.n < OTPREG_SQL_IDS_MAX) {
            *all = true;
            break;
        }
    }

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_store_find(otpreg_db_t *db, unsigned sql,
    const otpreg_store_outbox_t *outbox, unsigned max,
    otpreg_store_found_t *found)
{
    char                id[OTPREG_ID_LEN + 1];
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  column;

    found->n = 0;

    params[0] = otpreg_store_text(outbox->site);
    params[1] = otpreg_store_int(outbox->channel);
    params[2] = otpreg_store_int(max);

    column = otpreg_store_out(id, sizeof(id));

    rc = otpreg_db_query(db, sql, params, &column, 1);

    while (rc == OTPREG_DB_OK && found->n < max) {
        memcpy(found->id[found->n++], id, OTPREG_ID_LEN);
        rc = otpreg_db_next(db, &column, 1);
    }

    otpreg_db_finish(db);

    return (rc == OTPREG_DB_NONE) ? OTPREG_DB_OK : rc;
}


/* found->n > 0; the last one stands for those that are not there */

static void
otpreg_store_found_params(const otpreg_store_found_t *found,
    otpreg_db_param_t *params)
{
    unsigned  i;

    for (i = 0; i < OTPREG_SQL_IDS_MAX; i++) {
        params[i] = otpreg_store_id(found->id[(i < found->n) ? i
                                                             : found->n - 1]);
    }
}


static otpreg_db_rc_t
otpreg_store_claimed(otpreg_db_t *db, otpreg_store_claim_work_t *work)
{
    otpreg_db_rc_t          rc;
    otpreg_db_param_t       lease;
    otpreg_db_column_t      columns[13];
    otpreg_store_message_t  m, *out;

    char  id[OTPREG_ID_LEN + 1], otp_id[OTPREG_ID_LEN + 1];

    work->n = 0;
    memset(&m, 0, sizeof(otpreg_store_message_t));

    lease = otpreg_store_text(work->outbox->lease);

    columns[0] = otpreg_store_out(id, sizeof(id));
    columns[1] = otpreg_store_out(m.template, sizeof(m.template));
    columns[2] = otpreg_store_out_int();
    columns[3] = otpreg_store_out_int();
    columns[4] = otpreg_store_out(otp_id, sizeof(otp_id));
    columns[5] = otpreg_store_out_int();
    columns[6] = otpreg_store_out_int();
    columns[7] = otpreg_store_out_int();
    columns[8] = otpreg_store_out(m.otp.key_name, sizeof(m.otp.key_name));
    columns[9] = otpreg_store_out(m.otp.address, sizeof(m.otp.address));
    columns[10] = otpreg_store_out(m.username, sizeof(m.username));
    columns[11] = otpreg_store_out_int();
    columns[12] = otpreg_store_out(m.lang, sizeof(m.lang));

    rc = otpreg_db_query(db, OTPREG_SQL_CLAIMED, &lease, columns, 13);

    while (rc == OTPREG_DB_OK && work->n < work->max) {
        out = &work->messages[work->n++];

        *out = m;
        memcpy(out->id, id, OTPREG_ID_LEN);
        memcpy(out->otp.id, otp_id, OTPREG_ID_LEN);
        out->attempts = (unsigned) columns[2].num;
        out->expires_in = columns[3].num;
        out->otp.purpose = (otpreg_purpose_t) columns[5].num;
        out->otp.channel = (otpreg_channel_t) columns[6].num;
        out->otp.digits = (unsigned) columns[7].num;
        out->obsolete = (columns[11].num != 0);
        snprintf(out->lease, sizeof(out->lease), "%s", work->outbox->lease);

        rc = otpreg_db_next(db, columns, 13);
    }

    otpreg_db_finish(db);

    return (rc == OTPREG_DB_NONE) ? OTPREG_DB_OK : rc;
}


otpreg_outcome_t
otpreg_store_finish(const otpreg_db_conf_t *conf,
    const otpreg_store_message_t *message, otpreg_store_result_t result,
    unsigned delay_ms, const char *reason, char *error)
{
    otpreg_store_finish_work_t  work;

    work.message = message;
    work.result = result;
    work.delay_ms = delay_ms;
    work.reason = reason;

    return otpreg_store_run(conf, otpreg_store_finish_work, &work, error);
}


/* each of the statements may be repeated without harm */

static otpreg_db_rc_t
otpreg_store_finish_work(otpreg_db_t *db, void *data, bool lost)
{
    const otpreg_store_finish_work_t *work = data;

    unsigned           n, sql;
    otpreg_db_param_t  params[4];

    (void) lost;

    n = 0;
    sql = OTPREG_SQL_GIVEN_UP;

    switch (work->result) {

    case OTPREG_STORE_SENT:
        params[0] = otpreg_store_id(work->message->id);
        return otpreg_db_exec(db, OTPREG_SQL_SENT, params, NULL, NULL);

    case OTPREG_STORE_LATER:
    case OTPREG_STORE_UNSENT:
        sql = (work->result == OTPREG_STORE_LATER) ? OTPREG_SQL_LATER
                                                 : OTPREG_SQL_UNSENT;
        params[n++] = otpreg_store_int((int64_t) work->delay_ms * 1000);
        break;

    case OTPREG_STORE_GIVEN_UP:
        break;
    }

    params[n++] = otpreg_store_text(work->reason);
    params[n++] = otpreg_store_id(work->message->id);
    params[n] = otpreg_store_text(work->message->lease);

    return otpreg_db_exec(db, sql, params, NULL, NULL);
}


otpreg_outcome_t
otpreg_store_release(const otpreg_db_conf_t *conf, const char *node,
    bool (*dead)(long pid), unsigned *n, char *error)
{
    otpreg_outcome_t             outcome;
    otpreg_store_release_work_t  work;

    work.node = node;
    work.dead = dead;
    work.n = 0;

    outcome = otpreg_store_run(conf, otpreg_store_release_work, &work, error);

    *n = work.n;

    return outcome;
}


static otpreg_db_rc_t
otpreg_store_release_work(otpreg_db_t *db, void *data, bool lost)
{
    otpreg_store_release_work_t *work = data;

    char               leases[OTPREG_STORE_LEASES_MAX][OTPREG_LEASE_MAX + 1];
    unsigned           i, n;
    uint64_t           affected;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  lease;

    (void) lost;

    rc = otpreg_store_leases(db, work->node, leases, &n);

    for (i = 0; rc == OTPREG_DB_OK && i < n; i++) {

        if (!work->dead(strtol(leases[i] + strlen(work->node) + 1, NULL, 10)))
        {
            continue;
        }

        lease = otpreg_store_text(leases[i]);

        rc = otpreg_db_exec(db, OTPREG_SQL_RELEASE, &lease, &affected, NULL);
        if (rc == OTPREG_DB_OK) {
            work->n += (unsigned) affected;
        }
    }

    return rc;
}


static otpreg_db_rc_t
otpreg_store_leases(otpreg_db_t *db, const char *node,
    char (*leases)[OTPREG_LEASE_MAX + 1], unsigned *n)
{
    char                pattern[OTPREG_LEASE_MAX + 3];
    char                lease[OTPREG_LEASE_MAX + 1];
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   param;
    otpreg_db_column_t  column;

    *n = 0;

    snprintf(pattern, sizeof(pattern), "%s-%%", node);

    param = otpreg_store_text(pattern);
    column = otpreg_store_out(lease, sizeof(lease));

    rc = otpreg_db_query(db, OTPREG_SQL_LEASES, &param, &column, 1);

    while (rc == OTPREG_DB_OK && *n < OTPREG_STORE_LEASES_MAX) {
        memcpy(leases[(*n)++], lease, sizeof(lease));
        rc = otpreg_db_next(db, &column, 1);
    }

    otpreg_db_finish(db);

    return (rc == OTPREG_DB_NONE) ? OTPREG_DB_OK : rc;
}


static otpreg_db_rc_t
otpreg_store_delivery_work(otpreg_db_t *db, void *data, bool lost)
{
    otpreg_store_delivery_work_t *work = data;

    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[2];
    otpreg_db_column_t  columns[2];

    (void) lost;                                /* it only reads */

    params[0] = otpreg_store_int(work->attempts_max);
    params[1] = otpreg_store_id(work->id);

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_DELIVERY, params, columns, 2);

    if (rc == OTPREG_DB_OK) {
        work->out.spent = (columns[0].num != 0);
        work->out.failed = (columns[1].num != 0);
    }

    return (rc == OTPREG_DB_NONE) ? OTPREG_DB_OK : rc;
}


otpreg_outcome_t
otpreg_store_delivery(const otpreg_db_conf_t *conf,
    const uint8_t id[OTPREG_ID_LEN], unsigned attempts_max,
    otpreg_store_delivery_t *out, char *error)
{
    otpreg_outcome_t              outcome;
    otpreg_store_delivery_work_t  work;

    memset(&work, 0, sizeof(otpreg_store_delivery_work_t));

    work.id = id;
    work.attempts_max = attempts_max;

    outcome = otpreg_store_run(conf, otpreg_store_delivery_work, &work, error);

    memset(out, 0, sizeof(otpreg_store_delivery_t));

    if (outcome == OTPREG_OK) {
        *out = work.out;
    }

    return outcome;
}
