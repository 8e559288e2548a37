
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_STORE_H_INCLUDED_
#define _OTPREG_STORE_H_INCLUDED_


#include "otpreg_client.h"
#include "otpreg_db.h"
#include "otpreg_identity.h"
#include "otpreg_language.h"
#include "otpreg_otp.h"
#include "otpreg_outcome.h"
#include "otpreg_password.h"


/*
 * The room "store": the database: every SQL statement, connections, one
 * function for each query or transaction, what is repeated after a failure.  It
 * may block.  Not here: nginx, requests, when something is asked.
 */


/*
 * Users, OTPs and the outbox: one function a query or transaction.  Every
 * function blocks for as long as the timeouts of conf allow, belongs to the
 * database threads, and uses the connection that its thread keeps for conf.
 *
 * What is safe to repeat is repeated here, bounded: deadlocks, lock timeouts,
 * Galera's certification failures, and a lost connection, whose outcome is
 * looked up first.  All times are the database's.
 *
 * error  [out] OTPREG_DB_ERROR_SIZE bytes: one line for the log, "" if there
 *              is nothing to say; never a value
 */


#define OTPREG_SCHEMA_VERSION    2

#define OTPREG_SITE_MAX          64
#define OTPREG_LEASE_MAX         64
#define OTPREG_TEMPLATE_MAX      16
#define OTPREG_REASON_MAX        160
#define OTPREG_LIMITS_MAX        4
#define OTPREG_LIMIT_PERIOD_MAX  172800     /* what is kept of sends, seconds */

#define OTPREG_TEMPLATE_OTP      "otp"      /* the code */
#define OTPREG_TEMPLATE_TAKEN    "taken"    /* to the owner of the address */


/* a message that the caller holds the lease of, or shall hold */

typedef struct {
    uint8_t             id[OTPREG_ID_LEN];
    otpreg_otp_t        otp;            /* of a decoy, too */
    char                template[OTPREG_TEMPLATE_MAX + 1];
    char                username[OTPREG_USERNAME_MAX + 1];
    char                lease[OTPREG_LEASE_MAX + 1];
    char                lang[OTPREG_LANGUAGE_MAX + 1];
    unsigned            attempts;       /* this one included */
    int64_t             expires_in;     /* seconds */
    bool                obsolete;       /* its code was used already */
} otpreg_store_message_t;


/* how new messages enter the outbox */

typedef struct {
    const char         *site;
    otpreg_channel_t    channel;        /* of the queue that the lease is of */
    const char         *lease;          /* NULL: due at once, for anybody */
    unsigned            lease_time;     /* seconds */
} otpreg_store_outbox_t;


/* how much may be sent to one address; each of them holds */

typedef struct {
    unsigned            share;          /* of one client, percent; 0: all */
    unsigned            n;              /* of the list; 0: no limits */
    struct {
        unsigned        count;
        unsigned        period;         /* seconds, up to two days */
    }                   limit[OTPREG_LIMITS_MAX];
} otpreg_store_limits_t;


/* how many SMS may be sent; all of it holds, for each site by itself */

typedef struct {
    const otpreg_store_limits_t *total;
    const otpreg_store_limits_t *prefix;    /* to numbers with one prefix */
    unsigned            digits;             /* of a prefix */
    unsigned            share;              /* verified, percent; 0: any */
    unsigned            share_of;           /* newest messages to a prefix */
    unsigned            lifetime;           /* of a code, seconds */
} otpreg_store_sms_limits_t;


/* how many mails may be sent; the same */

typedef struct {
    const otpreg_store_limits_t *total;
    const otpreg_store_limits_t *domain;    /* to one domain */
} otpreg_store_mail_limits_t;


/*
 * What a message has to be within, and who asks for it.  With a share one
 * client gets that part of each count of an address, two at least; and all
 * clients of its network leave another such part for others.
 */

typedef struct {
    const otpreg_store_limits_t *address;       /* NULL: no limits */
    const otpreg_store_sms_limits_t *sms;       /* the same */
    const otpreg_store_mail_limits_t *mail;     /* the same */
    uint8_t             client[OTPREG_CLIENT_LEN];  /* otpreg_client_id() */
    uint8_t             network[OTPREG_CLIENT_LEN]; /* the widest around it */
} otpreg_store_budgets_t;


/* what refused a message */

typedef enum {
    OTPREG_STORE_FREE = 0,
    OTPREG_STORE_SMS_TOTAL,
    OTPREG_STORE_SMS_PREFIX,
    OTPREG_STORE_SMS_SHARE,
    OTPREG_STORE_SMS_COUNTRY,           /* not asked of the store */
    OTPREG_STORE_MAIL_TOTAL,
    OTPREG_STORE_MAIL_DOMAIN,
    OTPREG_STORE_SCOPES
} otpreg_store_scope_t;


/* the first of the two: what to write, the second: what became of it */

typedef struct {
    otpreg_store_outbox_t       outbox;
    otpreg_store_budgets_t      budgets;
    otpreg_username_t           username;
    otpreg_email_t              email;          /* each may be empty */
    otpreg_phone_t              phone;
    char                        lang[OTPREG_LANGUAGE_MAX + 1];
    char                        phc[OTPREG_PHC_SIZE];
    otpreg_otp_t                otp;            /* id and all, by the caller */
    uint8_t                     message_id[OTPREG_ID_LEN];
    unsigned                    lifetime;       /* seconds */
    bool                        dry;            /* answer, but write nothing
                                                   and ask no limit */
} otpreg_store_signup_t;


typedef struct {
    bool                        send;           /* message is ours to send */
    int64_t                     retry_after;    /* _LIMIT: seconds; of an
                                                   address the period */
    otpreg_store_scope_t        scope;          /* _SMS_ and _MAIL_LIMIT:
                                                   which one */
    otpreg_store_message_t      message;
} otpreg_store_queued_t;


/*
 * Write user, OTP and message in one transaction.  An address that has an
 * owner gets a decoy and, once a day, a message to the owner.
 *
 * Returns OTPREG_OK, OTPREG_USERNAME_TAKEN, OTPREG_ADDRESS_LIMIT or
 * OTPREG_SMS_LIMIT, OTPREG_MAIL_LIMIT (nothing is written),
 * OTPREG_DATABASE_DOWN or OTPREG_ERROR.
 */
otpreg_outcome_t otpreg_store_signup(const otpreg_db_conf_t *conf,
    const otpreg_store_signup_t *in, otpreg_store_queued_t *out, char *error);


typedef struct {
    uint8_t             id[OTPREG_ID_LEN];
    uint8_t             attempt[OTPREG_ID_LEN]; /* random, of this attempt */
    otpreg_purpose_t    purpose;
    bool                match;                  /* the codes are equal */
    bool                all;                    /* both addresses, one after
                                                   the other */
    unsigned            attempts_max;
} otpreg_store_verify_t;


typedef struct {
    unsigned            left;       /* attempts, after OTPREG_CODE_WRONG */
    bool                next;       /* after OTPREG_OK: this address is proved,
                                       but the user's other one is not yet */
    bool                guessed;    /* a wrong code was tried on a live OTP */
} otpreg_store_verified_t;


/*
 * Count an attempt and, when the codes match, consume the OTP and activate its
 * user: one statement, decided by the database alone.  With out->next the user
 * is not active yet, and otpreg_store_resend() sends the next code.
 *
 * Returns OTPREG_OK, OTPREG_CODE_WRONG, _SPENT, _EXPIRED, _USED,
 * OTPREG_ADDRESS_PROVED, OTPREG_USERNAME_PROVED, OTPREG_DATABASE_DOWN or
 * OTPREG_ERROR.
 */
otpreg_outcome_t otpreg_store_verify(const otpreg_db_conf_t *conf,
    const otpreg_store_verify_t *in, otpreg_store_verified_t *out,
    char *error);


/* where a code shall go; address "" is nowhere */

typedef struct {
    otpreg_channel_t            channel;
    char                        address[OTPREG_OTP_ADDRESS_MAX + 1];
    char                        key[OTPREG_OTP_ADDRESS_MAX + 1];
} otpreg_store_to_t;


typedef struct {
    otpreg_store_outbox_t       outbox;
    otpreg_store_budgets_t      budgets;
    uint8_t                     id[OTPREG_ID_LEN];      /* of the OTP */
    uint8_t                     new_id[OTPREG_ID_LEN];  /* of its successor */
    uint8_t                     message_id[OTPREG_ID_LEN];
    otpreg_purpose_t            purpose;
    otpreg_store_to_t           to;                     /* else as before */
    unsigned                    attempts_max;
    unsigned                    changes_max;            /* of the address */
    unsigned                    delay;                  /* seconds */
    unsigned                    lifetime;               /* seconds */
    unsigned                    digits;                 /* of a new code */
    const char                 *key_name;               /* of a new code */
} otpreg_store_resend_t;


typedef struct {
    otpreg_store_queued_t       queued;
    otpreg_otp_t                otp;            /* the one that now holds */
    int64_t                     expires_in;     /* seconds */
    int64_t                     retry_after;    /* _TOO_SOON, _LIMIT: seconds */
} otpreg_store_resent_t;


/*
 * Queue the same code again while it lives, else a new OTP for the same
 * sign-up: for another address, which then is the user's; after one address
 * was proved for the one that is yet to be proved; else for the same address.
 * A change of the address takes the attempts along that are gone.
 *
 * Returns OTPREG_OK, OTPREG_NO_SIGNUP, OTPREG_CODE_USED, OTPREG_CODE_SPENT,
 * OTPREG_RESEND_TOO_SOON, OTPREG_CHANGE_LIMIT, OTPREG_ADDRESS_LIMIT,
 * OTPREG_SMS_LIMIT and OTPREG_MAIL_LIMIT (out->otp.address was refused),
 * OTPREG_DATABASE_DOWN or OTPREG_ERROR.
 */
otpreg_outcome_t otpreg_store_resend(const otpreg_db_conf_t *conf,
    const otpreg_store_resend_t *in, otpreg_store_resent_t *out, char *error);


/*
 * Take up to max due messages of outbox->channel under outbox->lease, which
 * must be a new one.  Messages that expired are finished first; *expired
 * counts them.  While there are very many of those (6,400) none is taken.
 *
 * n      [out] how many were taken
 *
 * Returns OTPREG_OK, OTPREG_DATABASE_DOWN or OTPREG_ERROR.
 */
otpreg_outcome_t otpreg_store_claim(const otpreg_db_conf_t *conf,
    const otpreg_store_outbox_t *outbox, otpreg_store_message_t *messages,
    unsigned max, unsigned *n, unsigned *expired, char *error);


typedef enum {
    OTPREG_STORE_SENT,
    OTPREG_STORE_LATER,
    OTPREG_STORE_UNSENT,        /* as _LATER, but it was no attempt */
    OTPREG_STORE_GIVEN_UP
} otpreg_store_result_t;


/*
 * Say what became of a message whose lease the caller holds.
 *
 * delay_ms  [in]  OTPREG_STORE_LATER, _UNSENT: when it is due again
 * reason    [in]  why it was not sent, OTPREG_REASON_MAX bytes at most
 */
otpreg_outcome_t otpreg_store_finish(const otpreg_db_conf_t *conf,
    const otpreg_store_message_t *message, otpreg_store_result_t result,
    unsigned delay_ms, const char *reason, char *error);


typedef struct {
    bool        failed;         /* the message was given up */
    bool        spent;          /* the attempts are used up */
} otpreg_store_delivery_t;


/*
 * What became of an OTP that lives and was not used.  That its message failed
 * is told from 5 seconds after it was queued on, and of the first message to an
 * address in a day only: the owner of an address is told once a day, and who
 * asks must not see that from what becomes of it.
 *
 * out [out] all false when there is no such OTP, and after an error
 */
otpreg_outcome_t otpreg_store_delivery(const otpreg_db_conf_t *conf,
    const uint8_t id[OTPREG_ID_LEN], unsigned attempts_max,
    otpreg_store_delivery_t *out, char *error);


/*
 * Give the messages of dead owners back at once.  A lease is "node-pid-n";
 * dead(pid) is asked for each owner of this node.
 *
 * Returns OTPREG_OK with the number of messages in *n, or a failure.
 */
otpreg_outcome_t otpreg_store_release(const otpreg_db_conf_t *conf,
    const char *node, bool (*dead)(long pid), unsigned *n, char *error);


/*
 * How far a walk through the tables has come, which is the caller's, one for
 * each database.  Zeroed: at the beginning.
 */

#define OTPREG_STORE_TIME_SIZE  32

typedef struct {
    char                users[OTPREG_STORE_TIME_SIZE];  /* created_at */
    int64_t             user_id;            /* of those of that moment */
    char                otps[OTPREG_STORE_TIME_SIZE];   /* expires_at */
} otpreg_store_purge_t;


/*
 * Delete what is over: sign-ups that were not verified within a day of their
 * last code, and the OTPs and messages that expired two days ago, and what was
 * counted for limits.  Looks at OTPREG_STORE_PURGE_MAX rows of each kind at
 * most, however large the tables are, and goes on where it ended; no kind waits
 * for another one that fails.  A failure is not repeated: it comes again.
 *
 * rows   [out]     how many were deleted
 * more   [out]     there may be others: call it again soon
 *
 * Returns OTPREG_OK, or the first failure: OTPREG_DATABASE_DOWN (also a lock,
 * or a statement that took too long) or OTPREG_ERROR.
 */
#define OTPREG_STORE_PURGE_MAX  1000

otpreg_outcome_t otpreg_store_purge(const otpreg_db_conf_t *conf,
    otpreg_store_purge_t *purge, unsigned *rows, bool *more, char *error);


/* Once in a process before any thread uses the store. */
bool otpreg_store_init(void);

/*
 * Once in a process, after the threads were told to end: waits up to a second
 * for them.  Returns whether they have ended; else nothing they use may be
 * freed.
 */
bool otpreg_store_exit(void);


#endif /* _OTPREG_STORE_H_INCLUDED_ */
