
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_store_run.h"


/* a sign-up has one OTP after the other; so many are followed at most */
#define OTPREG_STORE_RESEND_CHAIN  64


typedef struct {
    const otpreg_store_resend_t    *in;
    otpreg_store_resent_t          *out;
    bool                            written;    /* a COMMIT was tried */
    otpreg_outcome_t                outcome;
} otpreg_store_resend_work_t;


/* the locked row of an OTP */

typedef struct {
    otpreg_otp_t                    otp;
    char                            address_key[OTPREG_OTP_ADDRESS_MAX + 1];
    char            lang[OTPREG_LANGUAGE_MAX + 1];
    int64_t                         user_id;        /* 0: a decoy */
    char                            username[OTPREG_USERNAME_MAX + 1];
    bool                            alive;
    bool                            consumed;
    bool                            superseded;
    uint8_t                         successor[OTPREG_ID_LEN + 1];
    int64_t                         since_us;       /* the newest send */
    int64_t                         expires_in;     /* seconds */
    bool                            hopeless;       /* nothing to prove */
} otpreg_store_resend_row_t;


static otpreg_db_rc_t otpreg_store_resend_work(otpreg_db_t *db, void *data,
    bool lost);
static otpreg_db_rc_t otpreg_store_resend_committed(otpreg_db_t *db,
    otpreg_store_resend_work_t *work, const otpreg_store_resend_row_t *row,
    bool *committed);
static otpreg_db_rc_t otpreg_store_resend_newest(otpreg_db_t *db,
    const otpreg_store_resend_t *in, otpreg_store_resend_row_t *row);
static otpreg_db_rc_t otpreg_store_resend_lock(otpreg_db_t *db,
    const otpreg_store_resend_t *in, const uint8_t *id,
    otpreg_store_resend_row_t *row);
static otpreg_db_rc_t otpreg_store_resend_user(otpreg_db_t *db,
    otpreg_store_resend_row_t *row);
static otpreg_db_rc_t otpreg_store_resend_sms(otpreg_db_t *db,
    const otpreg_store_resend_t *in, const otpreg_store_resend_row_t *row,
    otpreg_store_queued_t *out);
static otpreg_db_rc_t otpreg_store_resend_write(otpreg_db_t *db,
    otpreg_store_resend_work_t *work, otpreg_store_resend_row_t *row);
static otpreg_db_rc_t otpreg_store_resend_renew(otpreg_db_t *db,
    const otpreg_store_resend_t *in, otpreg_store_resend_row_t *row);


otpreg_outcome_t
otpreg_store_resend(const otpreg_db_conf_t *conf,
    const otpreg_store_resend_t *in, otpreg_store_resent_t *out, char *error)
{
    otpreg_outcome_t            outcome;
    otpreg_store_resend_work_t  work;

    memset(out, 0, sizeof(otpreg_store_resent_t));

    work.in = in;
    work.out = out;
    work.written = false;
    work.outcome = OTPREG_ERROR;

    outcome = otpreg_store_run(conf, otpreg_store_resend_work, &work, error);

    return (outcome == OTPREG_OK) ? work.outcome : outcome;
}


static otpreg_db_rc_t
otpreg_store_resend_work(otpreg_db_t *db, void *data, bool lost)
{
    otpreg_store_resend_work_t *work = data;

    bool                        committed;
    int64_t                     delay_us;
    otpreg_db_rc_t              rc;
    otpreg_store_resent_t      *out;
    otpreg_store_resend_row_t   row;

    out = work->out;
    delay_us = (int64_t) work->in->delay * 1000000;

    rc = otpreg_db_begin(db);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    rc = otpreg_store_resend_newest(db, work->in, &row);

    if (rc == OTPREG_DB_NONE) {
        work->outcome = OTPREG_NO_SIGNUP;
        otpreg_db_rollback(db);
        return OTPREG_DB_OK;
    }

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (lost && work->written) {
        rc = otpreg_store_resend_committed(db, work, &row, &committed);

        if (rc != OTPREG_DB_OK) {
            return rc;
        }

        if (committed) {
            otpreg_db_rollback(db);
            return OTPREG_DB_OK;
        }
    }

    out->queued.send = false;
    out->otp = row.otp;
    out->expires_in = (row.expires_in > 0) ? row.expires_in : 0;
    out->retry_after = (delay_us - row.since_us + 999999) / 1000000;

    if (row.consumed || row.since_us < delay_us) {
        work->outcome = row.consumed ? OTPREG_CODE_USED
                                     : OTPREG_RESEND_TOO_SOON;

        otpreg_db_rollback(db);
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_budget(db, work->in->limits, row.otp.channel,
                             row.address_key, &out->retry_after);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (out->retry_after != 0) {
        work->outcome = OTPREG_ADDRESS_LIMIT;
        otpreg_db_rollback(db);
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_resend_sms(db, work->in, &row, &out->queued);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (out->queued.sms_scope != OTPREG_STORE_SMS_FREE) {
        work->outcome = OTPREG_SMS_LIMIT;
        out->retry_after = out->queued.retry_after;
        otpreg_db_rollback(db);
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_resend_write(db, work, &row);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    work->written = true;

    return otpreg_db_commit(db);
}


/*
 * Whether the COMMIT whose answer was lost took place: then work holds what it
 * wrote.  The locked row made us wait for the end of it.
 */

static otpreg_db_rc_t
otpreg_store_resend_committed(otpreg_db_t *db,
    otpreg_store_resend_work_t *work, const otpreg_store_resend_row_t *row,
    bool *committed)
{
    otpreg_db_param_t  id;

    if (row->hopeless) {

        /* no message tells, but neither would one be sent twice */

        *committed = (memcmp(row->otp.id, work->in->new_id, OTPREG_ID_LEN) == 0
                      || row->since_us < (int64_t) work->in->delay * 1000000);
        return OTPREG_DB_OK;
    }

    id = otpreg_store_id(work->in->message_id);

    return otpreg_store_exists(db, OTPREG_SQL_MESSAGE_EXISTS, &id, committed);
}


/* two tabs may hold two OTPs of one sign-up: the newest holds */

static otpreg_db_rc_t
otpreg_store_resend_newest(otpreg_db_t *db, const otpreg_store_resend_t *in,
    otpreg_store_resend_row_t *row)
{
    uint8_t         id[OTPREG_ID_LEN];
    unsigned        i;
    otpreg_db_rc_t  rc;

    memcpy(id, in->id, OTPREG_ID_LEN);

    for (i = 0; i < OTPREG_STORE_RESEND_CHAIN; i++) {

        rc = otpreg_store_resend_lock(db, in, id, row);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }

        if (!row->superseded) {
            return otpreg_store_resend_user(db, row);
        }

        memcpy(id, row->successor, OTPREG_ID_LEN);
    }

    return OTPREG_DB_NONE;
}


static otpreg_db_rc_t
otpreg_store_resend_lock(otpreg_db_t *db, const otpreg_store_resend_t *in,
    const uint8_t *id, otpreg_store_resend_row_t *row)
{
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  columns[12];

    memset(row, 0, sizeof(otpreg_store_resend_row_t));

    params[0] = otpreg_store_int(in->attempts_max);
    params[1] = otpreg_store_id(id);
    params[2] = otpreg_store_int(in->purpose);

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out_int();
    columns[2] = otpreg_store_out(row->otp.address, sizeof(row->otp.address));
    columns[3] = otpreg_store_out(row->address_key, sizeof(row->address_key));
    columns[4] = otpreg_store_out(row->otp.key_name,
                                  sizeof(row->otp.key_name));
    columns[5] = otpreg_store_out_int();
    columns[6] = otpreg_store_out_int();
    columns[7] = otpreg_store_out_int();
    columns[8] = otpreg_store_out(row->successor, sizeof(row->successor));
    columns[9] = otpreg_store_out_int();
    columns[10] = otpreg_store_out_int();
    columns[11] = otpreg_store_out(row->lang, sizeof(row->lang));

    rc = otpreg_db_query(db, OTPREG_SQL_OTP_LOCK, params, columns, 12);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    otpreg_db_finish(db);

    memcpy(row->otp.id, id, OTPREG_ID_LEN);
    row->otp.purpose = in->purpose;
    row->user_id = columns[0].num;
    row->otp.channel = (otpreg_channel_t) columns[1].num;
    row->otp.digits = (unsigned) columns[5].num;
    row->alive = (columns[6].num != 0);
    row->consumed = (columns[7].num != 0);
    row->superseded = (columns[8].len == OTPREG_ID_LEN);
    row->since_us = columns[9].num;
    row->expires_in = columns[10].num;

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_store_resend_user(otpreg_db_t *db, otpreg_store_resend_row_t *row)
{
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  columns[3];

    otpreg_store_address(row->otp.channel, row->address_key, params);
    params[2] = otpreg_store_int(row->user_id);

    columns[0] = otpreg_store_out(row->username, sizeof(row->username));
    columns[1] = otpreg_store_out_int();
    columns[2] = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_OTP_USER, params, columns, 3);

    if (rc == OTPREG_DB_NONE) {
        row->hopeless = true;                   /* a decoy has no user */
        return OTPREG_DB_OK;
    }

    if (rc == OTPREG_DB_OK) {
        otpreg_db_finish(db);
        row->consumed = row->consumed || columns[1].num != 0;
        row->hopeless = (columns[2].num != 0);
    }

    return rc;
}


static otpreg_db_rc_t
otpreg_store_resend_sms(otpreg_db_t *db, const otpreg_store_resend_t *in,
    const otpreg_store_resend_row_t *row, otpreg_store_queued_t *out)
{
    otpreg_otp_t  otp;

    otp = row->otp;

    if (!row->alive) {
        memcpy(otp.id, in->new_id, OTPREG_ID_LEN);
    }

    return otpreg_store_sms(db, in->sms_limits, in->outbox.site, &otp, out);
}


static otpreg_db_rc_t
otpreg_store_resend_write(otpreg_db_t *db, otpreg_store_resend_work_t *work,
    otpreg_store_resend_row_t *row)
{
    otpreg_db_rc_t                rc;
    otpreg_db_param_t             id;
    otpreg_store_queue_t          queue;
    const otpreg_store_resend_t  *in;

    in = work->in;
    id = otpreg_store_id(row->otp.id);

    rc = row->alive
         ? otpreg_db_exec(db, OTPREG_SQL_OTP_RESENT, &id, NULL, NULL)
         : otpreg_store_resend_renew(db, in, row);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    work->outcome = OTPREG_OK;
    work->out->otp = row->otp;
    work->out->expires_in = row->expires_in;

    if (row->hopeless) {
        return OTPREG_DB_OK;
    }

    queue.outbox = &in->outbox;
    queue.id = in->message_id;
    queue.otp = &row->otp;
    queue.address_key = row->address_key;
    queue.template = OTPREG_TEMPLATE_OTP;
    queue.username = row->username;
    queue.lang = row->lang;
    queue.expires_in = row->expires_in;

    return otpreg_store_queue(db, &queue, &work->out->queued);
}


/* a new OTP in the place of one that expired or has no attempts left */

static otpreg_db_rc_t
otpreg_store_resend_renew(otpreg_db_t *db, const otpreg_store_resend_t *in,
    otpreg_store_resend_row_t *row)
{
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  params[2];

    params[0] = otpreg_store_id(in->new_id);
    params[1] = otpreg_store_id(row->otp.id);

    rc = otpreg_db_exec(db, OTPREG_SQL_OTP_SUPERSEDE, params, NULL, NULL);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    memcpy(row->otp.id, in->new_id, OTPREG_ID_LEN);
    row->otp.digits = in->digits;
    row->expires_in = in->lifetime;
    snprintf(row->otp.key_name, sizeof(row->otp.key_name), "%s", in->key_name);

    return otpreg_store_otp_insert(db, &row->otp, row->address_key,
                                   (uint64_t) row->user_id, row->lang,
                                   in->lifetime);
}
