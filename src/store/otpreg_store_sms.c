
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_store_run.h"


#define OTPREG_STORE_SMS_MINUTE  60
#define OTPREG_STORE_SMS_DAY     86400


/* what the statements about one message have in common */

typedef struct {
    const otpreg_store_sms_limits_t  *limits;
    const char                       *site;
    char                              prefix[OTPREG_PHONE_MAX + 1];
    int64_t                           retry_after;  /* seconds; 0: go on */
} otpreg_store_sms_t;


static otpreg_db_rc_t otpreg_store_sms_prefix(otpreg_db_t *db,
    otpreg_store_sms_t *sms);
static otpreg_db_rc_t otpreg_store_sms_share(otpreg_db_t *db,
    otpreg_store_sms_t *sms);
static otpreg_db_rc_t otpreg_store_sms_prefix_use(otpreg_db_t *db,
    const otpreg_store_sms_t *sms, const uint8_t *otp_id);
static otpreg_db_rc_t otpreg_store_sms_total(otpreg_db_t *db,
    otpreg_store_sms_t *sms);
static otpreg_db_rc_t otpreg_store_sms_lock(otpreg_db_t *db, const char *site,
    const char *prefix);


otpreg_db_rc_t
otpreg_store_sms(otpreg_db_t *db, const otpreg_store_sms_limits_t *limits,
    const char *site, const otpreg_otp_t *otp, otpreg_store_queued_t *out)
{
    otpreg_db_rc_t      rc;
    otpreg_store_sms_t  sms;

    out->scope = OTPREG_STORE_FREE;

    if (limits == NULL || otp->channel != OTPREG_CHANNEL_SMS) {
        return OTPREG_DB_OK;
    }

    sms.limits = limits;
    sms.site = site;
    sms.retry_after = 0;

    snprintf(sms.prefix, sizeof(sms.prefix), "%.*s",
             (int) (sizeof("+") - 1 + limits->digits), otp->address);

    /* always in this order: the row that all wait for is held the shortest */

    rc = otpreg_store_sms_prefix(db, &sms);

    if (rc != OTPREG_DB_OK || sms.retry_after != 0) {
        out->scope = OTPREG_STORE_SMS_PREFIX;
        goto done;
    }

    rc = otpreg_store_sms_share(db, &sms);

    if (rc != OTPREG_DB_OK || sms.retry_after != 0) {
        out->scope = OTPREG_STORE_SMS_SHARE;
        goto done;
    }

    rc = otpreg_store_sms_prefix_use(db, &sms, otp->id);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    rc = otpreg_store_sms_total(db, &sms);

    if (rc != OTPREG_DB_OK || sms.retry_after != 0) {
        out->scope = OTPREG_STORE_SMS_TOTAL;
    }

done:

    out->retry_after = sms.retry_after;

    return rc;
}


static otpreg_db_rc_t
otpreg_store_sms_prefix(otpreg_db_t *db, otpreg_store_sms_t *sms)
{
    unsigned                      i;
    otpreg_db_rc_t                rc;
    otpreg_db_param_t             params[5];
    const otpreg_store_limits_t  *limits;

    limits = sms->limits->prefix;

    if (limits->n == 0) {
        return OTPREG_DB_OK;
    }

    rc = otpreg_store_sms_lock(db, sms->site, sms->prefix);

    for (i = 0; rc == OTPREG_DB_OK && i < limits->n; i++) {

        params[0] = otpreg_store_int(limits->limit[i].period);
        params[1] = otpreg_store_text(sms->site);
        params[2] = otpreg_store_text(sms->prefix);
        params[3] = params[0];
        params[4] = otpreg_store_int(limits->limit[i].count);

        rc = otpreg_store_used(db, OTPREG_SQL_SMS_PREFIX, params,
                                   limits->limit[i].count, &sms->retry_after);
    }

    return rc;
}


/*
 * Whether too few of the newest messages to a prefix were of use.  Only those
 * count whose code has expired, so that nobody can change them any more, and
 * no lock is needed.
 */

static otpreg_db_rc_t
otpreg_store_sms_share(otpreg_db_t *db, otpreg_store_sms_t *sms)
{
    otpreg_db_rc_t                    rc;
    otpreg_db_param_t                 params[6];
    otpreg_db_column_t                columns[3];
    const otpreg_store_sms_limits_t  *limits;

    limits = sms->limits;

    if (limits->share == 0) {
        return OTPREG_DB_OK;
    }

    params[0] = otpreg_store_int(limits->lifetime + OTPREG_STORE_SMS_DAY);
    params[1] = otpreg_store_text(sms->site);
    params[2] = otpreg_store_text(sms->prefix);
    params[3] = params[0];
    params[4] = otpreg_store_int(limits->lifetime);
    params[5] = otpreg_store_int(limits->share_of);

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out_int();
    columns[2] = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_SMS_VERIFIED, params, columns, 3);

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    otpreg_db_finish(db);

    if (columns[0].num >= limits->share_of
        && columns[1].num * 100 < columns[0].num * limits->share)
    {
        sms->retry_after = (columns[2].num > 0) ? columns[2].num : 1;
    }

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_store_sms_prefix_use(otpreg_db_t *db, const otpreg_store_sms_t *sms,
    const uint8_t *otp_id)
{
    otpreg_db_param_t  params[3];

    if (sms->limits->prefix->n == 0 && sms->limits->share == 0) {
        return OTPREG_DB_OK;
    }

    params[0] = otpreg_store_text(sms->site);
    params[1] = otpreg_store_text(sms->prefix);
    params[2] = otpreg_store_id(otp_id);

    return otpreg_db_exec(db, OTPREG_SQL_SMS_PREFIX_USE, params, NULL, NULL);
}


/* by minutes, so that a budget of many costs no more than one of few */

static otpreg_db_rc_t
otpreg_store_sms_total(otpreg_db_t *db, otpreg_store_sms_t *sms)
{
    unsigned                      i;
    otpreg_db_rc_t                rc;
    otpreg_db_param_t             params[3], site;
    const otpreg_store_limits_t  *limits;

    limits = sms->limits->total;

    if (limits->n == 0) {
        return OTPREG_DB_OK;
    }

    site = otpreg_store_text(sms->site);

    rc = otpreg_store_sms_lock(db, sms->site, "");

    for (i = 0; rc == OTPREG_DB_OK && i < limits->n; i++) {

        params[0] = otpreg_store_int(limits->limit[i].period
                                     + OTPREG_STORE_SMS_MINUTE);
        params[1] = site;
        params[2] = params[0];

        rc = otpreg_store_used(db, OTPREG_SQL_SMS_TOTAL, params,
                                   limits->limit[i].count, &sms->retry_after);
    }

    if (rc != OTPREG_DB_OK || sms->retry_after != 0) {
        return rc;
    }

    return otpreg_db_exec(db, OTPREG_SQL_SMS_TOTAL_USE, &site, NULL, NULL);
}


/*
 * A row of the budgets: those of addresses begin with a "+", and a site never
 * has one in its name.
 */

static otpreg_db_rc_t
otpreg_store_sms_lock(otpreg_db_t *db, const char *site, const char *prefix)
{
    char               key[OTPREG_OTP_ADDRESS_MAX + 1];
    otpreg_db_param_t  params[2];

    snprintf(key, sizeof(key), "%s%s", site, prefix);

    params[0] = otpreg_store_int(OTPREG_CHANNEL_SMS);
    params[1] = otpreg_store_text(key);

    return otpreg_db_exec(db, OTPREG_SQL_BUDGET_LOCK, params, NULL, NULL);
}
