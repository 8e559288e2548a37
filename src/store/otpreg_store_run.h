
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_STORE_RUN_H_INCLUDED_
#define _OTPREG_STORE_RUN_H_INCLUDED_


/*
 * Inside the store: the connection of the calling thread, and the one place
 * where work is repeated.
 */


#include "otpreg_sql.h"
#include "otpreg_store.h"


/*
 * A piece of work on a connection.  It is called again after OTPREG_DB_RETRY
 * (rolled back) and OTPREG_DB_LOST; after the latter lost is true: the former
 * call may have been committed.
 */
typedef otpreg_db_rc_t (*otpreg_store_work_pt)(otpreg_db_t *db, void *data,
    bool lost);


/*
 * Returns OTPREG_OK when the work returned OTPREG_DB_OK, else
 * OTPREG_DATABASE_DOWN or OTPREG_ERROR, with a line in error.
 */
otpreg_outcome_t otpreg_store_run(const otpreg_db_conf_t *conf,
    otpreg_store_work_pt work, void *data, char *error);


/* Write a message of an OTP to the outbox, inside the caller's transaction. */
typedef struct {
    const otpreg_store_outbox_t    *outbox;
    const uint8_t                  *id;
    const otpreg_otp_t             *otp;
    const char                     *address_key;
    const char                     *template;
    const char                     *username;
    const char                     *lang;
    int64_t                         expires_in;     /* seconds */
} otpreg_store_queue_t;

otpreg_db_rc_t otpreg_store_queue(otpreg_db_t *db,
    const otpreg_store_queue_t *in, otpreg_store_queued_t *out);


/*
 * Issue an OTP: write it and its message to the outbox, inside the caller's
 * transaction, as its purpose says.  A decoy's message is the notice to the
 * owner of the address, once a day.
 */
typedef struct {
    const otpreg_store_outbox_t    *outbox;
    const uint8_t                  *message_id;
    const otpreg_otp_t             *otp;
    const char                     *address_key;
    uint64_t                        user_id;        /* 0: there is none */
    bool                            decoy;
    bool                            silent;         /* without a message */
    unsigned                        attempts;       /* that are gone already */
    unsigned                        changes;
    const char                     *username;
    const char                     *lang;
    unsigned                        lifetime;       /* seconds */
} otpreg_store_issue_t;

otpreg_db_rc_t otpreg_store_issue(otpreg_db_t *db,
    const otpreg_store_issue_t *in, otpreg_store_queued_t *out);


/*
 * Whether the name and the address have an owner.
 *
 * username_key [in]  "" is owned by nobody
 */
otpreg_db_rc_t otpreg_store_owners(otpreg_db_t *db, const char *username_key,
    otpreg_channel_t channel, const char *address_key, bool *name_taken,
    bool *address_taken);


/*
 * Count a message, inside the caller's transaction, before anything else is
 * written: by its mailbox, and by what otpreg_store_sms() and _mail() count.
 *
 * otp      [in]   with the id that the message will have
 * out      [out]  retry_after and scope, when it is refused
 * outcome  [out]  OTPREG_OK, or OTPREG_ADDRESS_LIMIT, OTPREG_SMS_LIMIT or
 *                 OTPREG_MAIL_LIMIT, and the transaction is to be rolled back
 */
otpreg_db_rc_t otpreg_store_admit(otpreg_db_t *db,
    const otpreg_store_budgets_t *budgets, const char *site,
    const otpreg_otp_t *otp, const char *address_key,
    otpreg_store_queued_t *out, otpreg_outcome_t *outcome);


/*
 * Count an SMS, inside the caller's transaction, after its address: by the
 * prefix of the number and for the site.  Mails are not counted.
 *
 * otp    [in]   its number, and its id: the one that the message will have
 * out    [out]  scope: _FREE, or what refused it; then nothing was counted,
 *               and retry_after is the seconds to wait
 */
otpreg_db_rc_t otpreg_store_sms(otpreg_db_t *db,
    const otpreg_store_sms_limits_t *limits, const char *site,
    const otpreg_otp_t *otp, otpreg_store_queued_t *out);


/*
 * Count a mail, the same way: for its domain and for the site.  SMS are not
 * counted.  Those of one moment do not wait for each other, and may be a few
 * more than the limit, one for each thread of each node.
 */
otpreg_db_rc_t otpreg_store_mail(otpreg_db_t *db,
    const otpreg_store_mail_limits_t *limits, const char *site,
    const otpreg_otp_t *otp, otpreg_store_queued_t *out);


/*
 * Run a query for a number and the seconds until the oldest of what it counts
 * is out of the period; *retry_after: the longest wait of several limits, where
 * the number is max or more.
 */
otpreg_db_rc_t otpreg_store_used(otpreg_db_t *db, unsigned sql,
    const otpreg_db_param_t *params, unsigned max, int64_t *retry_after);


/*
 * The canonical form of an address as two placeholders, for an e-mail address
 * and for a phone number: the one of the other channel is NULL.
 */
void otpreg_store_address(otpreg_channel_t channel, const char *address_key,
    otpreg_db_param_t params[2]);


/* Run a query for one number; *exists: there is one, and it is not 0. */
otpreg_db_rc_t otpreg_store_exists(otpreg_db_t *db, unsigned sql,
    const otpreg_db_param_t *params, bool *exists);


/* placeholders and columns */

static inline otpreg_db_param_t
otpreg_store_int(int64_t num)
{
    return (otpreg_db_param_t) { .type = OTPREG_DB_INT, .num = num };
}


static inline otpreg_db_param_t
otpreg_store_bytes(const void *data, size_t len)
{
    return (otpreg_db_param_t) { .type = OTPREG_DB_BYTES, .data = data,
                                 .len = len };
}


static inline otpreg_db_param_t
otpreg_store_id(const uint8_t *id)
{
    return otpreg_store_bytes(id, OTPREG_ID_LEN);
}


otpreg_db_param_t otpreg_store_text(const char *text);     /* NULL is NULL */
otpreg_db_param_t otpreg_store_optional(const char *text); /* "" is NULL */


static inline otpreg_db_column_t
otpreg_store_out_int(void)
{
    return (otpreg_db_column_t) { .type = OTPREG_DB_INT };
}


static inline otpreg_db_column_t
otpreg_store_out(void *data, size_t size)
{
    return (otpreg_db_column_t) { .type = OTPREG_DB_BYTES, .data = data,
                                  .size = size };
}


#endif /* _OTPREG_STORE_RUN_H_INCLUDED_ */
