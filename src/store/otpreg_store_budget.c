
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_store_run.h"


/* of a client however small its share is: a code, and once again */
#define OTPREG_STORE_SHARE_MIN  2


/* whose budget it is, and who asks */

typedef struct {
    otpreg_channel_t                channel;
    const char                     *key;
    uint8_t                         client[OTPREG_CLIENT_LEN];
    uint8_t                         network[OTPREG_CLIENT_LEN];
} otpreg_store_budget_t;


/*
 * What was sent in a period, at most as much as may be: in all, for the client,
 * and for its network.
 */

typedef struct {
    int64_t                         all;
    int64_t                         client;
    int64_t                         network;
} otpreg_store_used_t;


static otpreg_db_rc_t otpreg_store_address_use(otpreg_db_t *db,
    const otpreg_store_limits_t *limits, const otpreg_store_budget_t *budget,
    int64_t *retry_after);
static otpreg_db_rc_t otpreg_store_address_used(otpreg_db_t *db,
    const otpreg_store_budget_t *budget, unsigned period, unsigned max,
    otpreg_store_used_t *used);
static bool otpreg_store_is_spent(const otpreg_store_used_t *used,
    unsigned count, unsigned share);


otpreg_db_rc_t
otpreg_store_admit(otpreg_db_t *db, const otpreg_store_budgets_t *budgets,
    const char *site, const otpreg_otp_t *otp, const char *address_key,
    otpreg_store_queued_t *out, otpreg_outcome_t *outcome)
{
    char                   mailbox[OTPREG_OTP_ADDRESS_MAX + 1];
    otpreg_db_rc_t         rc;
    otpreg_outcome_t       refused;
    otpreg_store_budget_t  budget;

    *outcome = OTPREG_OK;
    out->scope = OTPREG_STORE_FREE;

    otpreg_email_mailbox(address_key, mailbox);

    budget.channel = otp->channel;
    budget.key = mailbox;

    otpreg_client_tag(budgets->client, otp->channel, mailbox, budget.client);
    otpreg_client_tag(budgets->network, otp->channel, mailbox, budget.network);

    rc = otpreg_store_address_use(db, budgets->address, &budget,
                                  &out->retry_after);

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    if (out->retry_after != 0) {
        *outcome = OTPREG_ADDRESS_LIMIT;
        return OTPREG_DB_OK;
    }

    if (otp->channel == OTPREG_CHANNEL_SMS) {
        rc = otpreg_store_sms(db, budgets->sms, site, otp, out);
        refused = OTPREG_SMS_LIMIT;

    } else {
        rc = otpreg_store_mail(db, budgets->mail, site, otp, out);
        refused = OTPREG_MAIL_LIMIT;
    }

    if (rc == OTPREG_DB_OK && out->scope != OTPREG_STORE_FREE) {
        *outcome = refused;
    }

    return rc;
}


static otpreg_db_rc_t
otpreg_store_address_use(otpreg_db_t *db, const otpreg_store_limits_t *limits,
    const otpreg_store_budget_t *budget, int64_t *retry_after)
{
    unsigned             i;
    otpreg_db_rc_t       rc;
    otpreg_db_param_t    params[4];
    otpreg_store_used_t  used;

    *retry_after = 0;

    params[0] = otpreg_store_bytes(budget->client, OTPREG_CLIENT_LEN);
    params[1] = otpreg_store_bytes(budget->network, OTPREG_CLIENT_LEN);
    params[2] = otpreg_store_int(budget->channel);
    params[3] = otpreg_store_text(budget->key);

    /*
     * All that are about one address go one after the other from here.  Each
     * is written down, also without limits: the first one of a day is told
     * what became of its message.
     */

    rc = otpreg_db_exec(db, OTPREG_SQL_BUDGET_LOCK, &params[2], NULL, NULL);

    for (i = 0; rc == OTPREG_DB_OK && limits && i < limits->n; i++) {

        rc = otpreg_store_address_used(db, budget, limits->limit[i].period,
                                       limits->limit[i].count, &used);

        /* never the time that is left: it would tell when others asked */

        if (rc == OTPREG_DB_OK
            && otpreg_store_is_spent(&used, limits->limit[i].count,
                                     limits->share)
            && (int64_t) limits->limit[i].period > *retry_after)
        {
            *retry_after = limits->limit[i].period;
        }
    }

    if (rc != OTPREG_DB_OK || *retry_after != 0) {
        return rc;
    }

    return otpreg_db_exec(db, OTPREG_SQL_BUDGET_USE, params, NULL, NULL);
}


static otpreg_db_rc_t
otpreg_store_address_used(otpreg_db_t *db, const otpreg_store_budget_t *budget,
    unsigned period, unsigned max, otpreg_store_used_t *used)
{
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[6];
    otpreg_db_column_t  columns[3];

    params[0] = otpreg_store_bytes(budget->client, OTPREG_CLIENT_LEN);
    params[1] = otpreg_store_bytes(budget->network, OTPREG_CLIENT_LEN);
    params[2] = otpreg_store_int(budget->channel);
    params[3] = otpreg_store_text(budget->key);
    params[4] = otpreg_store_int(period);
    params[5] = otpreg_store_int(max);

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out_int();
    columns[2] = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_BUDGET_USED, params, columns, 3);

    if (rc == OTPREG_DB_OK) {
        otpreg_db_finish(db);
        used->all = columns[0].num;
        used->client = columns[1].num;
        used->network = columns[2].num;
    }

    return rc;
}


/*
 * Who knows somebody's address cannot use it up: neither one client nor its
 * whole network, so that the owner, who asks from somewhere else, gets a code.
 */

static bool
otpreg_store_is_spent(const otpreg_store_used_t *used, unsigned count,
    unsigned share)
{
    unsigned  client, network;

    if (used->all >= count) {
        return true;
    }

    if (share == 0) {
        return false;
    }

    client = (count * share + 99) / 100;

    if (client < OTPREG_STORE_SHARE_MIN) {
        client = OTPREG_STORE_SHARE_MIN;
    }

    network = (count > 2 * client) ? count - client : client;

    return used->client >= client || used->network >= network;
}


otpreg_db_rc_t
otpreg_store_used(otpreg_db_t *db, unsigned sql,
    const otpreg_db_param_t *params, unsigned max, int64_t *retry_after)
{
    int64_t             wait;
    otpreg_db_rc_t      rc;
    otpreg_db_column_t  columns[2];

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out_int();

    rc = otpreg_db_query(db, sql, params, columns, 2);

    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    otpreg_db_finish(db);

    wait = (columns[1].num > 0) ? columns[1].num : 1;

    if (columns[0].num >= max && wait > *retry_after) {
        *retry_after = wait;
    }

    return OTPREG_DB_OK;
}
