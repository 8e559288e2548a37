
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_store_purpose.h"


typedef struct {
    const otpreg_store_verify_t    *in;
    otpreg_store_verified_t        *out;
    otpreg_outcome_t                outcome;
} otpreg_store_verify_work_t;


/* what a row says after an attempt was not admitted, or may have been lost */

typedef struct {
    unsigned                        attempts;
    bool                            spent;
    bool                            expired;
    bool                            consumed;
    bool                            ours;       /* the newest attempt */
    bool                            verified;   /* all that is to be proved */
    bool                            proved;     /* this address was */
} otpreg_store_verify_state_t;


static otpreg_db_rc_t otpreg_store_verify_work(otpreg_db_t *db, void *data,
    bool lost);
static otpreg_db_rc_t otpreg_store_verify_attempt(otpreg_db_t *db,
    const otpreg_store_verify_t *in, uint64_t *affected, uint64_t *attempts);
static otpreg_db_param_t otpreg_store_verify_param(
    const otpreg_store_verify_t *in, otpreg_store_verify_param_t param);
static otpreg_db_rc_t otpreg_store_verify_burn(otpreg_db_t *db,
    otpreg_store_verify_work_t *work);
static otpreg_db_rc_t otpreg_store_verify_state(otpreg_db_t *db,
    const otpreg_store_verify_t *in, otpreg_store_verify_state_t *state);
static void otpreg_store_verify_ours(otpreg_store_verify_work_t *work,
    const otpreg_store_verify_state_t *state);
static otpreg_db_rc_t otpreg_store_verify_right(otpreg_db_t *db,
    otpreg_store_verify_work_t *work);
static void otpreg_store_verify_refused(otpreg_store_verify_work_t *work,
    const otpreg_store_verify_state_t *state);
static void otpreg_store_verify_wrong(otpreg_store_verify_work_t *work,
    unsigned attempts);


otpreg_outcome_t
otpreg_store_verify(const otpreg_db_conf_t *conf,
    const otpreg_store_verify_t *in, otpreg_store_verified_t *out,
    char *error)
{
    otpreg_outcome_t            outcome;
    otpreg_store_verify_work_t  work;

    memset(out, 0, sizeof(otpreg_store_verified_t));

    work.in = in;
    work.out = out;
    work.outcome = OTPREG_ERROR;

    outcome = otpreg_store_run(conf, otpreg_store_verify_work, &work, error);

    return (outcome == OTPREG_OK) ? work.outcome : outcome;
}


static otpreg_db_rc_t
otpreg_store_verify_work(otpreg_db_t *db, void *data, bool lost)
{
    otpreg_store_verify_work_t *work = data;

    uint64_t                     affected, attempts;
    otpreg_db_rc_t               rc;
    otpreg_store_verify_state_t  state;

    if (lost) {
        rc = otpreg_store_verify_state(db, work->in, &state);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }

        if (state.ours) {
            otpreg_store_verify_ours(work, &state);
            return OTPREG_DB_OK;
        }
    }

    rc = otpreg_store_verify_attempt(db, work->in, &affected, &attempts);

    if (rc == OTPREG_DB_DUPLICATE) {
        return otpreg_store_verify_burn(db, work);
    }

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (affected > 1) {
        return otpreg_store_verify_right(db, work);
    }

    if (affected == 1) {
        otpreg_store_verify_wrong(work, (unsigned) attempts);
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_verify_state(db, work->in, &state);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (lost && state.ours) {

        /* the server was still at our first try when we looked */

        otpreg_store_verify_ours(work, &state);
        return OTPREG_DB_OK;
    }

    otpreg_store_verify_refused(work, &state);

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_store_verify_attempt(otpreg_db_t *db, const otpreg_store_verify_t *in,
    uint64_t *affected, uint64_t *attempts)
{
    unsigned                       i;
    otpreg_db_param_t              params[OTPREG_STORE_VERIFY_PARAMS];
    const otpreg_store_purpose_t  *purpose;

    purpose = otpreg_store_purpose(in->purpose);

    for (i = 0; purpose->params[i] != OTPREG_STORE_VERIFY_END; i++) {
        params[i] = otpreg_store_verify_param(in, purpose->params[i]);
    }

    return otpreg_db_exec(db, purpose->verify, params, affected, attempts);
}


static otpreg_db_param_t
otpreg_store_verify_param(const otpreg_store_verify_t *in,
    otpreg_store_verify_param_t param)
{
    switch (param) {

    case OTPREG_STORE_VERIFY_ATTEMPT:
        return otpreg_store_id(in->attempt);

    case OTPREG_STORE_VERIFY_MATCH:
        return otpreg_store_int(in->match);

    case OTPREG_STORE_VERIFY_ALL:
        return otpreg_store_int(in->all);

    case OTPREG_STORE_VERIFY_ID:
        return otpreg_store_id(in->id);

    case OTPREG_STORE_VERIFY_PURPOSE:
        return otpreg_store_int(in->purpose);

    default:                            /* OTPREG_STORE_VERIFY_MAX */
        return otpreg_store_int(in->attempts_max);
    }
}


/*
 * The code was right, but its user cannot become an owner any more.  The
 * statement was rolled back, so the OTP is consumed by a second one.
 */

static otpreg_db_rc_t
otpreg_store_verify_burn(otpreg_db_t *db, otpreg_store_verify_work_t *work)
{
    bool               owned;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  params[2];

    params[0] = otpreg_store_id(work->in->id);

    rc = otpreg_store_exists(db, OTPREG_SQL_USERNAME_OWNED, params, &owned);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    work->outcome = owned ? OTPREG_USERNAME_PROVED : OTPREG_ADDRESS_PROVED;

    params[0] = otpreg_store_id(work->in->attempt);
    params[1] = otpreg_store_id(work->in->id);

    return otpreg_db_exec(db, OTPREG_SQL_OTP_BURN, params, NULL, NULL);
}


static otpreg_db_rc_t
otpreg_store_verify_state(otpreg_db_t *db, const otpreg_store_verify_t *in,
    otpreg_store_verify_state_t *state)
{
    unsigned            i;
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  columns[7];

    params[0] = otpreg_store_int(in->attempts_max);
    params[1] = otpreg_store_id(in->attempt);
    params[2] = otpreg_store_id(in->id);

    for (i = 0; i < 7; i++) {
        columns[i] = otpreg_store_out_int();
    }

    rc = otpreg_db_query(db, OTPREG_SQL_OTP_STATE, params, columns, 7);

    if (rc == OTPREG_DB_NONE) {

        /* it was purged, or the database was set up anew */

        memset(state, 0, sizeof(otpreg_store_verify_state_t));
        state->expired = true;
        return OTPREG_DB_OK;
    }

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    otpreg_db_finish(db);

    state->attempts = (unsigned) columns[0].num;
    state->spent = (columns[1].num != 0);
    state->expired = (columns[2].num != 0);
    state->consumed = (columns[3].num != 0);
    state->ours = (columns[4].num != 0);
    state->verified = (columns[5].num != 0)
                      && otpreg_store_purpose(in->purpose)->proves;
    state->proved = (columns[6].num != 0);

    return OTPREG_DB_OK;
}


/* the code was right: is the user verified, or is another address next? */

static otpreg_db_rc_t
otpreg_store_verify_right(otpreg_db_t *db, otpreg_store_verify_work_t *work)
{
    otpreg_db_rc_t               rc;
    otpreg_store_verify_state_t  state;

    work->outcome = OTPREG_OK;

    if (!work->in->all || !otpreg_store_purpose(work->in->purpose)->proves) {
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_verify_state(db, work->in, &state);

    work->out->next = (rc == OTPREG_DB_OK && !state.verified);

    return rc;
}


/* the attempt was counted, but the answer was lost with the connection */

static void
otpreg_store_verify_ours(otpreg_store_verify_work_t *work,
    const otpreg_store_verify_state_t *state)
{
    if (!state->consumed) {
        otpreg_store_verify_wrong(work, state->attempts);
        return;
    }

    /* if it was burned, otpreg_store_verify_burn() said why */

    if (state->proved) {
        work->outcome = OTPREG_OK;
        work->out->next = !state->verified;
    }
}


static void
otpreg_store_verify_refused(otpreg_store_verify_work_t *work,
    const otpreg_store_verify_state_t *state)
{
    if (work->in->match && work->in->all && state->consumed && state->proved
        && !state->verified)
    {
        /* who has proved one address, and says so again, goes on */

        work->outcome = OTPREG_OK;
        work->out->next = true;

    } else if (state->consumed || state->verified) {
        work->outcome = OTPREG_CODE_USED;

    } else {
        work->outcome = state->spent ? OTPREG_CODE_SPENT : OTPREG_CODE_EXPIRED;
    }
}


static void
otpreg_store_verify_wrong(otpreg_store_verify_work_t *work, unsigned attempts)
{
    unsigned  max;

    max = work->in->attempts_max;

    work->out->guessed = true;
    work->out->left = (attempts < max) ? max - attempts : 0;
    work->outcome = work->out->left ? OTPREG_CODE_WRONG : OTPREG_CODE_SPENT;
}
