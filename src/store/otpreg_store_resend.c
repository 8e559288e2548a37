
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_store_flow.h"


typedef enum {
    OTPREG_STORE_RESEND_SAME,       /* the same code again */
    OTPREG_STORE_RESEND_NEW,        /* a new one, to the same address */
    OTPREG_STORE_RESEND_OTHER,      /* one to the user's other address */
    OTPREG_STORE_RESEND_CHANGED     /* one to an address that was changed */
} otpreg_store_resend_kind_t;


typedef struct {
    const otpreg_store_resend_t    *in;
    otpreg_store_resent_t          *out;
    bool                            written;    /* a COMMIT was tried */
    otpreg_store_resend_kind_t      kind;        /* of it */
    otpreg_outcome_t                outcome;
} otpreg_store_resend_work_t;


static otpreg_db_rc_t otpreg_store_resend_work(otpreg_db_t *db, void *data,
    bool lost);
static otpreg_db_rc_t otpreg_store_resend_committed(otpreg_db_t *db,
    otpreg_store_resend_work_t *work, const otpreg_store_flow_t *flow,
    bool *committed);
static otpreg_outcome_t otpreg_store_resend_decide(
    const otpreg_store_resend_t *in, const otpreg_store_flow_t *flow,
    otpreg_store_resend_kind_t *kind, int64_t *retry_after);
static bool otpreg_store_resend_is_change(const otpreg_store_resend_t *in,
    const otpreg_store_flow_t *flow);
static otpreg_db_rc_t otpreg_store_resend_write(otpreg_db_t *db,
    otpreg_store_resend_work_t *work, otpreg_store_flow_t *flow,
    otpreg_store_resend_kind_t kind);
static otpreg_db_rc_t otpreg_store_resend_same(otpreg_db_t *db,
    otpreg_store_resend_work_t *work, const otpreg_store_flow_t *flow);
static void otpreg_store_resend_redirect(otpreg_store_flow_t *flow,
    const otpreg_store_to_t *to);
static otpreg_db_rc_t otpreg_store_resend_user(otpreg_db_t *db,
    otpreg_store_flow_t *flow, otpreg_store_resend_kind_t kind);
static otpreg_db_rc_t otpreg_store_resend_new(otpreg_db_t *db,
    otpreg_store_resend_work_t *work, const otpreg_store_flow_t *flow,
    otpreg_store_resend_kind_t kind);


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
    work.kind = OTPREG_STORE_RESEND_SAME;
    work.outcome = OTPREG_ERROR;

    outcome = otpreg_store_run(conf, otpreg_store_resend_work, &work, error);

    return (outcome == OTPREG_OK) ? work.outcome : outcome;
}


static otpreg_db_rc_t
otpreg_store_resend_work(otpreg_db_t *db, void *data, bool lost)
{
    otpreg_store_resend_work_t *work = data;

    bool                        committed;
    otpreg_db_rc_t              rc;
    otpreg_store_flow_t         flow;
    otpreg_store_resent_t      *out;
    otpreg_store_resend_kind_t  kind;

    out = work->out;

    rc = otpreg_db_begin(db);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    rc = otpreg_store_flow_lock(db, work->in->id, work->in->purpose,
                                work->in->attempts_max, &flow);

    if (rc == OTPREG_DB_NONE) {
        work->outcome = OTPREG_NO_SIGNUP;
        otpreg_db_rollback(db);
        return OTPREG_DB_OK;
    }

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (lost && work->written) {
        rc = otpreg_store_resend_committed(db, work, &flow, &committed);

        if (rc != OTPREG_DB_OK) {
            return rc;
        }

        if (committed) {
            otpreg_db_rollback(db);
            return OTPREG_DB_OK;
        }
    }

    out->queued.send = false;
    out->otp = flow.otp;
    out->expires_in = (flow.expires_in > 0) ? flow.expires_in : 0;

    work->outcome = otpreg_store_resend_decide(work->in, &flow, &kind,
                                               &out->retry_after);
    if (work->outcome != OTPREG_OK) {
        otpreg_db_rollback(db);
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_resend_write(db, work, &flow, kind);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (work->outcome != OTPREG_OK) {
        otpreg_db_rollback(db);
        return OTPREG_DB_OK;
    }

    work->written = true;
    work->kind = kind;

    return otpreg_db_commit(db);
}


/*
 * Whether the COMMIT whose answer was lost took place: then work holds what it
 * wrote.  The locked row made us wait for the end of it.
 */

static otpreg_db_rc_t
otpreg_store_resend_committed(otpreg_db_t *db,
    otpreg_store_resend_work_t *work, const otpreg_store_flow_t *flow,
    bool *committed)
{
    otpreg_db_param_t  id;

    if (work->kind != OTPREG_STORE_RESEND_SAME) {
        id = otpreg_store_id(work->in->new_id);

        return otpreg_store_exists(db, OTPREG_SQL_OTP_EXISTS, &id, committed);
    }

    if (flow->unprovable) {

        /* no message tells, but neither would one be sent twice */

        *committed = flow->since_us < (int64_t) work->in->delay * 1000000;
        return OTPREG_DB_OK;
    }

    id = otpreg_store_id(work->in->message_id);

    return otpreg_store_exists(db, OTPREG_SQL_MESSAGE_EXISTS, &id, committed);
}


static otpreg_outcome_t
otpreg_store_resend_decide(const otpreg_store_resend_t *in,
    const otpreg_store_flow_t *flow, otpreg_store_resend_kind_t *kind,
    int64_t *retry_after)
{
    int64_t  delay_us;

    if (flow->verified || (flow->consumed && !flow->proved)) {
        return OTPREG_CODE_USED;
    }

    if (otpreg_store_resend_is_change(in, flow)) {

        /* a new address must not bring back what was guessed away */

        if (!flow->consumed && flow->attempts >= in->attempts_max) {
            return OTPREG_CODE_SPENT;
        }

        *kind = OTPREG_STORE_RESEND_CHANGED;

        return (flow->changes < in->changes_max) ? OTPREG_OK
                                                 : OTPREG_CHANGE_LIMIT;
    }

    if (flow->consumed) {
        *kind = OTPREG_STORE_RESEND_OTHER;
        return flow->other.address[0] ? OTPREG_OK : OTPREG_CODE_USED;
    }

    delay_us = (int64_t) in->delay * 1000000;

    /* another one may have been sent since this statement began */

    if (delay_us > 0 && flow->since_us < delay_us) {
        *retry_after = (delay_us - flow->since_us + 999999) / 1000000;
        return OTPREG_RESEND_TOO_SOON;
    }

    *kind = flow->alive ? OTPREG_STORE_RESEND_SAME : OTPREG_STORE_RESEND_NEW;

    return OTPREG_OK;
}


static bool
otpreg_store_resend_is_change(const otpreg_store_resend_t *in,
    const otpreg_store_flow_t *flow)
{
    return in->to.address[0] != '\0'
           && (in->to.channel != flow->otp.channel
               || strcmp(in->to.address, flow->otp.address) != 0)
           && (!flow->consumed || in->to.channel != flow->other.channel
               || strcmp(in->to.address, flow->other.address) != 0);
}


static otpreg_db_rc_t
otpreg_store_resend_write(otpreg_db_t *db, otpreg_store_resend_work_t *work,
    otpreg_store_flow_t *flow, otpreg_store_resend_kind_t kind)
{
    otpreg_otp_t                  otp;
    otpreg_db_rc_t                rc;
    otpreg_store_resent_t        *out;
    const otpreg_store_resend_t  *in;

    in = work->in;
    out = work->out;

    if (kind == OTPREG_STORE_RESEND_OTHER) {
        otpreg_store_resend_redirect(flow, &flow->other);

    } else if (kind == OTPREG_STORE_RESEND_CHANGED) {
        otpreg_store_resend_redirect(flow, &in->to);
    }

    otp = flow->otp;

    if (kind != OTPREG_STORE_RESEND_SAME) {
        memcpy(otp.id, in->new_id, OTPREG_ID_LEN);
        otp.digits = in->digits;
        snprintf(otp.key_name, sizeof(otp.key_name), "%s", in->key_name);
    }

    rc = otpreg_store_admit(db, &in->budgets, in->outbox.site, &otp,
                            flow->address_key, &out->queued, &work->outcome);

    out->retry_after = out->queued.retry_after;

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (out->queued.scope != OTPREG_STORE_FREE) {
        out->otp = otp;
    }

    if (work->outcome != OTPREG_OK) {
        return OTPREG_DB_OK;
    }

    if (kind == OTPREG_STORE_RESEND_SAME) {
        return otpreg_store_resend_same(db, work, flow);
    }

    if (kind != OTPREG_STORE_RESEND_NEW) {
        rc = otpreg_store_resend_user(db, flow, kind);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }
    }

    out->otp = otp;
    out->expires_in = in->lifetime;

    return otpreg_store_resend_new(db, work, flow, kind);
}


/* the sign-up goes on with another address */

static void
otpreg_store_resend_redirect(otpreg_store_flow_t *flow,
    const otpreg_store_to_t *to)
{
    flow->otp.channel = to->channel;
    snprintf(flow->otp.address, sizeof(flow->otp.address), "%s", to->address);
    snprintf(flow->address_key, sizeof(flow->address_key), "%s", to->key);
}


static otpreg_db_rc_t
otpreg_store_resend_same(otpreg_db_t *db, otpreg_store_resend_work_t *work,
    const otpreg_store_flow_t *flow)
{
    otpreg_db_rc_t                rc;
    otpreg_db_param_t             id;
    otpreg_store_queue_t          queue;
    const otpreg_store_resend_t  *in;

    in = work->in;
    id = otpreg_store_id(flow->otp.id);

    rc = otpreg_db_exec(db, OTPREG_SQL_OTP_RESENT, &id, NULL, NULL);

    if (rc != OTPREG_DB_OK || flow->unprovable) {
        return rc;
    }

    queue.outbox = &in->outbox;
    queue.id = in->message_id;
    queue.otp = &flow->otp;
    queue.address_key = flow->address_key;
    queue.template = otpreg_store_purpose(flow->otp.purpose)->template;
    queue.username = flow->username;
    queue.lang = flow->lang;
    queue.expires_in = flow->expires_in;

    return otpreg_store_queue(db, &queue, &work->out->queued);
}


/* what another address means for the user */

static otpreg_db_rc_t
otpreg_store_resend_user(otpreg_db_t *db, otpreg_store_flow_t *flow,
    otpreg_store_resend_kind_t kind)
{
    bool               name_taken, owned;
    unsigned           sql;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  params[3];

    rc = otpreg_store_owners(db, "", flow->otp.channel, flow->address_key,
                             &name_taken, &owned);

    flow->decoy = otpreg_store_purpose_is_decoy(flow->otp.purpose, owned);
    flow->unprovable = false;

    if (rc != OTPREG_DB_OK || kind == OTPREG_STORE_RESEND_OTHER) {
        return rc;
    }

    flow->changes++;

    sql = (flow->otp.channel == OTPREG_CHANNEL_SMS) ? OTPREG_SQL_USER_PHONE
                                                    : OTPREG_SQL_USER_EMAIL;

    params[0] = otpreg_store_text(flow->otp.address);
    params[1] = otpreg_store_text(flow->address_key);
    params[2] = otpreg_store_int((int64_t) flow->user_id);

    return otpreg_db_exec(db, sql, params, NULL, NULL);
}


/* a new OTP in the place of the one that was locked */

static otpreg_db_rc_t
otpreg_store_resend_new(otpreg_db_t *db, otpreg_store_resend_work_t *work,
    const otpreg_store_flow_t *flow, otpreg_store_resend_kind_t kind)
{
    otpreg_db_rc_t                rc;
    otpreg_db_param_t             params[2];
    otpreg_store_issue_t          issue;
    const otpreg_store_resend_t  *in;

    in = work->in;

    params[0] = otpreg_store_id(in->new_id);
    params[1] = otpreg_store_id(flow->otp.id);

    rc = otpreg_db_exec(db, OTPREG_SQL_OTP_SUPERSEDE, params, NULL, NULL);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    memset(&issue, 0, sizeof(otpreg_store_issue_t));

    issue.outbox = &in->outbox;
    issue.message_id = in->message_id;
    issue.otp = &work->out->otp;
    issue.address_key = flow->address_key;
    issue.user_id = flow->user_id;
    issue.decoy = flow->decoy;
    issue.silent = flow->unprovable;
    issue.changes = flow->changes;
    issue.username = flow->username;
    issue.lang = flow->lang;
    issue.lifetime = in->lifetime;

    if (kind == OTPREG_STORE_RESEND_CHANGED && !flow->consumed) {
        issue.attempts = flow->attempts;
    }

    return otpreg_store_issue(db, &issue, &work->out->queued);
}
