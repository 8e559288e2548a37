
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_store_run.h"


static otpreg_db_rc_t otpreg_store_budget(otpreg_db_t *db,
    const otpreg_store_limits_t *limits, otpreg_channel_t channel,
    const char *address_key, int64_t *retry_after);
static otpreg_db_rc_t otpreg_store_budget_used(otpreg_db_t *db,
    const otpreg_db_param_t address[2], unsigned period, int64_t *used);


otpreg_db_rc_t
otpreg_store_admit(otpreg_db_t *db, const otpreg_store_limits_t *limits,
    const otpreg_store_sms_limits_t *sms_limits, const char *site,
    const otpreg_otp_t *otp, const char *address_key,
    otpreg_store_queued_t *out, otpreg_outcome_t *outcome)
{
    otpreg_db_rc_t  rc;

    *outcome = OTPREG_OK;

    rc = otpreg_store_budget(db, limits, otp->channel, address_key,
                             &out->retry_after);

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (out->retry_after != 0) {
        *outcome = OTPREG_ADDRESS_LIMIT;
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_sms(db, sms_limits, site, otp, out);

    if (rc == OTPREG_DB_OK && out->sms_scope != OTPREG_STORE_SMS_FREE) {
        *outcome = OTPREG_SMS_LIMIT;
    }

    return rc;
}


static otpreg_db_rc_t
otpreg_store_budget(otpreg_db_t *db, const otpreg_store_limits_t *limits,
    otpreg_channel_t channel, const char *address_key, int64_t *retry_after)
{
    int64_t            used;
    unsigned           i;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  address[2];

    *retry_after = 0;

    address[0] = otpreg_store_int(channel);
    address[1] = otpreg_store_text(address_key);

    /*
     * All that are about one address go one after the other from here.  Each
     * is written down, also without limits: the first one of a day is told
     * what became of its message.
     */

    rc = otpreg_db_exec(db, OTPREG_SQL_BUDGET_LOCK, address, NULL, NULL);

    for (i = 0; rc == OTPREG_DB_OK && limits && i < limits->n; i++) {

        rc = otpreg_store_budget_used(db, address, limits->limit[i].period,
                                      &used);

        /* never the time that is left: it would tell when others asked */

        if (rc == OTPREG_DB_OK && used >= limits->limit[i].count
            && (int64_t) limits->limit[i].period > *retry_after)
        {
            *retry_after = limits->limit[i].period;
        }
    }

    if (rc != OTPREG_DB_OK || *retry_after != 0) {
        return rc;
    }

    return otpreg_db_exec(db, OTPREG_SQL_BUDGET_USE, address, NULL, NULL);
}


static otpreg_db_rc_t
otpreg_store_budget_used(otpreg_db_t *db, const otpreg_db_param_t address[2],
    unsigned period, int64_t *used)
{
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  column;

    params[0] = address[0];
    params[1] = address[1];
    params[2] = otpreg_store_int(period);

    column = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_BUDGET_USED, params, &column, 1);

    if (rc == OTPREG_DB_OK) {
        otpreg_db_finish(db);
        *used = column.num;
    }

    return rc;
}
