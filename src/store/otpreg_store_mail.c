
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include <sodium.h>

#include "otpreg_store_run.h"


/* of the sums, seconds, and into how many rows each of them is split */
#define OTPREG_STORE_MAIL_STEP   600
#define OTPREG_STORE_MAIL_SLOTS  8


static otpreg_db_rc_t otpreg_store_mail_used(otpreg_db_t *db,
    const otpreg_store_limits_t *limits, const char *site, const char *domain,
    int64_t *retry_after);
static otpreg_db_rc_t otpreg_store_mail_use(otpreg_db_t *db,
    const otpreg_store_limits_t *limits, const char *site, const char *domain);


otpreg_db_rc_t
otpreg_store_mail(otpreg_db_t *db, const otpreg_store_mail_limits_t *limits,
    const char *site, const otpreg_otp_t *otp, otpreg_store_queued_t *out)
{
    const char      *domain;
    otpreg_db_rc_t   rc;

    out->scope = OTPREG_STORE_FREE;
    out->retry_after = 0;

    if (limits == NULL || otp->channel != OTPREG_CHANNEL_EMAIL) {
        return OTPREG_DB_OK;
    }

    /* it is lower-case in every address */

    domain = strchr(otp->address, '@');
    domain = (domain != NULL) ? domain + 1 : otp->address;

    rc = otpreg_store_mail_used(db, limits->domain, site, domain,
                                &out->retry_after);

    if (rc != OTPREG_DB_OK || out->retry_after != 0) {
        out->scope = OTPREG_STORE_MAIL_DOMAIN;
        return rc;
    }

    rc = otpreg_store_mail_used(db, limits->total, site, "",
                                &out->retry_after);

    if (rc != OTPREG_DB_OK || out->retry_after != 0) {
        out->scope = OTPREG_STORE_MAIL_TOTAL;
        return rc;
    }

    /* always in this order */

    rc = otpreg_store_mail_use(db, limits->domain, site, domain);

    if (rc == OTPREG_DB_OK) {
        rc = otpreg_store_mail_use(db, limits->total, site, "");
    }

    return rc;
}


static otpreg_db_rc_t
otpreg_store_mail_used(otpreg_db_t *db, const otpreg_store_limits_t *limits,
    const char *site, const char *domain, int64_t *retry_after)
{
    unsigned           i;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  params[4];

    rc = OTPREG_DB_OK;

    for (i = 0; rc == OTPREG_DB_OK && i < limits->n; i++) {

        params[0] = otpreg_store_int(limits->limit[i].period
                                     + OTPREG_STORE_MAIL_STEP);
        params[1] = otpreg_store_text(site);
        params[2] = otpreg_store_text(domain);
        params[3] = params[0];

        rc = otpreg_store_used(db, OTPREG_SQL_MAIL_TOTAL, params,
                               limits->limit[i].count, retry_after);
    }

    return rc;
}


static otpreg_db_rc_t
otpreg_store_mail_use(otpreg_db_t *db, const otpreg_store_limits_t *limits,
    const char *site, const char *domain)
{
    otpreg_db_param_t  params[3];

    if (limits->n == 0) {
        return OTPREG_DB_OK;
    }

    params[0] = otpreg_store_text(site);
    params[1] = otpreg_store_text(domain);
    params[2] = otpreg_store_int(randombytes_uniform(OTPREG_STORE_MAIL_SLOTS));

    return otpreg_db_exec(db, OTPREG_SQL_MAIL_TOTAL_USE, params, NULL, NULL);
}
