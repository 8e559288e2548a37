
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_store_run.h"


/* the owner of an address may learn of a sign-up for so long */
#define OTPREG_STORE_NOTICE_TIME  86400


typedef struct {
    const otpreg_store_signup_t    *in;
    otpreg_store_queued_t          *out;
    bool                            send;       /* in what was committed */
    otpreg_outcome_t                outcome;
} otpreg_store_signup_work_t;


static otpreg_db_rc_t otpreg_store_signup_work(otpreg_db_t *db, void *data,
    bool lost);
static otpreg_db_rc_t otpreg_store_signup_write(otpreg_db_t *db,
    otpreg_store_signup_work_t *work);
static otpreg_db_rc_t otpreg_store_owners(otpreg_db_t *db,
    const otpreg_store_signup_t *in, bool *name_taken, bool *address_taken);
static otpreg_db_rc_t otpreg_store_user_insert(otpreg_db_t *db,
    const otpreg_store_signup_t *in, uint64_t *user_id);
static otpreg_db_rc_t otpreg_store_noticed(otpreg_db_t *db,
    otpreg_channel_t channel, const char *address_key, bool *noticed);
static const char *otpreg_store_signup_key(const otpreg_store_signup_t *in);
static otpreg_db_param_t otpreg_store_optional(const char *text);


otpreg_outcome_t
otpreg_store_signup(const otpreg_db_conf_t *conf,
    const otpreg_store_signup_t *in, otpreg_store_queued_t *out, char *error)
{
    otpreg_outcome_t            outcome;
    otpreg_store_signup_work_t  work;

    memset(out, 0, sizeof(otpreg_store_queued_t));

    work.in = in;
    work.out = out;
    work.send = false;
    work.outcome = OTPREG_ERROR;

    outcome = otpreg_store_run(conf, otpreg_store_signup_work, &work, error);

    return (outcome == OTPREG_OK) ? work.outcome : outcome;
}


static otpreg_db_rc_t
otpreg_store_signup_work(otpreg_db_t *db, void *data, bool lost)
{
    otpreg_store_signup_work_t *work = data;

    bool               committed;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  id;

    if (lost) {
        id = otpreg_store_id(work->in->otp.id);

        rc = otpreg_store_exists(db, OTPREG_SQL_OTP_EXISTS, &id, &committed);

        if (rc != OTPREG_DB_OK) {
            return rc;
        }

        if (committed) {
            work->out->send = work->send;
            work->outcome = OTPREG_OK;
            return OTPREG_DB_OK;
        }
    }

    rc = otpreg_db_begin(db);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    rc = otpreg_store_signup_write(db, work);

    if (rc == OTPREG_DB_DUPLICATE && lost) {

        /* the server was still at the COMMIT when we looked: look again */

        return OTPREG_DB_RETRY;
    }

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (work->outcome != OTPREG_OK || work->in->dry) {
        work->out->send = false;
        otpreg_db_rollback(db);
        return OTPREG_DB_OK;
    }

    work->send = work->out->send;

    return otpreg_db_commit(db);
}


static otpreg_db_rc_t
otpreg_store_signup_write(otpreg_db_t *db, otpreg_store_signup_work_t *work)
{
    bool                          name_taken, decoy, noticed;
    uint64_t                      user_id;
    const char                   *key;
    otpreg_db_rc_t                rc;
    otpreg_store_queue_t          queue;
    const otpreg_store_signup_t  *in;

    in = work->in;
    work->outcome = OTPREG_OK;
    work->out->send = false;

    rc = otpreg_store_owners(db, in, &name_taken, &decoy);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (name_taken) {
        work->outcome = OTPREG_USERNAME_TAKEN;
        return OTPREG_DB_OK;
    }

    key = otpreg_store_signup_key(in);

    rc = otpreg_store_budget(db, in->limits, in->otp.channel, key,
                             &work->out->retry_after);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (work->out->retry_after != 0) {
        work->outcome = OTPREG_ADDRESS_LIMIT;
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_sms(db, in->sms_limits, in->outbox.site, &in->otp,
                          work->out);

    if (rc != OTPREG_DB_OK || work->out->sms_scope != OTPREG_STORE_SMS_FREE) {
        work->outcome = OTPREG_SMS_LIMIT;
        return rc;
    }

    user_id = 0;
    noticed = false;

    rc = decoy ? otpreg_store_noticed(db, in->otp.channel, key, &noticed)
               : otpreg_store_user_insert(db, in, &user_id);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    rc = otpreg_store_otp_insert(db, &in->otp, key, user_id, in->lang,
                                 in->lifetime);
    if (rc != OTPREG_DB_OK || noticed) {
        return rc;
    }

    queue.outbox = &in->outbox;
    queue.id = in->message_id;
    queue.otp = &in->otp;
    queue.address_key = key;
    queue.template = decoy ? OTPREG_TEMPLATE_TAKEN : OTPREG_TEMPLATE_OTP;
    queue.username = decoy ? "" : in->username.name;
    queue.lang = in->lang;
    queue.expires_in = decoy ? OTPREG_STORE_NOTICE_TIME : in->lifetime;

    return otpreg_store_queue(db, &queue, work->out);
}


/* the canonical form of the address that the code goes to */

static const char *
otpreg_store_signup_key(const otpreg_store_signup_t *in)
{
    return (in->otp.channel == OTPREG_CHANNEL_SMS) ? in->phone.number
                                                   : in->email.key;
}


/* what was not given is NULL */

static otpreg_db_param_t
otpreg_store_optional(const char *text)
{
    return otpreg_store_text(text[0] != '\0' ? text : NULL);
}


void
otpreg_store_address(otpreg_channel_t channel, const char *address_key,
    otpreg_db_param_t params[2])
{
    bool  sms;

    sms = (channel == OTPREG_CHANNEL_SMS);

    params[0] = otpreg_store_text(sms ? NULL : address_key);
    params[1] = otpreg_store_text(sms ? address_key : NULL);
}


static otpreg_db_rc_t
otpreg_store_owners(otpreg_db_t *db, const otpreg_store_signup_t *in,
    bool *name_taken, bool *address_taken)
{
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  columns[2];

    params[0] = otpreg_store_optional(in->username.key);
    otpreg_store_address(in->otp.channel, otpreg_store_signup_key(in),
                         &params[1]);

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_OWNERS, params, columns, 2);

    *name_taken = (rc == OTPREG_DB_OK && columns[0].num != 0);
    *address_taken = (rc == OTPREG_DB_OK && columns[1].num != 0);

    return rc;
}


static otpreg_db_rc_t
otpreg_store_user_insert(otpreg_db_t *db, const otpreg_store_signup_t *in,
    uint64_t *user_id)
{
    otpreg_db_param_t  params[7];

    params[0] = otpreg_store_optional(in->username.name);
    params[1] = otpreg_store_optional(in->username.key);
    params[2] = otpreg_store_optional(in->email.address);
    params[3] = otpreg_store_optional(in->email.key);
    params[4] = otpreg_store_optional(in->phone.number);
    params[5] = otpreg_store_optional(in->phone.number);
    params[6] = otpreg_store_text(in->phc);

    return otpreg_db_exec(db, OTPREG_SQL_USER_INSERT, params, NULL, user_id);
}


static otpreg_db_rc_t
otpreg_store_noticed(otpreg_db_t *db, otpreg_channel_t channel,
    const char *address_key, bool *noticed)
{
    bool               owned;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  params[2];

    params[0] = otpreg_store_text(address_key);
    params[1] = otpreg_store_text(OTPREG_TEMPLATE_TAKEN);

    rc = otpreg_store_exists(db, (channel == OTPREG_CHANNEL_SMS)
                                 ? OTPREG_SQL_PHONE_OWNER_LOCK
                                 : OTPREG_SQL_EMAIL_OWNER_LOCK,
                             params, &owned);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    return otpreg_store_exists(db, OTPREG_SQL_MESSAGE_RECENT, params, noticed);
}


otpreg_db_rc_t
otpreg_store_exists(otpreg_db_t *db, unsigned sql,
    const otpreg_db_param_t *params, bool *exists)
{
    otpreg_db_rc_t      rc;
    otpreg_db_column_t  column;

    column = otpreg_store_out_int();

    rc = otpreg_db_query(db, sql, params, &column, 1);

    *exists = (rc == OTPREG_DB_OK && column.num != 0);

    return (rc == OTPREG_DB_NONE) ? OTPREG_DB_OK : rc;
}


otpreg_db_rc_t
otpreg_store_otp_insert(otpreg_db_t *db, const otpreg_otp_t *otp,
    const char *address_key, uint64_t user_id, const char *lang,
    unsigned lifetime)
{
    otpreg_db_param_t  params[10];

    params[0] = otpreg_store_id(otp->id);
    params[1] = otpreg_store_int(otp->purpose);
    params[2] = user_id ? otpreg_store_int((int64_t) user_id)
                        : otpreg_store_text(NULL);
    params[3] = otpreg_store_int(otp->channel);
    params[4] = otpreg_store_text(otp->address);
    params[5] = otpreg_store_text(address_key);
    params[6] = otpreg_store_text(otp->key_name);
    params[7] = otpreg_store_int(otp->digits);
    params[8] = otpreg_store_text(lang);
    params[9] = otpreg_store_int(lifetime);

    return otpreg_db_exec(db, OTPREG_SQL_OTP_INSERT, params, NULL, NULL);
}


otpreg_db_rc_t
otpreg_store_queue(otpreg_db_t *db, const otpreg_store_queue_t *in,
    otpreg_store_queued_t *out)
{
    bool                     leased;
    otpreg_db_param_t        params[11];
    otpreg_store_message_t  *message;

    leased = (in->outbox->lease != NULL);

    params[0] = otpreg_store_id(in->id);
    params[1] = otpreg_store_text(in->outbox->site);
    params[2] = otpreg_store_id(in->otp->id);
    params[3] = otpreg_store_text(in->template);
    params[4] = otpreg_store_int(in->otp->channel);
    params[5] = otpreg_store_text(in->otp->address);
    params[6] = otpreg_store_text(in->address_key);
    params[7] = otpreg_store_int(leased);
    params[8] = otpreg_store_int(in->expires_in);
    params[9] = otpreg_store_int(leased ? in->outbox->lease_time : 0);
    params[10] = otpreg_store_text(in->outbox->lease);

    out->send = leased;
    message = &out->message;

    memset(message, 0, sizeof(otpreg_store_message_t));
    memcpy(message->id, in->id, OTPREG_ID_LEN);
    message->otp = *in->otp;
    strncpy(message->template, in->template, OTPREG_TEMPLATE_MAX);
    strncpy(message->username, in->username, OTPREG_USERNAME_MAX);
    strncpy(message->lang, in->lang, OTPREG_LANGUAGE_MAX);
    strncpy(message->lease, leased ? in->outbox->lease : "", OTPREG_LEASE_MAX);
    message->attempts = 1;
    message->expires_in = in->expires_in;

    return otpreg_db_exec(db, OTPREG_SQL_MESSAGE_INSERT, params, NULL, NULL);
}
