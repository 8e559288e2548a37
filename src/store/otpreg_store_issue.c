
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include "otpreg_store_purpose.h"


/* the owner of an address may learn of a sign-up for so long */
#define OTPREG_STORE_NOTICE_TIME  86400


static otpreg_db_rc_t otpreg_store_noticed(otpreg_db_t *db,
    const otpreg_store_issue_t *in, const char *notice, bool *noticed);
static otpreg_db_rc_t otpreg_store_otp_insert(otpreg_db_t *db,
    const otpreg_store_issue_t *in);


otpreg_db_rc_t
otpreg_store_owners(otpreg_db_t *db, const char *username_key,
    otpreg_channel_t channel, const char *address_key, bool *name_taken,
    bool *address_taken)
{
    otpreg_db_rc_t      rc;
    otpreg_db_param_t   params[3];
    otpreg_db_column_t  columns[2];

    params[0] = otpreg_store_optional(username_key);
    otpreg_store_address(channel, address_key, &params[1]);

    columns[0] = otpreg_store_out_int();
    columns[1] = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_OWNERS, params, columns, 2);

    *name_taken = (rc == OTPREG_DB_OK && columns[0].num != 0);
    *address_taken = (rc == OTPREG_DB_OK && columns[1].num != 0);

    return rc;
}


otpreg_db_rc_t
otpreg_store_issue(otpreg_db_t *db, const otpreg_store_issue_t *in,
    otpreg_store_queued_t *out)
{
    bool                           silent;
    otpreg_db_rc_t                 rc;
    otpreg_store_queue_t           queue;
    const otpreg_store_purpose_t  *purpose;

    purpose = otpreg_store_purpose(in->otp->purpose);
    silent = in->silent || (in->decoy && purpose->notice == NULL);

    if (in->decoy && !silent) {
        rc = otpreg_store_noticed(db, in, purpose->notice, &silent);
        if (rc != OTPREG_DB_OK) {
            return rc;
        }
    }

    rc = otpreg_store_otp_insert(db, in);

    if (rc != OTPREG_DB_OK || silent) {
        return rc;
    }

    queue.outbox = in->outbox;
    queue.id = in->message_id;
    queue.otp = in->otp;
    queue.address_key = in->address_key;
    queue.template = in->decoy ? purpose->notice : purpose->template;
    queue.username = in->decoy ? "" : in->username;
    queue.lang = in->lang;
    queue.expires_in = in->decoy ? OTPREG_STORE_NOTICE_TIME : in->lifetime;

    return otpreg_store_queue(db, &queue, out);
}


/*
 * Whether the owner was told within a day, or is about to be: one at a time
 * asks.
 */

static otpreg_db_rc_t
otpreg_store_noticed(otpreg_db_t *db, const otpreg_store_issue_t *in,
    const char *notice, bool *noticed)
{
    bool               owned;
    otpreg_db_rc_t     rc;
    otpreg_db_param_t  params[2];

    params[0] = otpreg_store_text(in->address_key);
    params[1] = otpreg_store_text(notice);

    rc = otpreg_store_exists(db, (in->otp->channel == OTPREG_CHANNEL_SMS)
                                 ? OTPREG_SQL_PHONE_OWNER_LOCK
                                 : OTPREG_SQL_EMAIL_OWNER_LOCK,
                             params, &owned);
    if (rc != OTPREG_DB_OK) {
        return rc;
    }

    return otpreg_store_exists(db, OTPREG_SQL_MESSAGE_RECENT, params, noticed);
}


static otpreg_db_rc_t
otpreg_store_otp_insert(otpreg_db_t *db, const otpreg_store_issue_t *in)
{
    const otpreg_otp_t  *otp;
    otpreg_db_param_t    params[13];

    otp = in->otp;

    params[0] = otpreg_store_id(otp->id);
    params[1] = otpreg_store_int(otp->purpose);
    params[2] = in->user_id ? otpreg_store_int((int64_t) in->user_id)
                            : otpreg_store_text(NULL);
    params[3] = otpreg_store_int(in->decoy);
    params[4] = otpreg_store_int(otp->channel);
    params[5] = otpreg_store_text(otp->address);
    params[6] = otpreg_store_text(in->address_key);
    params[7] = otpreg_store_text(otp->key_name);
    params[8] = otpreg_store_int(otp->digits);
    params[9] = otpreg_store_int(in->attempts);
    params[10] = otpreg_store_int(in->changes);
    params[11] = otpreg_store_text(in->lang);
    params[12] = otpreg_store_int(in->lifetime);

    return otpreg_db_exec(db, OTPREG_SQL_OTP_INSERT, params, NULL, NULL);
}


otpreg_db_rc_t
otpreg_store_queue(otpreg_db_t *db, const otpreg_store_queue_t *in,
    otpreg_store_queued_t *out)
{
    bool                     leased;
    otpreg_db_param_t        params[11];
    otpreg_store_message_t  *message;

    /* a lease is for the queue of one channel */

    leased = (in->outbox->lease != NULL
              && in->outbox->channel == in->otp->channel);

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
    params[10] = otpreg_store_text(leased ? in->outbox->lease : NULL);

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


/* what was not given is NULL */

otpreg_db_param_t
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
