
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_proxy.h"
#include "store_test.h"


#define STORE_TEST_KILL_THREADS  8
#define STORE_TEST_KILL_SIGNUPS  1000       /* of all threads */


/* ----- every function once */

void
store_test_battery(const otpreg_db_conf_t *conf, const char *name)
{
    char                    text[256];
    bool                    passed;
    uint8_t                *id;
    unsigned                n, left, rows, expired;
    otpreg_store_queued_t   queued;
    otpreg_store_signup_t   in;
    otpreg_store_resend_t   resend;
    otpreg_store_resent_t   resent;
    otpreg_store_message_t  m[4];

    static unsigned  number;

    snprintf(text, sizeof(text), "user%u", ++number);
    store_test_signup_fill(&in, text, text);
    id = in.otp.id;

    passed = tap_is(store_test_signup_in(conf, &in, &queued), OTPREG_OK,
                    "%s: sign-up", name);

    if (!passed) {
        printf("# %s\n", store_test_error);
    }

    tap_is(store_test_try(conf, id, false, &left), OTPREG_CODE_WRONG,
           "%s: a wrong code", name);

    store_test_resend_fill(&resend, id);
    tap_is(otpreg_store_resend(conf, &resend, &resent, store_test_error),
           OTPREG_RESEND_TOO_SOON, "%s: resend", name);
    tap_ok(resent.retry_after >= 55 && resent.retry_after <= 60
           && resent.expires_in >= 590 && resent.expires_in <= 600,
           "%s: times", name);

    tap_is(store_test_try(conf, id, true, &left), OTPREG_OK,
           "%s: a right code", name);

    snprintf(text, sizeof(text), "node-9-%u", number);
    tap_is(store_test_claim_in(conf, "site", text, 60, m, 4, &n, &expired),
           OTPREG_OK, "%s: claim", name);
    tap_ok(n == 1 && expired == 0
           && memcmp(m[0].id, in.message_id, OTPREG_ID_LEN) == 0,
           "%s: the message", name);
    tap_is(otpreg_store_finish(conf, &m[0], OTPREG_STORE_SENT, 0, "",
                               store_test_error), OTPREG_OK,
           "%s: finish", name);
    tap_is(otpreg_store_release(conf, "node", store_test_dead, &n,
                                store_test_error), OTPREG_OK,
           "%s: release", name);
    tap_ok(store_test_purged(conf, &rows) == OTPREG_OK
           && rows == 0, "%s: purge", name);
}


/* what the battery leaves, by a clock that nobody set */

void
store_test_battery_rows(const char *database, const char *name)
{
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', u.is_active,"
        " o.attempts, o.consumed_at IS NOT NULL, m.sent_at IS NOT NULL,"
        " ABS(TIMESTAMPDIFF(SECOND, u.created_at, UTC_TIMESTAMP(6))) < 9,"
        " ABS(TIMESTAMPDIFF(SECOND, u.email_verified_at, UTC_TIMESTAMP(6)))"
        " < 9,"
        " ABS(TIMESTAMPDIFF(SECOND, o.sent_at, UTC_TIMESTAMP(6))) < 9,"
        " ABS(TIMESTAMPDIFF(SECOND, m.sent_at, UTC_TIMESTAMP(6))) < 9)"
        " FROM %s.users u JOIN %s.otps o ON o.user_id = u.id"
        " JOIN %s.messages m ON m.otp_id = o.id"
        " ORDER BY u.id DESC LIMIT 1", database, database, database),
        "1|2|1|1|1|1|1|1", "%s: the rows, all times in UTC", name);
}


/* ----- lost connections */

/* returns how many connections there were to kill */

unsigned
store_test_kill(void)
{
    char       sql[64];
    unsigned   n;
    MYSQL_ROW  row;
    MYSQL_RES *res;

    n = 0;
    res = store_test_connections(store_test_root, "");

    while ((row = mysql_fetch_row(res)) != NULL) {
        snprintf(sql, sizeof(sql), "KILL CONNECTION %s", row[0]);
        n += (mysql_query(store_test_root, sql) == 0);
    }

    mysql_free_result(res);
    usleep(20000);

    return n;
}


void
store_test_reconnect(void)
{
    uint8_t                 id[OTPREG_ID_LEN], other[OTPREG_ID_LEN];
    unsigned                i, n, left, expired;
    otpreg_db_conf_t       *conf;
    otpreg_store_message_t  m[4];
    otpreg_store_resent_t   out;

    store_test_group("reconnect: between calls");

    (void) store_test_signup("ann", "ann@example.com", id);

    n = store_test_kill();
    tap_ok(n > 0, "connections killed: %u", n);
    tap_is(store_test_signup("bob", "bob@example.com", other), OTPREG_OK,
           "sign-up");
    tap_is_text(store_test_error, "", "nothing for the log");
    (void) store_test_kill();
    tap_is(store_test_resend(id, &out), OTPREG_RESEND_TOO_SOON,
           "resend: nothing was sent by this call");
    store_test_sent_ago(id, 61);
    (void) store_test_kill();
    tap_is(store_test_resend(id, &out), OTPREG_OK, "resend");
    (void) store_test_kill();
    tap_is(store_test_verify(id, false), OTPREG_CODE_WRONG, "a wrong code");
    (void) store_test_kill();
    tap_is(store_test_verify(id, true), OTPREG_OK, "a right code");
    (void) store_test_kill();
    tap_is(store_test_verify(id, true), OTPREG_CODE_USED, "a used code");
    tap_is(store_test_attempts(id), 2, "attempts");
    (void) store_test_kill();
    tap_is(store_test_claim("node-1-1", m, 4), 3, "claim");
    (void) store_test_kill();
    tap_is(store_test_finish(&m[0], OTPREG_STORE_SENT), OTPREG_OK, "finish");
    (void) store_test_kill();
    tap_is(otpreg_store_release(&store_test_socket, "node", store_test_dead,
                                &n, store_test_error), OTPREG_OK, "release");
    (void) store_test_kill();
    tap_is(store_test_purged(&store_test_socket, &n),
           OTPREG_OK, "purge");
    store_test_counts(2, 2, 3, "nothing twice");

    store_test_reset();
    store_test_control("restart");
    store_test_battery(&store_test_socket, "after a restart");
    store_test_battery_rows("otpreg", "after a restart");
    store_test_control("crash");
    store_test_battery(&store_test_socket, "after a crash");

    store_test_sql("SET GLOBAL wait_timeout = 1");
    conf = store_test_conf(&store_test_socket);
    (void) store_test_try(conf, id, true, &left);
    store_test_sql("SET GLOBAL wait_timeout = 28800");
    sleep(2);
    store_test_battery(conf, "after wait_timeout");

    /* a server that is away */

    store_test_reset();
    (void) store_test_signup("ann", "ann@example.com", id);
    conf = store_test_conf(&store_test_tcp);
    tap_is(store_test_try(conf, id, false, &left), OTPREG_CODE_WRONG,
           "another connection");

    store_test_control("stop");
    tap_is(store_test_verify(id, true), OTPREG_DATABASE_DOWN,
           "no server: database down");
    tap_ok(store_test_error[0] != '\0', "and the log is told: %s",
           store_test_error);

    for (i = 0; i < 100; i++) {
        (void) store_test_verify(id, true);
    }

    tap_is(store_test_verify(id, true), OTPREG_DATABASE_DOWN, "again");
    tap_ok(store_test_error[0] != '\0', "the log is told again");
    tap_is(store_test_claim_in(&store_test_socket, "site", "node-1-1", 60, m,
                               4, &n, &expired), OTPREG_DATABASE_DOWN,
           "claim: database down");

    store_test_control("start");
    usleep(1100000);
    tap_is(store_test_verify(id, true), OTPREG_OK, "and back by itself");
    tap_is(store_test_attempts(id), 2, "nothing was counted in between");

    /* one that does not answer */

    conf = store_test_conf(&store_test_socket);
    conf->read_timeout = 1;
    conf->connect_timeout = 1;
    (void) store_test_try(conf, id, false, &left);

    store_test_control("freeze");
    tap_is(store_test_try(conf, id, true, &left), OTPREG_DATABASE_DOWN,
           "a server that is stuck: database down");
    store_test_control("thaw");
}


typedef enum {
    STORE_TEST_SIGNUP,
    STORE_TEST_DECOY,
    STORE_TEST_TAKEN,
    STORE_TEST_WRONG,
    STORE_TEST_RIGHT,
    STORE_TEST_USED,
    STORE_TEST_BURN_ADDRESS,
    STORE_TEST_BURN_NAME,
    STORE_TEST_TOO_SOON,
    STORE_TEST_RESEND,
    STORE_TEST_RESEND_NOW,
    STORE_TEST_RENEW,
    STORE_TEST_RESEND_DECOY,
    STORE_TEST_CHANGE,
    STORE_TEST_CHANGE_DECOY,
    STORE_TEST_FIRST,
    STORE_TEST_SECOND,
    STORE_TEST_LAST,
    STORE_TEST_CLAIM,
    STORE_TEST_SENT,
    STORE_TEST_LATER,
    STORE_TEST_OPS
} store_test_op_t;


static const char *const  store_test_ops[] = {
    "sign-up", "decoy", "taken name", "wrong code", "right code", "used code",
    "address of another", "name of another", "resend too soon", "resend",
    "resend without a delay", "resend with a new code", "resend of a decoy",
    "another address", "another address for a decoy", "first of two",
    "code for the second", "second of two", "claim", "sent", "later"
};


/*
 * One operation while the proxy breaks its connection at some packet: what is
 * told, and what is in the tables, must be as if it had not.  Returns what is
 * wrong, NULL if nothing.
 */

static const char *
store_test_broken(const otpreg_db_conf_t *conf, store_proxy_t *proxy,
    store_test_op_t op, store_proxy_fault_t fault, int packet, bool *fired)
{
    uint8_t                 id[OTPREG_ID_LEN], other[OTPREG_ID_LEN];
    unsigned                left, n, expired, want;
    const char             *table;
    otpreg_outcome_t        outcome, expected;
    otpreg_store_queued_t   queued;
    otpreg_store_signup_t   in;
    otpreg_store_resend_t   resend;
    otpreg_store_resent_t   resent;
    otpreg_store_message_t  m[4];
    otpreg_store_verified_t verified;

    static char  wrong[512];

    store_test_reset();
    table = "";
    want = 1;
    expected = OTPREG_OK;

    /* connected, before */

    memset(id, 0, sizeof(id));
    (void) store_test_try(conf, id, true, &left);

    store_test_signup_fill(&in, "ann", "ann@example.com");
    in.outbox.lease = "node-1-1";

    if (op == STORE_TEST_DECOY || op == STORE_TEST_RESEND_DECOY
        || op == STORE_TEST_CHANGE_DECOY || op == STORE_TEST_BURN_ADDRESS)
    {
        store_test_user("bob", "ann@example.com", other);

    } else if (op == STORE_TEST_TAKEN) {
        store_test_user("ann", "bob@example.com", other);
    }

    if (op == STORE_TEST_BURN_ADDRESS) {
        store_test_sql("DELETE FROM users");
    }

    if (op > STORE_TEST_TAKEN) {
        (void) store_test_signup_in(&store_test_socket, &in, &queued);
    }

    memcpy(id, in.otp.id, OTPREG_ID_LEN);
    store_test_resend_fill(&resend, id);
    resend.outbox.lease = "node-1-2";

    switch (op) {

    case STORE_TEST_USED:
        (void) store_test_verify(id, true);
        break;

    case STORE_TEST_BURN_ADDRESS:
        store_test_user("bob", "ann@example.com", other);
        break;

    case STORE_TEST_BURN_NAME:
        store_test_user("ann", "bob@example.com", other);
        break;

    case STORE_TEST_RENEW:
        store_test_expire(id);
        /* fall through */

    case STORE_TEST_RESEND:
    case STORE_TEST_RESEND_DECOY:
        store_test_sent_ago(id, 61);
        break;

    case STORE_TEST_RESEND_NOW:
        resend.delay = 0;
        break;

    case STORE_TEST_CHANGE:
    case STORE_TEST_CHANGE_DECOY:
        store_test_to(&resend.to, OTPREG_CHANNEL_EMAIL, "bob@example.com");
        break;

    case STORE_TEST_FIRST:
    case STORE_TEST_SECOND:
    case STORE_TEST_LAST:
        store_test_sql("UPDATE users SET phone = '+4420', phone_key = phone");
        resend.outbox.channel = OTPREG_CHANNEL_SMS;

        if (op == STORE_TEST_FIRST) {
            break;
        }

        (void) store_test_all(&store_test_socket, id, &verified);

        if (op == STORE_TEST_LAST) {
            (void) otpreg_store_resend(&store_test_socket, &resend, &resent,
                                       store_test_error);
            memcpy(id, resent.otp.id, OTPREG_ID_LEN);
        }

        break;

    case STORE_TEST_CLAIM:
    case STORE_TEST_SENT:
    case STORE_TEST_LATER:
        store_test_sql("UPDATE messages SET due_at = NOW(6)");

        if (op != STORE_TEST_CLAIM) {
            (void) store_test_claim("node-1-3", m, 4);
        }

        break;

    default:
        break;
    }

    store_proxy_arm(proxy, fault, packet);

    switch (op) {

    case STORE_TEST_SIGNUP:
        outcome = store_test_signup_in(conf, &in, &queued);
        table = "users u JOIN otps o ON o.user_id = u.id AND NOT decoy"
                " JOIN messages m ON"
                " m.otp_id = o.id AND template = 'otp' AND lease IS NOT NULL"
                " WHERE (SELECT COUNT(*) FROM users) = 1";
        break;

    case STORE_TEST_DECOY:
        outcome = store_test_signup_in(conf, &in, &queued);
        table = "otps o JOIN messages m ON m.otp_id = o.id AND decoy"
                " AND template = 'taken' WHERE (SELECT COUNT(*) FROM otps) = 2"
                " AND (SELECT COUNT(*) FROM users) = 2"
                " AND (SELECT COUNT(*) FROM messages) = 2";
        break;

    case STORE_TEST_TAKEN:
        outcome = store_test_signup_in(conf, &in, &queued);
        expected = OTPREG_USERNAME_TAKEN;
        table = "users, otps, messages";
        break;

    case STORE_TEST_WRONG:
        outcome = store_test_try(conf, id, false, &left);
        expected = OTPREG_CODE_WRONG;
        table = "otps WHERE attempts = 1 AND consumed_at IS NULL";
        break;

    case STORE_TEST_RIGHT:
        outcome = store_test_try(conf, id, true, &left);
        table = "otps, users WHERE attempts = 1 AND consumed_at AND is_active";
        break;

    case STORE_TEST_USED:
        outcome = store_test_try(conf, id, true, &left);
        expected = OTPREG_CODE_USED;
        table = "otps, users WHERE attempts = 1 AND consumed_at AND is_active";
        break;

    case STORE_TEST_FIRST:
    case STORE_TEST_LAST:
        outcome = store_test_all(conf, id, &verified);
        table = (op == STORE_TEST_FIRST)
                ? "otps, users WHERE attempts = 1 AND consumed_at AND NOT"
                  " is_active AND email_verified_at AND verified_at IS NULL"
                : "otps, users WHERE attempts = 1 AND consumed_at AND"
                  " is_active AND channel = 2 AND email_verified_at AND"
                  " phone_verified_at AND verified_at";

        if (verified.next != (op == STORE_TEST_FIRST)) {
            return "told that another code is to come, or not";
        }

        break;

    case STORE_TEST_BURN_ADDRESS:
    case STORE_TEST_BURN_NAME:
        outcome = store_test_try(conf, id, true, &left);
        expected = (op == STORE_TEST_BURN_NAME) ? OTPREG_USERNAME_PROVED
                                                : OTPREG_ADDRESS_PROVED;
        table = "otps o JOIN users u ON u.id = o.user_id AND u.is_active = 0"
                " AND attempts = 1 AND consumed_at";
        break;

    case STORE_TEST_CLAIM:
        outcome = store_test_claim_in(conf, "site", "node-1-4", 60, m, 4, &n,
                                      &expired);
        outcome = (outcome == OTPREG_OK && n != 1) ? OTPREG_ERROR : outcome;
        table = "messages WHERE attempts = 2 AND lease = 'node-1-4'";
        break;

    case STORE_TEST_SENT:
    case STORE_TEST_LATER:
        outcome = otpreg_store_finish(conf, &m[0], op == STORE_TEST_SENT
                                      ? OTPREG_STORE_SENT : OTPREG_STORE_LATER,
                                      30000, "", store_test_error);
        table = (op == STORE_TEST_SENT)
                ? "messages WHERE sent_at AND due_at IS NULL"
                : "messages WHERE due_at > NOW(6) AND lease IS NULL";
        break;

    default:
        outcome = otpreg_store_resend(conf, &resend, &resent,
                                      store_test_error);
        break;
    }

    switch (op) {

    case STORE_TEST_TOO_SOON:
        expected = OTPREG_RESEND_TOO_SOON;
        table = "otps, messages WHERE sends = 1";
        break;

    case STORE_TEST_RESEND:
    case STORE_TEST_RESEND_NOW:
        want = 2;
        table = "otps, messages WHERE sends = 2";
        break;

    case STORE_TEST_RENEW:
        want = 2;
        table = "otps o JOIN messages ON o.id = otp_id WHERE sends = 1 AND"
                " (SELECT COUNT(DISTINCT id) FROM otps) = 2";
        break;

    case STORE_TEST_CHANGE:
        table = "otps o JOIN messages ON o.id = otp_id JOIN users u ON"
                " u.email = o.address WHERE changes = 1 AND"
                " u.email_key = o.address_key AND"
                " (SELECT COUNT(*) FROM otps) = 2 AND"
                " (SELECT COUNT(*) FROM messages) = 2";
        break;

    case STORE_TEST_CHANGE_DECOY:
        table = "otps o JOIN messages ON o.id = otp_id JOIN users u ON"
                " u.id = o.user_id AND u.email = o.address WHERE changes = 1"
                " AND NOT decoy AND template = 'otp' AND"
                " (SELECT COUNT(*) FROM otps) = 3 AND"
                " (SELECT COUNT(*) FROM messages) = 3";
        break;

    case STORE_TEST_SECOND:
        table = "otps o JOIN messages m ON o.id = otp_id WHERE m.channel = 2"
                " AND o.channel = 2 AND o.address = '+4420' AND"
                " (SELECT COUNT(*) FROM otps) = 2 AND"
                " (SELECT COUNT(*) FROM messages) = 2";
        break;

    case STORE_TEST_RESEND_DECOY:
        want = 1;
        table = "otps WHERE decoy AND sends = 2 AND"
                " (SELECT COUNT(*) FROM messages) = 2";
        break;

    default:
        break;
    }

    *fired = store_proxy_disarm(proxy);

    if (outcome != expected) {
        snprintf(wrong, sizeof(wrong), "told %d, not %d: %s", outcome,
                 expected, store_test_error);
        return wrong;
    }

    if (store_test_rows(table) != want) {
        snprintf(wrong, sizeof(wrong), "%lld instead of %u: %.400s",
                 store_test_rows(table), want, table);
        return wrong;
    }

    if ((op == STORE_TEST_SIGNUP || op == STORE_TEST_DECOY)
        && !queued.send)
    {
        return "the message is not ours to send";
    }

    if ((op == STORE_TEST_RESEND || op == STORE_TEST_RENEW
         || op == STORE_TEST_RESEND_NOW || op == STORE_TEST_CHANGE
         || op == STORE_TEST_CHANGE_DECOY || op == STORE_TEST_SECOND)
        && (!resent.queued.send
            || store_test_rows("messages WHERE lease = 'node-1-2'") != 1
            || memcmp(resent.queued.message.otp.id, resent.otp.id,
                      OTPREG_ID_LEN) != 0))
    {
        return "the message is not ours to send";
    }

    return NULL;
}


void
store_test_breaks(void)
{
    int                packet;
    bool               fired;
    unsigned           op, fault, bad;
    const char        *wrong;
    otpreg_db_conf_t  *conf;

    static store_proxy_t  proxy;

    static const char *const  faults[] = {
        "before the server gets it", "before its answer comes",
        "and it comes late"
    };

    store_test_group("lost connections: at each packet");

    if (!store_proxy_start(&proxy, "127.0.0.1", 0, store_test_tcp.port)) {
        tap_ok(false, "the proxy starts");
        return;
    }

    conf = store_test_conf(&store_test_tcp);
    conf->port = proxy.port;

    for (op = 0; op < STORE_TEST_OPS; op++) {
        for (fault = 0; fault < tap_items(faults); fault++) {

            bad = 0;
            packet = 0;

            do {
                packet++;

                /* what was prepared stays so: prepare anew each time */

                (void) store_test_kill();
                wrong = store_test_broken(conf, &proxy, op, fault, packet,
                                          &fired);
                if (wrong != NULL) {
                    bad++;
                    printf("# packet %d: %s\n", packet, wrong);
                }

            } while (fired && packet < 100);

            tap_ok(bad == 0 && packet > 1 && packet < 100,
                   "%s: lost at each of %d packets, %s", store_test_ops[op],
                   packet - 1, faults[fault]);
        }
    }

    /* connections of this thread stay until it ends: so does a proxy */
}


/* what a thread was told of one sign-up under the killer */

typedef struct {
    uint8_t             id[OTPREG_ID_LEN];
    char                name[32];
    otpreg_outcome_t    signup;
    otpreg_outcome_t    wrong;
    otpreg_outcome_t    right;
    otpreg_outcome_t    resend;
    char                error[OTPREG_DB_ERROR_SIZE];
} store_test_ledger_t;


static store_test_ledger_t  store_test_ledger[STORE_TEST_KILL_SIGNUPS];
static atomic_bool          store_test_kill_stop;
static atomic_uint          store_test_killed;


static void *
store_test_killer(void *data)
{
    char        sql[64];
    MYSQL      *mysql;
    MYSQL_ROW   row;
    MYSQL_RES  *res;

    (void) data;

    mysql = store_test_open();

    while (!atomic_load(&store_test_kill_stop)) {

        res = store_test_connections(mysql, " AND db = 'otpreg'"
                                     " ORDER BY RAND() LIMIT 1");
        row = mysql_fetch_row(res);

        if (row != NULL) {
            snprintf(sql, sizeof(sql), "KILL CONNECTION %s", row[0]);
            atomic_fetch_add(&store_test_killed, mysql_query(mysql, sql) == 0);
        }

        mysql_free_result(res);
        usleep(1000 + randombytes_uniform(4000));
    }

    mysql_close(mysql);
    mysql_thread_end();

    return NULL;
}


static void
store_test_kill_thread(unsigned i, void *data)
{
    unsigned                k, left;
    otpreg_db_conf_t       *conf;
    otpreg_store_queued_t   queued;
    otpreg_store_signup_t   in;
    otpreg_store_resend_t   resend;
    otpreg_store_resent_t   resent;
    store_test_ledger_t    *told;

    (void) data;

    conf = store_test_conf(&store_test_socket);

    for (k = i; k < STORE_TEST_KILL_SIGNUPS; k += STORE_TEST_KILL_THREADS) {
        told = &store_test_ledger[k];

        snprintf(told->name, sizeof(told->name), "user%u", k);
        store_test_signup_fill(&in, told->name, told->name);
        memcpy(told->id, in.otp.id, OTPREG_ID_LEN);

        told->signup = store_test_signup_in(conf, &in, &queued);
        told->wrong = store_test_try(conf, told->id, false, &left);

        store_test_resend_fill(&resend, told->id);
        resend.delay = 0;
        told->resend = otpreg_store_resend(conf, &resend, &resent,
                                           store_test_error);
        told->right = store_test_try(conf, told->id, true, &left);

        if (told->signup == OTPREG_ERROR || told->wrong == OTPREG_ERROR
            || told->resend == OTPREG_ERROR || told->right == OTPREG_ERROR)
        {
            strcpy(told->error, store_test_error);
        }

        if (told->signup == OTPREG_DATABASE_DOWN
            || told->wrong == OTPREG_DATABASE_DOWN
            || told->resend == OTPREG_DATABASE_DOWN
            || told->right == OTPREG_DATABASE_DOWN)
        {
            /* killed while it connected: the thread would pause a second */

            conf = store_test_conf(&store_test_socket);
        }
    }
}


void
store_test_kills(void)
{
    long long             users, otps, messages, attempts, active;
    unsigned              i, bad[5], down, odd;
    pthread_t             killer;
    store_test_ledger_t  *told;

    store_test_group("lost connections: KILL while 4,000 operations run");

    if (pthread_create(&killer, NULL, store_test_killer, NULL) != 0) {
        abort();
    }

    store_test_threads(STORE_TEST_KILL_THREADS, store_test_kill_thread, NULL);

    atomic_store(&store_test_kill_stop, true);
    pthread_join(killer, NULL);

    memset(bad, 0, sizeof(bad));
    down = odd = 0;

    for (i = 0; i < STORE_TEST_KILL_SIGNUPS; i++) {
        told = &store_test_ledger[i];

        users = store_test_num("SELECT COUNT(*) FROM users WHERE username ="
                               " '%s'", told->name);
        otps = store_test_num("SELECT COUNT(*) FROM otps o JOIN users u"
                              " ON u.id = o.user_id WHERE o.id = %s"
                              " AND u.username = '%s'", hex(told->id),
                              told->name);
        messages = store_test_num("SELECT COUNT(*) FROM messages"
                                  " WHERE otp_id = %s", hex(told->id));
        attempts = store_test_attempts(told->id);
        active = store_test_num("SELECT is_active FROM users WHERE username ="
                                " '%s'", told->name);

        bad[0] += (told->signup == OTPREG_OK && (users != 1 || otps != 1));
        bad[1] += (users > 1 || otps != users || (users == 0 && messages > 0)
                   || (users == 1 && messages < 1) || messages > 2);

        down += (told->signup == OTPREG_DATABASE_DOWN)
                + (told->wrong == OTPREG_DATABASE_DOWN)
                + (told->resend == OTPREG_DATABASE_DOWN)
                + (told->right == OTPREG_DATABASE_DOWN);
        odd += (told->signup == OTPREG_ERROR || told->wrong == OTPREG_ERROR
                || told->resend == OTPREG_ERROR
                || told->right == OTPREG_ERROR);

        if (told->error[0] != '\0') {
            printf("# sign-up %d, wrong %d, resend %d, right %d: %s\n",
                   told->signup, told->wrong, told->resend, told->right,
                   told->error);
        }

        if (users != 1) {
            continue;
        }

        bad[2] += (told->right == OTPREG_OK) ? active != 1
                  : (told->right != OTPREG_DATABASE_DOWN);
        bad[3] += (attempts < (told->wrong == OTPREG_CODE_WRONG)
                              + (told->right == OTPREG_OK)
                   || attempts > 2);
        bad[4] += (told->resend == OTPREG_OK && messages != 2)
                  || (told->resend != OTPREG_OK
                      && told->resend != OTPREG_DATABASE_DOWN);
    }

    tap_ok(store_test_killed >= 100, "connections killed: %u",
           store_test_killed);
    tap_is(bad[0], 0, "each sign-up that was told OK is there");
    tap_is(bad[1], 0, "none is there twice, or by half");
    tap_is(bad[2], 0, "each right code activated its user");
    tap_is(bad[3], 0, "each attempt was counted once");
    tap_is(bad[4], 0, "each resend wrote one message");
    tap_is(odd, 0, "no call ended in an error");
    tap_ok(down < STORE_TEST_KILL_SIGNUPS * 4 / 10,
           "most calls did not notice: %u were told that it is down", down);
}
