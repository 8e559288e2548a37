
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_store_purpose.h"


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
static otpreg_db_rc_t otpreg_store_user_insert(otpreg_db_t *db,
    const otpreg_store_signup_t *in, uint64_t *user_id);
static const char *otpreg_store_signup_key(const otpreg_store_signup_t *in);


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
    bool                          name_taken, owned;
    const char                   *key;
    otpreg_db_rc_t                rc;
    otpreg_store_issue_t          issue;
    const otpreg_store_signup_t  *in;

    in = work->in;
    work->outcome = OTPREG_OK;
    work->out->send = false;

    key = otpreg_store_signup_key(in);

    rc = otpreg_store_owners(db, in->username.key, in->otp.channel, key,
                             &name_taken, &owned);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (name_taken) {
        work->outcome = OTPREG_USERNAME_TAKEN;
        return OTPREG_DB_OK;
    }

    if (!in->dry) {

        /* what is not sent is not refused: that would be asking for nothing */

        rc = otpreg_store_admit(db, &in->budgets, in->outbox.site, &in->otp,
                                key, work->out, &work->outcome);

        if (rc != OTPREG_DB_OK || work->outcome != OTPREG_OK) {
            return rc;
        }
    }

    memset(&issue, 0, sizeof(otpreg_store_issue_t));

    rc = otpreg_store_user_insert(db, in, &issue.user_id);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    issue.outbox = &in->outbox;
    issue.message_id = in->message_id;
    issue.otp = &in->otp;
    issue.address_key = key;
    issue.decoy = otpreg_store_purpose_is_decoy(in->otp.purpose, owned);
    issue.username = in->username.name;
    issue.lang = in->lang;
    issue.lifetime = in->lifetime;

    return otpreg_store_issue(db, &issue, work->out);
}


/* the canonical form of the address that the code goes to */

static const char *
otpreg_store_signup_key(const otpreg_store_signup_t *in)
{
    return (in->otp.channel == OTPREG_CHANNEL_SMS) ? in->phone.number
                                                   : in->email.key;
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
