
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <string.h>

#include "otpreg_store_flow.h"


/* a flow has one OTP after the other; so many are followed at most */
#define OTPREG_STORE_FLOW_CHAIN  64


static otpreg_db_rc_t otpreg_store_flow_otp(otpreg_db_t *db,
    uint8_t id[OTPREG_ID_LEN], otpreg_purpose_t purpose,
    unsigned attempts_max, otpreg_store_flow_t *flow, bool *superseded);
static otpreg_db_rc_t otpreg_store_flow_user(otpreg_db_t *db,
    otpreg_store_flow_t *flow);
static void otpreg_store_flow_other(otpreg_store_flow_t *flow,
    otpreg_channel_t channel, const char *address, const char *key);


/* two tabs may hold two OTPs of one sign-up: the newest holds */

otpreg_db_rc_t
otpreg_store_flow_lock(otpreg_db_t *db, const uint8_t id[OTPREG_ID_LEN],
    otpreg_purpose_t purpose, unsigned attempts_max, otpreg_store_flow_t *flow)
{
    bool            superseded;
    uint8_t         newest[OTPREG_ID_LEN];
    unsigned        i;
    otpreg_db_rc_t  rc;

    memcpy(newest, id, OTPREG_ID_LEN);

    for (i = 0; i < OTPREG_STORE_FLOW_CHAIN; i++) {

        rc = otpreg_store_flow_otp(db, newest, purpose, attempts_max, flow,
                                   &superseded);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }

        if (!superseded) {
            return otpreg_store_flow_user(db, flow);
        }
    }

    return OTPREG_DB_NONE;
}


/* id becomes that of the successor, when there is one */

static otpreg_db_rc_t
otpreg_store_flow_otp(otpreg_db_t *db, uint8_t id[OTPREG_ID_LEN],
    otpreg_purpose_t purpose, unsigned attempts_max, otpreg_store_flow_t *flow,
    bool *superseded)
{
    uint8_t             successor[OTPREG_ID_LEN + 1];
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  columns[15];

    memset(flow, 0, sizeof(otpreg_store_flow_t));

    params[0] = otpreg_store_int(attempts_max);
    params[1] = otpreg_store_id(id);
    params[2] = otpreg_store_int(purpose);

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out_int();
    columns[2] = otpreg_store_out_int();
    columns[3] = otpreg_store_out(flow->otp.address,
                                  sizeof(flow->otp.address));
    columns[4] = otpreg_store_out(flow->address_key,
                                  sizeof(flow->address_key));
    columns[5] = otpreg_store_out(flow->otp.key_name,
                                  sizeof(flow->otp.key_name));
    columns[6] = otpreg_store_out_int();
    columns[7] = otpreg_store_out_int();
    columns[8] = otpreg_store_out_int();
    columns[9] = otpreg_store_out_int();
    columns[10] = otpreg_store_out_int();
    columns[11] = otpreg_store_out(successor, sizeof(successor));
    columns[12] = otpreg_store_out_int();
    columns[13] = otpreg_store_out_int();
    columns[14] = otpreg_store_out(flow->lang, sizeof(flow->lang));

    rc = otpreg_db_query(db, OTPREG_SQL_OTP_LOCK, params, columns, 15);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    otpreg_db_finish(db);

    memcpy(flow->otp.id, id, OTPREG_ID_LEN);
    flow->otp.purpose = purpose;
    flow->user_id = (uint64_t) columns[0].num;
    flow->decoy = (columns[1].num != 0);
    flow->otp.channel = (otpreg_channel_t) columns[2].num;
    flow->otp.digits = (unsigned) columns[6].num;
    flow->attempts = (unsigned) columns[7].num;
    flow->changes = (unsigned) columns[8].num;
    flow->alive = (columns[9].num != 0);
    flow->consumed = (columns[10].num != 0);
    flow->since_us = columns[12].num;
    flow->expires_in = columns[13].num;

    *superseded = (columns[11].len == OTPREG_ID_LEN);

    if (*superseded) {
        memcpy(id, successor, OTPREG_ID_LEN);
    }

    return OTPREG_DB_OK;
}


static otpreg_db_rc_t
otpreg_store_flow_user(otpreg_db_t *db, otpreg_store_flow_t *flow)
{
    bool                email_proved, phone_proved, owned, proves;
    char                email[OTPREG_EMAIL_MAX + 1];
    char                email_key[OTPREG_EMAIL_MAX + 1];
    char                phone[OTPREG_PHONE_MAX + 1];
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  columns[8];

    proves = otpreg_store_purpose(flow->otp.purpose)->proves;

    if (flow->user_id == 0) {
        flow->unprovable = true;
        return OTPREG_DB_OK;
    }

    otpreg_store_address(flow->otp.channel, flow->address_key, params);
    params[2] = otpreg_store_int((int64_t) flow->user_id);

    columns[0] = otpreg_store_out(flow->username, sizeof(flow->username));
    columns[1] = otpreg_store_out_int();
    columns[2] = otpreg_store_out(email, sizeof(email));
    columns[3] = otpreg_store_out(email_key, sizeof(email_key));
    columns[4] = otpreg_store_out_int();
    columns[5] = otpreg_store_out(phone, sizeof(phone));
    columns[6] = otpreg_store_out_int();
    columns[7] = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_OTP_USER, params, columns, 8);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    otpreg_db_finish(db);

    email_proved = (columns[4].num != 0);
    phone_proved = (columns[6].num != 0);
    owned = (columns[7].num != 0);

    flow->verified = (columns[1].num != 0) && proves;
    flow->unprovable = flow->decoy || (owned && proves);

    if (!proves) {
        return OTPREG_DB_OK;
    }

    if (flow->otp.channel == OTPREG_CHANNEL_SMS) {
        flow->proved = phone_proved;

        if (!email_proved) {
            otpreg_store_flow_other(flow, OTPREG_CHANNEL_EMAIL, email,
                                    email_key);
        }

    } else {
        flow->proved = email_proved;

        if (!phone_proved) {
            otpreg_store_flow_other(flow, OTPREG_CHANNEL_SMS, phone, phone);
        }
    }

    return OTPREG_DB_OK;
}


static void
otpreg_store_flow_other(otpreg_store_flow_t *flow, otpreg_channel_t channel,
    const char *address, const char *key)
{
    flow->other.channel = channel;
    snprintf(flow->other.address, sizeof(flow->other.address), "%s", address);
    snprintf(flow->other.key, sizeof(flow->other.key), "%s", key);
}
