
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "otpreg_store.h"
#include "store_big.h"


/*
 * Everything that requests and jobs do, done once by the functions that they
 * call, on tables that big.t has filled; then a line for each statement of the
 * list: name, calls, rows, microseconds, and its plan.
 *
 * Of big.t: somebody owns user00000001@example.com and +4915100000001, and how
 * much was sent to crowd@example.com and +4917000000000 is what it varies.
 */


#define STORE_BIG_OWNED_EMAIL  "user00000001@example.com"
#define STORE_BIG_OWNED_PHONE  "+4915100000001"
#define STORE_BIG_CROWD_EMAIL  "crowd@example.com"
#define STORE_BIG_CROWD_PHONE  "+4917000000000"
#define STORE_BIG_CLAIM_MAX    32
#define STORE_BIG_ATTEMPTS     5


static otpreg_db_conf_t  store_big_conf;
static char              store_big_error[OTPREG_DB_ERROR_SIZE];

static const otpreg_store_limits_t  store_big_limits = {
    .share = 40, .n = 2, .limit = { { 5, 3600 }, { 10, 86400 } }
};

static const otpreg_store_limits_t  store_big_many = {
    .n = 2, .limit = { { 5000, 3600 }, { 10000, 86400 } }
};

static const otpreg_store_limits_t  store_big_some = {
    .n = 2, .limit = { { 100, 3600 }, { 200, 86400 } }
};

static const otpreg_store_mail_limits_t  store_big_mail = {
    .total = &store_big_many, .domain = &store_big_many
};

static const otpreg_store_sms_limits_t  store_big_sms = {
    .total = &store_big_many, .prefix = &store_big_some, .digits = 5,
    .share = 1, .share_of = 100, .lifetime = 600
};


/* no limit refuses before the share of the verified is asked for */

static const otpreg_store_limits_t  store_big_none;

static const otpreg_store_sms_limits_t  store_big_share = {
    .total = &store_big_none, .prefix = &store_big_none, .digits = 5,
    .share = 1, .share_of = 100, .lifetime = 600
};


static void
store_big_is(otpreg_outcome_t outcome, otpreg_outcome_t expected,
    const char *what)
{
    tap_ok(outcome == expected, "%s", what);

    if (outcome != expected) {
        printf("# outcome %d, not %d: %s\n", outcome, expected,
               store_big_error);
    }
}


static void
store_big_id(uint8_t *id)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    otpreg_id_make((uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000, id);
}


static void
store_big_outbox(otpreg_store_outbox_t *outbox, otpreg_channel_t channel)
{
    outbox->site = "site";
    outbox->channel = channel;
    outbox->lease_time = 60;
}


/* an address or number of nobody */

static const char *
store_big_nobody(bool phone)
{
    static char      text[64];
    static unsigned  n;

    if (phone) {
        snprintf(text, sizeof(text), "+1555%07u%03u",
                 randombytes_uniform(10000000), n++);
    } else {
        snprintf(text, sizeof(text), "nobody%08x%u@example.com",
                 randombytes_random(), n++);
    }

    return text;
}


/* NULL: is not given; the code goes to the phone when there is one */

static void
store_big_fill(otpreg_store_signup_t *in, const char *email, const char *phone)
{
    static unsigned  n;

    memset(in, 0, sizeof(otpreg_store_signup_t));

    store_big_outbox(&in->outbox, OTPREG_CHANNEL_EMAIL);
    in->budgets.address = &store_big_limits;
    in->budgets.sms = &store_big_sms;
    in->budgets.mail = &store_big_mail;
    in->lifetime = 600;

    snprintf(in->username.key, sizeof(in->username.key), "new-%08x-%u",
             randombytes_random(), n++);
    strcpy(in->username.name, in->username.key);
    strcpy(in->phc, "$argon2id$");

    if (email != NULL) {
        snprintf(in->email.key, sizeof(in->email.key), "%s", email);
        strcpy(in->email.address, in->email.key);
    }

    if (phone != NULL) {
        snprintf(in->phone.number, sizeof(in->phone.number), "%s", phone);
    }

    store_big_id(in->otp.id);
    store_big_id(in->message_id);

    in->otp.purpose = OTPREG_PURPOSE_SIGNUP;
    in->otp.channel = phone ? OTPREG_CHANNEL_SMS : OTPREG_CHANNEL_EMAIL;
    in->otp.digits = 6;
    strcpy(in->otp.key_name, "k1");
    strcpy(in->otp.address, phone ? in->phone.number : in->email.address);
}


static otpreg_outcome_t
store_big_signup_in(const otpreg_store_signup_t *in)
{
    otpreg_store_queued_t  out;

    return otpreg_store_signup(&store_big_conf, in, &out, store_big_error);
}


/* a sign-up that is admitted; id of its OTP */

static void
store_big_signup(const char *email, const char *phone, unsigned lifetime,
    uint8_t *id, const char *what)
{
    otpreg_store_signup_t  in;

    store_big_fill(&in, email, phone);
    in.lifetime = lifetime;

    if (email && (strcmp(email, STORE_BIG_CROWD_EMAIL) == 0
                  || strcmp(email, STORE_BIG_OWNED_EMAIL) == 0))
    {
        in.budgets.address = NULL;
    }

    memcpy(id, in.otp.id, OTPREG_ID_LEN);
    store_big_is(store_big_signup_in(&in), OTPREG_OK, what);
}


static otpreg_outcome_t
store_big_try(const uint8_t *id, bool match, bool all)
{
    otpreg_store_verify_t    in;
    otpreg_store_verified_t  out;

    memset(&in, 0, sizeof(otpreg_store_verify_t));
    memcpy(in.id, id, OTPREG_ID_LEN);
    randombytes_buf(in.attempt, OTPREG_ID_LEN);

    in.purpose = OTPREG_PURPOSE_SIGNUP;
    in.match = match;
    in.all = all;
    in.attempts_max = STORE_BIG_ATTEMPTS;

    return otpreg_store_verify(&store_big_conf, &in, &out, store_big_error);
}


/* to: an address to change to, or NULL */

static otpreg_outcome_t
store_big_resend(const uint8_t *id, otpreg_channel_t channel, const char *to,
    uint8_t *new_id)
{
    otpreg_outcome_t       outcome;
    otpreg_store_resend_t  in;
    otpreg_store_resent_t  out;

    memset(&in, 0, sizeof(otpreg_store_resend_t));
    memcpy(in.id, id, OTPREG_ID_LEN);
    store_big_id(in.new_id);
    store_big_id(in.message_id);

    store_big_outbox(&in.outbox, OTPREG_CHANNEL_EMAIL);
    in.budgets.sms = &store_big_sms;
    in.budgets.mail = &store_big_mail;
    in.purpose = OTPREG_PURPOSE_SIGNUP;
    in.attempts_max = STORE_BIG_ATTEMPTS;
    in.changes_max = 5;
    in.lifetime = 600;
    in.digits = 6;
    in.key_name = "k1";

    if (to != NULL) {
        in.to.channel = channel;
        snprintf(in.to.address, sizeof(in.to.address), "%s", to);
        snprintf(in.to.key, sizeof(in.to.key), "%s", to);
    }

    outcome = otpreg_store_resend(&store_big_conf, &in, &out, store_big_error);
    memcpy(new_id, out.otp.id, OTPREG_ID_LEN);

    return outcome;
}


static void
store_big_signups(void)
{
    unsigned               i;
    uint8_t                id[OTPREG_ID_LEN];
    otpreg_outcome_t       outcome;
    otpreg_store_signup_t  in;

    store_big_fill(&in, store_big_nobody(false), NULL);
    store_big_is(store_big_signup_in(&in), OTPREG_OK, "a sign-up");

    store_big_lose = true;
    store_big_signup(store_big_nobody(false), NULL, 600, id,
                     "a sign-up whose COMMIT was answered to nobody");

    store_big_signup(NULL, store_big_nobody(true), 600, id, "one by SMS");

    for (i = 0; i < 2; i++) {
        store_big_signup(STORE_BIG_OWNED_EMAIL, NULL, 600, id,
                         "for an address that has an owner");
        store_big_signup(STORE_BIG_CROWD_EMAIL, NULL, 600, id,
                         "for the address of a crowd");
    }

    store_big_fill(&in, NULL, STORE_BIG_OWNED_PHONE);
    in.budgets.address = NULL;
    in.budgets.sms = NULL;
    store_big_is(store_big_signup_in(&in), OTPREG_OK,
                 "for a number that has an owner");

    store_big_fill(&in, STORE_BIG_CROWD_EMAIL, NULL);
    outcome = store_big_signup_in(&in);
    tap_ok(outcome == OTPREG_OK || outcome == OTPREG_ADDRESS_LIMIT,
           "of a crowd, within limits");

    for (i = 0; i < 2; i++) {
        store_big_fill(&in, NULL, STORE_BIG_CROWD_PHONE);
        in.budgets.address = NULL;
        in.budgets.sms = i ? &store_big_share : &store_big_sms;
        outcome = store_big_signup_in(&in);
        tap_ok(outcome == OTPREG_OK || outcome == OTPREG_SMS_LIMIT,
               "by SMS of a crowd, within limits");
    }
}


static void
store_big_verify(void)
{
    char                     email[64];
    uint8_t                  a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];
    otpreg_store_delivery_t  delivery;

    strcpy(email, store_big_nobody(false));
    store_big_signup(email, NULL, 600, a, "one of two for an address");
    store_big_signup(email, NULL, 600, b, "the other one");

    store_big_is(store_big_try(a, false, false), OTPREG_CODE_WRONG, "wrong");
    store_big_is(store_big_try(a, true, false), OTPREG_OK, "right");
    store_big_is(store_big_try(a, true, false), OTPREG_CODE_USED, "used");
    store_big_is(store_big_try(b, true, false), OTPREG_ADDRESS_PROVED,
                 "proved by another one");

    store_big_signup(store_big_nobody(false), NULL, 0, a, "one that expires");
    store_big_is(store_big_try(a, true, false), OTPREG_CODE_EXPIRED,
                 "expired");

    store_big_signup(store_big_nobody(false), store_big_nobody(true), 600, a,
                     "with both addresses");
    store_big_is(store_big_try(a, true, true), OTPREG_OK, "one of both");
    store_big_is(store_big_resend(a, 0, NULL, b), OTPREG_OK, "then the other");
    store_big_is(store_big_try(b, true, true), OTPREG_OK, "both");

    store_big_is(otpreg_store_delivery(&store_big_conf, b, STORE_BIG_ATTEMPTS,
                                       &delivery, store_big_error),
                 OTPREG_OK, "a look");
}


static void
store_big_again(void)
{
    uint8_t  a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];

    store_big_signup(store_big_nobody(false), NULL, 600, a, "one to resend");
    store_big_is(store_big_resend(a, 0, NULL, b), OTPREG_OK, "the same code");

    store_big_lose = true;
    store_big_is(store_big_resend(a, 0, NULL, b), OTPREG_OK,
                 "a resend whose COMMIT was answered to nobody");

    store_big_is(store_big_resend(a, OTPREG_CHANNEL_EMAIL,
                                  store_big_nobody(false), b),
                 OTPREG_OK, "another address");
    store_big_is(store_big_resend(b, OTPREG_CHANNEL_SMS,
                                  store_big_nobody(true), a),
                 OTPREG_OK, "a number instead");
    store_big_is(store_big_resend(a, OTPREG_CHANNEL_EMAIL,
                                  STORE_BIG_OWNED_EMAIL, b),
                 OTPREG_OK, "an address that has an owner");

    store_big_signup(store_big_nobody(false), NULL, 0, a, "one that expires");
    store_big_is(store_big_resend(a, 0, NULL, b), OTPREG_OK, "a new code");
}


static bool
store_big_dead(long pid)
{
    return pid == 1;
}


static void
store_big_outbox_jobs(void)
{
    char                     lease[OTPREG_LEASE_MAX + 1];
    unsigned                 i, j, n, expired;
    otpreg_store_outbox_t    outbox;
    otpreg_store_message_t   messages[STORE_BIG_CLAIM_MAX];
    otpreg_store_delivery_t  delivery;

    static unsigned  leases;

    for (i = 0; i < 6; i++) {
        store_big_outbox(&outbox, (i < 5) ? OTPREG_CHANNEL_EMAIL
                                          : OTPREG_CHANNEL_SMS);
        snprintf(lease, sizeof(lease), "node-1-%u", leases++);
        outbox.lease = lease;

        store_big_is(otpreg_store_claim(&store_big_conf, &outbox, messages,
                                        STORE_BIG_CLAIM_MAX, &n, &expired,
                                        store_big_error),
                     OTPREG_OK, "claim");

        /* the last ones are left to be released */

        for (j = 0; j < n && i < 4; j++) {
            store_big_is(otpreg_store_finish(&store_big_conf, &messages[j],
                                             (otpreg_store_result_t) (j % 4),
                                             1000, "reason", store_big_error),
                         OTPREG_OK, "finish");
            store_big_is(otpreg_store_delivery(&store_big_conf,
                                               messages[j].otp.id,
                                               STORE_BIG_ATTEMPTS, &delivery,
                                               store_big_error),
                         OTPREG_OK, "a look");
        }
    }

    store_big_is(otpreg_store_release(&store_big_conf, "node", store_big_dead,
                                      &n, store_big_error),
                 OTPREG_OK, "release");
}


static void
store_big_purge(void)
{
    bool                  more;
    unsigned              i, rows;
    otpreg_store_purge_t  walk;

    memset(&walk, 0, sizeof(otpreg_store_purge_t));

    for (i = 0; i < 2; i++) {
        store_big_is(otpreg_store_purge(&store_big_conf, &walk, &rows, &more,
                                        store_big_error),
                     OTPREG_OK, "purge");
        printf("# purged %u rows\n", rows);
    }
}


int
main(int argc, char **argv)
{
    unsigned  i;

    store_big_conf.socket = getenv("TEST_NGINX_DB_SOCKET");
    store_big_conf.user = getenv("TEST_NGINX_DB_USER");
    store_big_conf.password = getenv("TEST_NGINX_DB_PASSWORD");
    store_big_conf.name = getenv("TEST_NGINX_DB_NAME");
    store_big_conf.connect_timeout = 5;
    store_big_conf.read_timeout = 3600;

    if (store_big_conf.socket == NULL) {
        printf("# run t/unit/big.t, which starts the server\n");
        return 2;
    }

    if (sodium_init() < 0 || !otpreg_store_init()) {
        return 2;
    }

    store_big_explainer = otpreg_db_create(&store_big_conf, store_big_explain,
                                           OTPREG_SQL_COUNT, NULL);
    if (store_big_explainer == NULL) {
        return 2;
    }

    if (argc < 2 || strcmp(argv[1], "purge") != 0) {
        store_big_signups();
        store_big_verify();
        store_big_again();
        store_big_outbox_jobs();
    }

    store_big_purge();

    for (i = 0; i < OTPREG_SQL_COUNT; i++) {
        printf("statement %s %u %" PRIu64 " %" PRId64 "\n%s",
               store_big_names[i], store_big_stmts[i].calls,
               store_big_stmts[i].rows, store_big_stmts[i].us,
               store_big_stmts[i].plan);
    }

    otpreg_db_destroy(store_big_explainer);

    return tap_done();
}
