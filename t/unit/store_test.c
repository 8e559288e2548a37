
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <mysql.h>
#include <sodium.h>

#include "otpreg_store.h"
#include "store_proxy.h"
#include "tap.h"


/*
 * Started by store.t, which runs the server and does what only it can; the
 * store is looked at through connections of our own, as root.
 */


#define STORE_TEST_THREADS       16
#define STORE_TEST_MAX           5          /* attempts */
#define STORE_TEST_CONFS         1024

#define STORE_TEST_KILL_THREADS  8
#define STORE_TEST_KILL_SIGNUPS  1000       /* of all threads */


typedef void (*store_test_pt)(unsigned i, void *data);


typedef struct {
    store_test_pt       fn;
    void               *data;
    unsigned            i;
    pthread_barrier_t  *barrier;
} store_test_thread_t;


static MYSQL               *store_test_root;
static otpreg_db_conf_t     store_test_socket;
static otpreg_db_conf_t     store_test_tcp;
static otpreg_db_conf_t     store_test_confs[STORE_TEST_CONFS];
static atomic_uint          store_test_nconfs;

static _Thread_local char   store_test_error[OTPREG_DB_ERROR_SIZE];


/* ----- the server, as root sees it */

static MYSQL *
store_test_open(void)
{
    MYSQL     *mysql;
    unsigned   i;

    for (i = 0; i < 500; i++) {
        mysql = mysql_init(NULL);

        if (mysql_real_connect(mysql, NULL, "root", NULL, "otpreg", 0,
                               store_test_socket.socket,
                               CLIENT_MULTI_STATEMENTS)
            != NULL)
        {
            (void) mysql_query(mysql, "SET SESSION time_zone = '+00:00',"
                                      " SESSION sql_mode = ''");
            return mysql;
        }

        mysql_close(mysql);
        usleep(20000);
    }

    printf("# no connection as root\n");
    exit(2);
}


/* what the first statement answers, as text; NULL is "NULL", nothing is "" */

static void
store_test_vrun(MYSQL *mysql, char *value, size_t size, const char *format,
    va_list args)
{
    int         rc;
    char        sql[8192];
    bool        first;
    MYSQL_ROW   row;
    MYSQL_RES  *res;

    vsnprintf(sql, sizeof(sql), format, args);
    first = true;
    rc = mysql_query(mysql, sql);

    while (rc == 0) {
        res = mysql_store_result(mysql);

        if (res != NULL) {
            row = mysql_fetch_row(res);

            if (first && row != NULL) {
                snprintf(value, size, "%s", row[0] ? row[0] : "NULL");
                first = false;
            }

            mysql_free_result(res);
        }

        rc = mysql_next_result(mysql);
    }

    if (rc > 0) {
        printf("# %s: %s\n", sql, mysql_error(mysql));
        exit(2);
    }
}


__attribute__((format(printf, 2, 3)))
static void
store_test_run(MYSQL *mysql, const char *format, ...)
{
    char     value[512];
    va_list  args;

    va_start(args, format);
    store_test_vrun(mysql, value, sizeof(value), format, args);
    va_end(args);
}


__attribute__((format(printf, 1, 2)))
static void
store_test_sql(const char *format, ...)
{
    char     value[512];
    va_list  args;

    va_start(args, format);
    store_test_vrun(store_test_root, value, sizeof(value), format, args);
    va_end(args);
}


__attribute__((format(printf, 1, 2)))
static long long
store_test_num(const char *format, ...)
{
    char     value[512] = "-1";
    va_list  args;

    va_start(args, format);
    store_test_vrun(store_test_root, value, sizeof(value), format, args);
    va_end(args);

    return strtoll(value, NULL, 10);
}


__attribute__((format(printf, 1, 2)))
static const char *
store_test_text(const char *format, ...)
{
    va_list  args;

    static char  value[512];

    value[0] = '\0';

    va_start(args, format);
    store_test_vrun(store_test_root, value, sizeof(value), format, args);
    va_end(args);

    return value;
}


/* an id as SQL */

static const char *
hex(const uint8_t *id)
{
    static _Thread_local char      text[8][2 * OTPREG_ID_LEN + 4];
    static _Thread_local unsigned  n;

    char  *p;

    p = text[n++ % 8];
    memcpy(p, "x'", 2);
    sodium_bin2hex(p + 2, 2 * OTPREG_ID_LEN + 1, id, OTPREG_ID_LEN);
    strcat(p, "'");

    return p;
}


static void
store_test_reset(void)
{
    store_test_sql("DELETE FROM users; DELETE FROM otps;"
                   " DELETE FROM messages");
}


static void
store_test_group(const char *name)
{
    printf("# group: %s\n", name);
    store_test_reset();
}


/* ask store.t; root's connection is new when the server is */

static void
store_test_control(const char *command)
{
    char  answer[64];

    printf("#control %s\n", command);
    fflush(stdout);

    if (fgets(answer, sizeof(answer), stdin) == NULL) {
        exit(2);
    }

    if (strncmp(command, "freeze", 6) != 0 && strncmp(command, "stop", 4) != 0)
    {
        mysql_close(store_test_root);
        store_test_root = store_test_open();
    }
}


/* ----- time and threads */

static int64_t
store_test_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* a conf has a connection of its own, and was never down */

static otpreg_db_conf_t *
store_test_conf(const otpreg_db_conf_t *conf)
{
    otpreg_db_conf_t  *copy;

    copy = &store_test_confs[atomic_fetch_add(&store_test_nconfs, 1)];

    if (copy >= store_test_confs + STORE_TEST_CONFS) {
        printf("# STORE_TEST_CONFS is too small\n");
        exit(2);
    }

    *copy = *conf;

    return copy;
}


static otpreg_outcome_t store_test_try(const otpreg_db_conf_t *conf,
    const uint8_t *id, bool match, unsigned *left);


static void *
store_test_thread(void *data)
{
    store_test_thread_t *t = data;

    uint8_t   none[OTPREG_ID_LEN];
    unsigned  left;

    if (t->barrier != NULL) {

        /* connected and prepared before all start at once */

        memset(none, 0, sizeof(none));
        (void) store_test_try(&store_test_socket, none, false, &left);
        pthread_barrier_wait(t->barrier);
    }

    t->fn(t->i, t->data);

    return NULL;
}


static void
store_test_threads(unsigned n, store_test_pt fn, void *data)
{
    unsigned             i;
    pthread_t            threads[STORE_TEST_THREADS];
    pthread_barrier_t    barrier;
    store_test_thread_t  args[STORE_TEST_THREADS];

    pthread_barrier_init(&barrier, NULL, n);

    for (i = 0; i < n; i++) {
        args[i] = (store_test_thread_t) { fn, data, i, &barrier };

        if (pthread_create(&threads[i], NULL, store_test_thread, &args[i])
            != 0)
        {
            abort();
        }
    }

    for (i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }

    pthread_barrier_destroy(&barrier);
}


/* ----- calls of the store */

static void
store_test_id(uint8_t *id)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    otpreg_id_make((uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000, id);
}


static void
store_test_signup_fill(otpreg_store_signup_t *in, const char *name,
    const char *address)
{
    size_t  i;

    memset(in, 0, sizeof(otpreg_store_signup_t));

    in->outbox.site = "site";
    in->outbox.lease_time = 60;
    in->lifetime = 600;

    snprintf(in->username.name, sizeof(in->username.name), "%s", name);
    snprintf(in->email.address, sizeof(in->email.address), "%s", address);
    snprintf(in->phc, sizeof(in->phc), "$argon2id$of-%s", name);

    for (i = 0; name[i] != '\0'; i++) {
        in->username.key[i] = name[i] | (name[i] >= 'A' && name[i] <= 'Z'
                                         ? 0x20 : 0);
    }

    for (i = 0; address[i] != '\0'; i++) {
        in->email.key[i] = address[i] | (address[i] >= 'A' && address[i] <= 'Z'
                                         ? 0x20 : 0);
    }

    store_test_id(in->otp.id);
    store_test_id(in->message_id);

    in->otp.purpose = OTPREG_PURPOSE_SIGNUP;
    in->otp.channel = OTPREG_CHANNEL_EMAIL;
    in->otp.digits = 6;
    strcpy(in->otp.key_name, "k1");
    snprintf(in->otp.address, sizeof(in->otp.address), "%s", address);
}


static otpreg_outcome_t
store_test_signup_in(const otpreg_db_conf_t *conf,
    const otpreg_store_signup_t *in, otpreg_store_queued_t *out)
{
    return otpreg_store_signup(conf, in, out, store_test_error);
}


static otpreg_outcome_t
store_test_signup(const char *name, const char *address, uint8_t *id)
{
    otpreg_store_queued_t  out;
    otpreg_store_signup_t  in;

    store_test_signup_fill(&in, name, address);
    memcpy(id, in.otp.id, OTPREG_ID_LEN);

    return store_test_signup_in(&store_test_socket, &in, &out);
}


static void
store_test_verify_fill(otpreg_store_verify_t *in, const uint8_t *id,
    bool match)
{
    memset(in, 0, sizeof(otpreg_store_verify_t));
    memcpy(in->id, id, OTPREG_ID_LEN);
    randombytes_buf(in->attempt, OTPREG_ID_LEN);

    in->purpose = OTPREG_PURPOSE_SIGNUP;
    in->match = match;
    in->attempts_max = STORE_TEST_MAX;
}


static otpreg_outcome_t
store_test_try(const otpreg_db_conf_t *conf, const uint8_t *id, bool match,
    unsigned *left)
{
    otpreg_store_verify_t  in;

    store_test_verify_fill(&in, id, match);

    return otpreg_store_verify(conf, &in, left, store_test_error);
}


static otpreg_outcome_t
store_test_verify(const uint8_t *id, bool match)
{
    unsigned  left;

    return store_test_try(&store_test_socket, id, match, &left);
}


/* a user who proved the address */

static void
store_test_user(const char *name, const char *address, uint8_t *id)
{
    if (store_test_signup(name, address, id) != OTPREG_OK
        || store_test_verify(id, true) != OTPREG_OK)
    {
        tap_ok(false, "a verified user: %s", store_test_error);
    }
}


static void
store_test_resend_fill(otpreg_store_resend_t *in, const uint8_t *id)
{
    memset(in, 0, sizeof(otpreg_store_resend_t));
    memcpy(in->id, id, OTPREG_ID_LEN);
    store_test_id(in->new_id);
    store_test_id(in->message_id);

    in->outbox.site = "site";
    in->outbox.lease_time = 60;
    in->purpose = OTPREG_PURPOSE_SIGNUP;
    in->attempts_max = STORE_TEST_MAX;
    in->delay = 60;
    in->lifetime = 900;
    in->digits = 8;
    in->key_name = "k2";
}


static otpreg_outcome_t
store_test_resend(const uint8_t *id, otpreg_store_resent_t *out)
{
    otpreg_store_resend_t  in;

    store_test_resend_fill(&in, id);

    return otpreg_store_resend(&store_test_socket, &in, out,
                               store_test_error);
}


static otpreg_outcome_t
store_test_claim_in(const otpreg_db_conf_t *conf, const char *site,
    const char *lease, unsigned lease_time, otpreg_store_message_t *messages,
    unsigned max, unsigned *n, unsigned *expired)
{
    otpreg_store_outbox_t  outbox;

    outbox.site = site;
    outbox.lease = lease;
    outbox.lease_time = lease_time;

    return otpreg_store_claim(conf, &outbox, messages, max, n, expired,
                              store_test_error);
}


static unsigned
store_test_claim(const char *lease, otpreg_store_message_t *messages,
    unsigned max)
{
    unsigned  n, expired;

    if (store_test_claim_in(&store_test_socket, "site", lease, 60, messages,
                            max, &n, &expired)
        != OTPREG_OK)
    {
        tap_ok(false, "claim: %s", store_test_error);
    }

    return n;
}


static otpreg_outcome_t
store_test_finish(const otpreg_store_message_t *message,
    otpreg_store_fate_t fate)
{
    return otpreg_store_finish(&store_test_socket, message, fate, 30000,
                               "the reason", store_test_error);
}


/* the sends of an OTP lie so many seconds back */

static void
store_test_sent_ago(const uint8_t *id, unsigned seconds)
{
    store_test_sql("UPDATE otps SET sent_at = NOW(6) - INTERVAL %u SECOND"
                   " WHERE id = %s", seconds, hex(id));
}


static void
store_test_expire(const uint8_t *id)
{
    store_test_sql("UPDATE otps SET expires_at = NOW(6) - INTERVAL 1 SECOND"
                   " WHERE id = %s", hex(id));
}


static long long
store_test_attempts(const uint8_t *id)
{
    return store_test_num("SELECT attempts FROM otps WHERE id = %s", hex(id));
}


static long long
store_test_consumed(const uint8_t *id)
{
    return store_test_num("SELECT consumed_at IS NOT NULL FROM otps"
                          " WHERE id = %s", hex(id));
}


static long long
store_test_rows(const char *table)
{
    return store_test_num("SELECT COUNT(*) FROM %s", table);
}


static void
store_test_counts(long long users, long long otps, long long messages,
    const char *name)
{
    tap_is(store_test_rows("users"), users, "%s: users", name);
    tap_is(store_test_rows("otps"), otps, "%s: OTPs", name);
    tap_is(store_test_rows("messages"), messages, "%s: messages", name);
}


/* ----- sign-up */

static void
store_test_signup_writes(void)
{
    const char             *text;
    otpreg_store_queued_t   out;
    otpreg_store_signup_t   in;

    store_test_group("sign-up: what is written");

    store_test_signup_fill(&in, "Ann", "Ann@example.com");
    in.outbox.lease = "node-1-1";

    tap_is(store_test_signup_in(&store_test_socket, &in, &out), OTPREG_OK,
           "signed up");
    tap_is_text(store_test_error, "", "nothing for the log");
    store_test_counts(1, 1, 1, "one of each");

    text = store_test_text("SELECT CONCAT_WS('|', username, username_key,"
        " email, email_key, password, is_active,"
        " email_verified_at IS NULL AND phone_verified_at IS NULL"
        " AND username_owner IS NULL AND email_owner IS NULL,"
        " ABS(TIMESTAMPDIFF(SECOND, created_at, UTC_TIMESTAMP(6))) < 5)"
        " FROM users");
    tap_is_text(text, "Ann|ann|Ann@example.com|ann@example.com|"
                      "$argon2id$of-Ann|0|1|1", "the user");

    text = store_test_text("SELECT CONCAT_WS('|', purpose, user_id ="
        " (SELECT id FROM users), channel, address, address_key, key_name,"
        " digits, attempts, sends, created_at = sent_at,"
        " TIMESTAMPDIFF(SECOND, created_at, expires_at),"
        " consumed_at IS NULL AND last_attempt IS NULL"
        " AND superseded_by IS NULL, id = %s) FROM otps", hex(in.otp.id));
    tap_is_text(text, "1|1|1|Ann@example.com|ann@example.com|k1|6|0|1|1|600|1"
                      "|1", "the OTP");

    text = store_test_text("SELECT CONCAT_WS('|', site, template, channel,"
        " address, address_key, attempts, lease,"
        " TIMESTAMPDIFF(SECOND, created_at, expires_at),"
        " TIMESTAMPDIFF(SECOND, created_at, due_at),"
        " sent_at IS NULL AND failed_at IS NULL AND last_error IS NULL,"
        " id = %s, otp_id = %s) FROM messages", hex(in.message_id),
        hex(in.otp.id));
    tap_is_text(text, "site|otp|1|Ann@example.com|ann@example.com|1|node-1-1|"
                      "600|60|1|1|1", "the message, under our lease");

    tap_ok(out.send, "the message is ours to send");
    tap_ok(memcmp(out.message.id, in.message_id, OTPREG_ID_LEN) == 0
           && memcmp(&out.message.otp, &in.otp, sizeof(otpreg_otp_t)) == 0
           && strcmp(out.message.template, "otp") == 0
           && strcmp(out.message.username, "Ann") == 0
           && strcmp(out.message.lease, "node-1-1") == 0
           && out.message.attempts == 1 && out.message.expires_in == 600
           && !out.message.obsolete, "and is told as it is");

    store_test_reset();
    store_test_signup_fill(&in, "Ann", "Ann@example.com");
    tap_is(store_test_signup_in(&store_test_socket, &in, &out), OTPREG_OK,
           "signed up without a lease");
    tap_ok(!out.send, "the message is not ours");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', attempts, lease IS NULL,"
                                " due_at = created_at) FROM messages"),
                "0|1|1", "but due at once, for anybody");
}


static void
store_test_trigger(const char *table, const char *body)
{
    store_test_sql("CREATE OR REPLACE TRIGGER fault BEFORE INSERT ON %s"
                   " FOR EACH ROW BEGIN %s END", table, body);
}


static void
store_test_signup_fails(void)
{
    uint8_t   id[OTPREG_ID_LEN];
    unsigned  i;

    static const char *const  tables[] = { "users", "otps", "messages" };

    store_test_group("sign-up: a statement in the middle fails");

    for (i = 0; i < tap_items(tables); i++) {
        store_test_trigger(tables[i], "SIGNAL SQLSTATE '45000'"
                           " SET MESSAGE_TEXT = 'said by ann@example.com';");

        tap_is(store_test_signup("ann", "ann@example.com", id), OTPREG_ERROR,
               "no insert into %s: an error", tables[i]);
        tap_ok(strstr(store_test_error, "1644") != NULL
               && strstr(store_test_error, "ann") == NULL,
               "%s: the log has its number, not its text", tables[i]);
        store_test_counts(0, 0, 0, tables[i]);

        store_test_sql("DROP TRIGGER fault");
    }

    tap_is(store_test_signup("ann", "ann@example.com", id), OTPREG_OK,
           "the next sign-up");
    store_test_counts(1, 1, 1, "the next sign-up");
}


static void
store_test_signup_taken(void)
{
    uint8_t  a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];

    store_test_group("sign-up: taken usernames");

    tap_is(store_test_signup("ann", "a@example.com", a), OTPREG_OK, "first");
    tap_is(store_test_signup("Ann", "b@example.com", b), OTPREG_OK,
           "any number may wait for a name");
    tap_is(store_test_verify(a, true), OTPREG_OK, "one proves an address");
    tap_is(store_test_signup("ANN", "c@example.com", b),
           OTPREG_USERNAME_TAKEN, "then the name is taken, in any case");
    tap_is(store_test_signup("ann", "a@example.com", b),
           OTPREG_USERNAME_TAKEN, "also by the owner of the address");
    store_test_counts(2, 2, 2, "nothing was written");
    tap_is(store_test_signup("ann2", "c@example.com", b), OTPREG_OK,
           "another name is free");
}


static void
store_test_decoy_thread(unsigned i, void *data)
{
    otpreg_outcome_t *outcomes = data;

    char     name[32];
    uint8_t  id[OTPREG_ID_LEN];

    snprintf(name, sizeof(name), "eve%u", i);
    outcomes[i] = store_test_signup(name, "ann@example.com", id);
}


static void
store_test_decoys(void)
{
    char                    sql[256];
    uint8_t                 a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];
    unsigned                i, n, left;
    otpreg_store_queued_t   out;
    otpreg_store_signup_t   in;
    otpreg_outcome_t        outcomes[STORE_TEST_THREADS];

    store_test_group("sign-up: decoys and the notice");

    store_test_user("ann", "ann@example.com", a);

    store_test_signup_fill(&in, "eve", "Ann@example.com");
    in.outbox.lease = "node-1-2";
    tap_is(store_test_signup_in(&store_test_socket, &in, &out), OTPREG_OK,
           "an address with an owner: the same answer");
    store_test_counts(1, 2, 2, "an OTP and a notice, no user");
    tap_is(store_test_num("SELECT user_id IS NULL FROM otps WHERE id = %s",
                          hex(in.otp.id)), 1, "the OTP has no user");
    tap_ok(out.send && strcmp(out.message.template, "taken") == 0
           && out.message.username[0] == '\0'
           && out.message.expires_in == 86400,
           "the notice is ours to send, and does not tell the name");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', template, address,"
                    " TIMESTAMPDIFF(SECOND, created_at, expires_at))"
                    " FROM messages WHERE id = %s", hex(in.message_id)),
                "taken|Ann@example.com|86400", "the notice");

    store_test_signup_fill(&in, "eve", "ann@example.com");
    in.outbox.lease = "node-1-3";
    tap_is(store_test_signup_in(&store_test_socket, &in, &out), OTPREG_OK,
           "again: the same answer");
    store_test_counts(1, 3, 2, "an OTP, but no second notice in a day");
    tap_ok(!out.send, "there is nothing to send");

    store_test_sql("UPDATE messages SET created_at = created_at"
                   " - INTERVAL 23 HOUR WHERE template = 'taken'");
    (void) store_test_signup("eve", "ann@example.com", b);
    tap_is(store_test_rows("messages"), 2, "nor after 23 hours");

    store_test_sql("UPDATE messages SET created_at = created_at"
                   " - INTERVAL 61 MINUTE WHERE template = 'taken'");
    (void) store_test_signup("eve", "ann@example.com", b);
    tap_is(store_test_rows("messages"), 3, "but after a day");

    for (i = 1; i <= STORE_TEST_MAX + 1; i++) {
        n = store_test_try(&store_test_socket, b, i % 2, &left);
        tap_ok(i < STORE_TEST_MAX
               ? n == OTPREG_CODE_WRONG && left == STORE_TEST_MAX - i
               : n == OTPREG_CODE_SPENT,
               "a decoy counts attempts, right or wrong: %u", i);
    }

    tap_is(store_test_consumed(b), 0, "and is never consumed");
    tap_is(store_test_rows("users WHERE is_active"), 1,
           "and activates nobody");

    n = 0;

    for (i = 0; i < 5; i++) {
        snprintf(sql, sizeof(sql), "DELETE FROM messages");
        store_test_sql("%s", sql);
        store_test_threads(STORE_TEST_THREADS, store_test_decoy_thread,
                           outcomes);
        n += (store_test_rows("messages") != 1);
    }

    tap_is(n, 0, "16 at once, 5 times: one notice");

    n = 0;

    for (i = 0; i < STORE_TEST_THREADS; i++) {
        n += (outcomes[i] == OTPREG_OK);
    }

    tap_is(n, STORE_TEST_THREADS, "and all are told the same");
}


/* ----- verify */

static void
store_test_verify_one(void)
{
    uint8_t                 id[OTPREG_ID_LEN], none[OTPREG_ID_LEN];
    unsigned                i, left;
    otpreg_outcome_t        outcome;
    otpreg_store_verify_t   in;

    store_test_group("verify: one user");

    (void) store_test_signup("ann", "ann@example.com", id);

    outcome = store_test_try(&store_test_socket, id, false, &left);
    tap_is(outcome, OTPREG_CODE_WRONG, "a wrong code");
    tap_is(left, STORE_TEST_MAX - 1, "attempts that are left");
    tap_is(store_test_attempts(id), 1, "it was counted");
    tap_is(store_test_rows("users WHERE is_active OR email_verified_at"), 0,
           "nobody was activated");

    store_test_verify_fill(&in, id, true);
    in.purpose = (otpreg_purpose_t) 2;
    outcome = otpreg_store_verify(&store_test_socket, &in, &left,
                                  store_test_error);
    tap_ok(outcome != OTPREG_OK && outcome != OTPREG_CODE_WRONG,
           "a right code for another purpose: refused");
    tap_is(store_test_attempts(id), 1, "and not counted");

    store_test_verify_fill(&in, id, true);
    outcome = otpreg_store_verify(&store_test_socket, &in, &left,
                                  store_test_error);
    tap_is(outcome, OTPREG_OK, "a right code");
    tap_is_text(store_test_error, "", "nothing for the log");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', is_active,"
                    " phone_verified_at IS NULL, username_owner, email_owner,"
                    " ABS(TIMESTAMPDIFF(SECOND, email_verified_at,"
                    " UTC_TIMESTAMP(6))) < 5) FROM users"),
                "1|1|ann|ann@example.com|1", "the user owns name and address");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', attempts,"
                    " consumed_at IS NOT NULL, last_attempt = %s) FROM otps",
                    hex(in.attempt)), "2|1|1", "the OTP is consumed");

    tap_is(store_test_verify(id, true), OTPREG_CODE_USED, "again: used");
    tap_is(store_test_verify(id, false), OTPREG_CODE_USED,
           "again with a wrong code: used");
    tap_is(store_test_attempts(id), 2, "neither was counted");

    (void) store_test_signup("bob", "bob@example.com", id);

    for (i = 1; i <= STORE_TEST_MAX; i++) {
        outcome = store_test_try(&store_test_socket, id, false, &left);
        tap_is(outcome, i < STORE_TEST_MAX ? OTPREG_CODE_WRONG
                                           : OTPREG_CODE_SPENT,
               "wrong code %u", i);
        tap_is(left, STORE_TEST_MAX - i, "left after %u", i);
    }

    tap_is(store_test_verify(id, true), OTPREG_CODE_SPENT,
           "a right code after that: spent");
    tap_is(store_test_attempts(id), STORE_TEST_MAX, "not counted");
    tap_is(store_test_consumed(id), 0, "not consumed");

    (void) store_test_signup("cat", "cat@example.com", id);
    store_test_expire(id);
    tap_is(store_test_verify(id, true), OTPREG_CODE_EXPIRED,
           "a right code, too late: expired");
    tap_is(store_test_verify(id, false), OTPREG_CODE_EXPIRED,
           "a wrong code, too late: expired");
    tap_is(store_test_attempts(id), 0, "neither was counted");

    store_test_id(none);
    tap_is(store_test_verify(none, true), OTPREG_CODE_EXPIRED, "no such id");
    tap_is(store_test_rows("users WHERE is_active"), 1,
           "one user was activated in all this");
}


static void
store_test_verify_others(void)
{
    uint8_t  a[OTPREG_ID_LEN], b[OTPREG_ID_LEN], c[OTPREG_ID_LEN];

    store_test_group("verify: proved by another");

    (void) store_test_signup("ann", "ann@example.com", a);
    (void) store_test_signup("bob", "Ann@example.com", b);
    (void) store_test_signup("Ann", "cat@example.com", c);

    tap_is(store_test_verify(b, false), OTPREG_CODE_WRONG, "a wrong code");
    tap_is(store_test_verify(a, true), OTPREG_OK, "the first proves it");

    tap_is(store_test_verify(b, false), OTPREG_CODE_WRONG,
           "the address is another's: wrong is wrong");
    tap_is(store_test_verify(b, true), OTPREG_ADDRESS_PROVED,
           "and right is too late");
    tap_is(store_test_attempts(b), 3, "each was counted once");
    tap_is(store_test_consumed(b), 1, "the OTP is burned");
    tap_is(store_test_verify(b, true), OTPREG_CODE_USED, "again: used");

    tap_is(store_test_verify(c, true), OTPREG_USERNAME_PROVED,
           "the name is another's");
    tap_is(store_test_attempts(c), 1, "it was counted once");
    tap_is(store_test_consumed(c), 1, "the OTP is burned");
    tap_is(store_test_verify(c, true), OTPREG_CODE_USED, "again: used");

    tap_is_text(store_test_text("SELECT GROUP_CONCAT(username) FROM users"
                    " WHERE is_active OR email_verified_at"
                    " OR email_owner IS NOT NULL"
                    " OR username_owner IS NOT NULL"), "ann",
                "there is one owner");
}


typedef struct {
    uint8_t             id[STORE_TEST_THREADS][OTPREG_ID_LEN];
    unsigned            rounds;
    unsigned            nmatch;         /* threads with a right code */
    atomic_uint         told[OTPREG_OUTCOMES];
    atomic_uint         left[STORE_TEST_MAX + 1];
} store_test_race_t;


static void
store_test_race_thread(unsigned i, void *data)
{
    store_test_race_t *race = data;

    unsigned          k, left;
    otpreg_outcome_t  outcome;

    for (k = 0; k < race->rounds; k++) {
        outcome = store_test_try(&store_test_socket, race->id[i],
                                 i < race->nmatch, &left);
        atomic_fetch_add(&race->told[outcome], 1);

        if (outcome == OTPREG_CODE_WRONG) {
            atomic_fetch_add(&race->left[left], 1);
        }
    }
}


static void
store_test_race(store_test_race_t *race, const char *name, unsigned nmatch,
    unsigned rounds)
{
    char      address[64];
    uint8_t   id[OTPREG_ID_LEN];
    unsigned  i;

    memset(race, 0, sizeof(store_test_race_t));
    snprintf(address, sizeof(address), "%s@example.com", name);
    (void) store_test_signup(name, address, id);

    for (i = 0; i < STORE_TEST_THREADS; i++) {
        memcpy(race->id[i], id, OTPREG_ID_LEN);
    }

    race->nmatch = nmatch;
    race->rounds = rounds;

    store_test_threads(STORE_TEST_THREADS, store_test_race_thread, race);
}


static void
store_test_verify_races(void)
{
    char               name[32];
    unsigned           i, k, bad, told;
    store_test_race_t  race;

    store_test_group("verify: 16 threads at once");

    bad = 0;

    for (k = 0; k < 10; k++) {
        snprintf(name, sizeof(name), "wrong%u", k);
        store_test_race(&race, name, 0, 3);

        for (i = 1; i < STORE_TEST_MAX; i++) {
            bad += (race.left[i] != 1);
        }

        bad += (race.told[OTPREG_CODE_WRONG] != STORE_TEST_MAX - 1);
        bad += (race.told[OTPREG_CODE_SPENT]
                != STORE_TEST_THREADS * 3 - STORE_TEST_MAX + 1);
        bad += (store_test_attempts(race.id[0]) != STORE_TEST_MAX);
    }

    tap_is(bad, 0, "48 wrong codes, 10 times: exactly %u admitted, each told"
           " its own number", STORE_TEST_MAX);
    tap_is(store_test_rows("users WHERE is_active"), 0, "none activated");

    bad = 0;

    for (k = 0; k < 10; k++) {
        snprintf(name, sizeof(name), "right%u", k);
        store_test_race(&race, name, STORE_TEST_THREADS, 1);

        bad += (race.told[OTPREG_OK] != 1);
        bad += (race.told[OTPREG_CODE_USED] != STORE_TEST_THREADS - 1);
        bad += (store_test_attempts(race.id[0]) != 1);
    }

    tap_is(bad, 0, "16 right codes, 10 times: exactly one is told OK");
    tap_is(store_test_rows("users WHERE is_active"), 10, "10 activated");

    bad = 0;

    for (k = 0; k < 10; k++) {
        snprintf(name, sizeof(name), "mixed%u", k);
        store_test_race(&race, name, 4, 1);

        told = race.told[OTPREG_CODE_WRONG] + race.told[OTPREG_OK]
               + race.told[OTPREG_CODE_SPENT] + race.told[OTPREG_CODE_USED];
        bad += (told != STORE_TEST_THREADS);
        bad += (race.told[OTPREG_OK] > 1);
        bad += (race.told[OTPREG_OK] != store_test_consumed(race.id[0]));
        bad += (store_test_num("SELECT is_active FROM users WHERE username"
                               " = '%s'", name) != race.told[OTPREG_OK]);

        if (race.told[OTPREG_OK]) {
            bad += (store_test_attempts(race.id[0])
                    != race.told[OTPREG_CODE_WRONG] + 1);
            bad += (race.told[OTPREG_CODE_SPENT] != 0);

        } else {
            bad += (store_test_attempts(race.id[0]) != STORE_TEST_MAX);
            bad += (race.told[OTPREG_CODE_WRONG] != STORE_TEST_MAX - 1);
        }

        for (i = 1; i < STORE_TEST_MAX; i++) {
            bad += (race.left[i] > 1);
        }
    }

    tap_is(bad, 0, "4 right and 12 wrong ones, 10 times: it adds up");

    bad = 0;

    for (k = 0; k < 5; k++) {
        store_test_reset();
        memset(&race, 0, sizeof(race));
        race.nmatch = STORE_TEST_THREADS;
        race.rounds = 1;

        for (i = 0; i < STORE_TEST_THREADS; i++) {
            snprintf(name, sizeof(name), "user%u", i);
            (void) store_test_signup(name, "ann@example.com", race.id[i]);
        }

        store_test_threads(STORE_TEST_THREADS, store_test_race_thread, &race);

        bad += (race.told[OTPREG_OK] != 1);
        bad += (race.told[OTPREG_ADDRESS_PROVED] != STORE_TEST_THREADS - 1);
        bad += (store_test_rows("users WHERE is_active") != 1);
        bad += (store_test_rows("otps WHERE consumed_at AND attempts = 1")
                != STORE_TEST_THREADS);
    }

    tap_is(bad, 0, "16 sign-ups prove one address, 5 times: one owner");
}


/* ----- resend */

static void
store_test_resend_one(void)
{
    uint8_t                a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];
    uint8_t                c[OTPREG_ID_LEN];
    unsigned               i;
    otpreg_store_resend_t  in;
    otpreg_store_resent_t  out;

    store_test_group("resend: one user");

    (void) store_test_signup("ann", "ann@example.com", a);

    tap_is(store_test_resend(a, &out), OTPREG_RESEND_TOO_SOON, "too soon");
    tap_ok(out.retry_after >= 58 && out.retry_after <= 60,
           "try again after about a minute: %d", (int) out.retry_after);
    tap_ok(!out.queued.send, "nothing to send");

    store_test_sent_ago(a, 50);
    (void) store_test_resend(a, &out);
    tap_ok(out.retry_after >= 9 && out.retry_after <= 10,
           "50 seconds later, after 10: %d", (int) out.retry_after);
    store_test_counts(1, 1, 1, "nothing was written");

    store_test_sent_ago(a, 61);
    store_test_resend_fill(&in, a);
    in.outbox.lease = "node-1-9";
    tap_is(otpreg_store_resend(&store_test_socket, &in, &out,
                               store_test_error), OTPREG_OK, "in time");
    store_test_counts(1, 1, 2, "the same OTP, one more message");
    tap_ok(memcmp(out.otp.id, a, OTPREG_ID_LEN) == 0 && out.otp.digits == 6
           && strcmp(out.otp.key_name, "k1") == 0
           && strcmp(out.otp.address, "ann@example.com") == 0
           && out.expires_in > 590 && out.expires_in <= 600,
           "the same code, and what is left of its life");
    tap_ok(out.queued.send
           && memcmp(out.queued.message.id, in.message_id, OTPREG_ID_LEN) == 0
           && memcmp(out.queued.message.otp.id, a, OTPREG_ID_LEN) == 0
           && strcmp(out.queued.message.username, "ann") == 0
           && strcmp(out.queued.message.template, "otp") == 0
           && strcmp(out.queued.message.lease, "node-1-9") == 0,
           "the message is ours to send");
    tap_is(store_test_num("SELECT sends FROM otps"), 2, "two sends");
    tap_is(store_test_resend(a, &out), OTPREG_RESEND_TOO_SOON,
           "and too soon again");

    store_test_sent_ago(a, 61);
    store_test_expire(a);
    tap_is(store_test_resend(a, &out), OTPREG_OK, "after it expired");
    memcpy(b, out.otp.id, OTPREG_ID_LEN);
    tap_ok(memcmp(a, b, OTPREG_ID_LEN) != 0 && out.otp.digits == 8
           && strcmp(out.otp.key_name, "k2") == 0
           && strcmp(out.otp.address, "ann@example.com") == 0
           && out.expires_in == 900, "a new OTP");
    store_test_counts(1, 2, 3, "one more of each, but no user");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', user_id ="
                    " (SELECT id FROM users), key_name, digits, attempts,"
                    " sends, TIMESTAMPDIFF(SECOND, created_at, expires_at))"
                    " FROM otps WHERE id = %s", hex(b)), "1|k2|8|0|1|900",
                "of the same user");
    tap_is(store_test_num("SELECT superseded_by = %s FROM otps WHERE id = %s",
                          hex(b), hex(a)), 1, "the old one knows it");
    tap_is(store_test_verify(a, true), OTPREG_CODE_EXPIRED,
           "the old code stays expired");

    for (i = 0; i < STORE_TEST_MAX; i++) {
        (void) store_test_verify(b, false);
    }

    tap_is(store_test_resend(b, &out), OTPREG_RESEND_TOO_SOON,
           "no attempts left, and too soon");
    store_test_sent_ago(b, 61);
    tap_is(store_test_resend(a, &out), OTPREG_OK,
           "no attempts left, asked with the oldest OTP");
    memcpy(c, out.otp.id, OTPREG_ID_LEN);
    tap_ok(memcmp(c, a, OTPREG_ID_LEN) != 0
           && memcmp(c, b, OTPREG_ID_LEN) != 0, "a new OTP");
    tap_is(store_test_num("SELECT superseded_by = %s FROM otps WHERE id = %s",
                          hex(c), hex(b)), 1, "it follows the newest");

    store_test_sent_ago(a, 1000);
    store_test_sent_ago(b, 1000);
    tap_is(store_test_resend(a, &out), OTPREG_RESEND_TOO_SOON,
           "the newest of the chain says what is too soon");
    tap_ok(memcmp(out.otp.id, c, OTPREG_ID_LEN) == 0, "and is told");

    store_test_sent_ago(c, 61);
    store_test_resend_fill(&in, c);
    in.purpose = (otpreg_purpose_t) 2;
    tap_is(otpreg_store_resend(&store_test_socket, &in, &out,
                               store_test_error), OTPREG_NO_SIGNUP,
           "another purpose");

    tap_is(store_test_verify(c, true), OTPREG_OK, "the newest code is right");
    tap_is(store_test_resend(c, &out), OTPREG_CODE_USED, "used");
    tap_is(store_test_resend(a, &out), OTPREG_CODE_USED, "used, by the oldest");

    store_test_id(b);
    tap_is(store_test_resend(b, &out), OTPREG_NO_SIGNUP, "no such OTP");
    store_test_counts(1, 3, 4, "in all this");
}


static void
store_test_resend_decoys(void)
{
    uint8_t                a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];
    uint8_t                c[OTPREG_ID_LEN];
    otpreg_store_resend_t  in;
    otpreg_store_resent_t  out;

    store_test_group("resend: decoys");

    (void) store_test_signup("eve", "ann@example.com", b);
    store_test_user("ann", "ann@example.com", a);
    (void) store_test_signup("mia", "Ann@example.com", c);
    store_test_sql("DELETE FROM messages");

    tap_is(store_test_resend(c, &out), OTPREG_RESEND_TOO_SOON, "too soon");
    tap_ok(out.retry_after >= 58 && out.retry_after <= 60, "retry after");

    store_test_sent_ago(c, 61);
    store_test_resend_fill(&in, c);
    in.outbox.lease = "node-1-9";
    tap_is(otpreg_store_resend(&store_test_socket, &in, &out,
                               store_test_error), OTPREG_OK, "in time");
    tap_ok(!out.queued.send && store_test_rows("messages") == 0,
           "but nothing is sent");
    tap_ok(memcmp(out.otp.id, c, OTPREG_ID_LEN) == 0 && out.otp.digits == 6
           && out.expires_in > 590, "the same code");
    tap_is(store_test_resend(c, &out), OTPREG_RESEND_TOO_SOON,
           "and too soon again");

    store_test_sent_ago(c, 61);
    store_test_expire(c);
    tap_is(store_test_resend(c, &out), OTPREG_OK, "after it expired");
    tap_ok(memcmp(out.otp.id, c, OTPREG_ID_LEN) != 0 && out.otp.digits == 8
           && out.expires_in == 900, "a new OTP");
    tap_is(store_test_num("SELECT user_id IS NULL FROM otps WHERE id = %s",
                          hex(out.otp.id)), 1, "without a user");

    store_test_sent_ago(b, 61);
    tap_is(store_test_resend(b, &out), OTPREG_OK,
           "who waits for an address that was proved meanwhile");
    tap_is(store_test_rows("messages"), 0, "gets nothing either");
}


static void
store_test_resend_thread(unsigned i, void *data)
{
    store_test_race_t *race = data;

    otpreg_store_resent_t  out;

    atomic_fetch_add(&race->told[store_test_resend(race->id[i], &out)], 1);
}


static void
store_test_resend_races(void)
{
    uint8_t            id[OTPREG_ID_LEN];
    unsigned           i, k, bad[2];
    store_test_race_t  race;

    store_test_group("resend: 16 threads at once");

    bad[0] = bad[1] = 0;

    for (k = 0; k < 10; k++) {
        store_test_reset();
        memset(&race, 0, sizeof(race));
        (void) store_test_signup("ann", "ann@example.com", id);
        store_test_sent_ago(id, 61);

        if (k % 2) {
            store_test_expire(id);
        }

        for (i = 0; i < STORE_TEST_THREADS; i++) {
            memcpy(race.id[i], id, OTPREG_ID_LEN);
        }

        store_test_threads(STORE_TEST_THREADS, store_test_resend_thread,
                           &race);

        bad[k % 2] += (race.told[OTPREG_OK] != 1)
                    + (race.told[OTPREG_RESEND_TOO_SOON]
                       != STORE_TEST_THREADS - 1)
                    + (store_test_rows("messages") != 2)
                    + (store_test_rows("otps") != 1 + k % 2);
    }

    tap_is(bad[0], 0, "the same code, 5 times: one send");
    tap_is(bad[1], 0, "a new code, 5 times: one OTP and one send");
}


/* ----- the outbox */

static void
store_test_claims(void)
{
    char                    name[32];
    uint8_t                 id[OTPREG_ID_LEN];
    unsigned                i, n, expired;
    otpreg_store_message_t  m[8], *p;

    store_test_group("claim, lease, finish");

    tap_is(store_test_claim("node-1-1", m, 8), 0, "nothing is due");

    for (i = 0; i < 5; i++) {
        snprintf(name, sizeof(name), "User%u", i);
        (void) store_test_signup(name, "ann@example.com", id);
        store_test_sql("UPDATE messages SET due_at = NOW(6)"
                       " - INTERVAL %u SECOND WHERE otp_id = %s", 100 - i,
                       hex(id));
    }

    tap_is(store_test_verify(id, true), OTPREG_OK, "one is verified");

    n = 0;
    (void) store_test_claim_in(&store_test_socket, "other", "node-1-2", 60, m,
                               8, &n, &expired);
    tap_is(n, 0, "another site's are not ours");

    n = store_test_claim("node-1-3", m, 3);
    tap_is(n, 3, "as many as wanted");
    tap_is(store_test_num("SELECT GROUP_CONCAT(u.username ORDER BY due_at)"
                          " IS NOT NULL AND MIN(m.attempts) = 1"
                          " AND MAX(TIMESTAMPDIFF(SECOND, NOW(6), due_at))"
                          " BETWEEN 58 AND 60"
                          " FROM messages m JOIN otps o ON o.id = otp_id"
                          " JOIN users u ON u.id = user_id"
                          " WHERE lease = 'node-1-3' AND u.username"
                          " IN ('User0', 'User1', 'User2')"), 1,
           "those that were due first, for the time of a lease");

    n = store_test_claim("node-1-4", m + 3, 5);
    tap_is(n, 2, "then the rest");
    tap_is(store_test_claim("node-1-5", m + 5, 3), 0, "then none");

    p = strcmp(m[3].username, "User3") == 0 ? &m[3] : &m[4];
    tap_ok(strcmp(p->username, "User3") == 0
           && strcmp(p->template, "otp") == 0
           && strcmp(p->lease, "node-1-4") == 0 && p->attempts == 1
           && p->expires_in > 590 && p->expires_in <= 600
           && p->otp.purpose == OTPREG_PURPOSE_SIGNUP
           && p->otp.channel == OTPREG_CHANNEL_EMAIL && p->otp.digits == 6
           && strcmp(p->otp.key_name, "k1") == 0
           && strcmp(p->otp.address, "ann@example.com") == 0 && !p->obsolete
           && store_test_num("SELECT otp_id = %s FROM messages WHERE id = %s",
                             hex(p->otp.id), hex(p->id)) == 1,
           "all that a send needs");

    p = (p == &m[3]) ? &m[4] : &m[3];
    tap_ok(p->obsolete, "a code that was used already: obsolete");

    /* the fates */

    tap_is(store_test_finish(&m[0], OTPREG_STORE_SENT), OTPREG_OK, "sent");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', sent_at IS NOT NULL,"
                    " due_at IS NULL, lease IS NULL, failed_at IS NULL,"
                    " last_error IS NULL) FROM messages WHERE id = %s",
                    hex(m[0].id)), "1|1|1|1|1", "sent: finished");

    tap_is(store_test_finish(&m[1], OTPREG_STORE_LATER), OTPREG_OK, "later");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', sent_at IS NULL,"
                    " TIMESTAMPDIFF(SECOND, NOW(6), due_at) BETWEEN 28 AND 30,"
                    " lease IS NULL, failed_at IS NULL, last_error)"
                    " FROM messages WHERE id = %s", hex(m[1].id)),
                "1|1|1|1|the reason", "later: due again, and why");

    tap_is(store_test_finish(&m[2], OTPREG_STORE_GIVEN_UP), OTPREG_OK,
           "given up");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', sent_at IS NULL,"
                    " due_at IS NULL, lease IS NULL, failed_at IS NOT NULL,"
                    " last_error) FROM messages WHERE id = %s",
                    hex(m[2].id)), "1|1|1|1|the reason",
                "given up: finished, and why");

    /* the end of a lease */

    store_test_sql("UPDATE messages SET due_at = NOW(6)"
                   " WHERE due_at IS NOT NULL");
    n = store_test_claim("node-2-1", m + 5, 3);
    tap_is(n, 3, "what was put off, and what a lease ended of, is due again");
    tap_is(store_test_rows("messages WHERE lease = 'node-2-1'"
                           " AND attempts = 2"), 3, "the second attempt");

    /* m[3] and m[4] are with node-2-1 now */

    (void) store_test_finish(&m[3], OTPREG_STORE_LATER);
    (void) store_test_finish(&m[4], OTPREG_STORE_GIVEN_UP);
    tap_is(store_test_rows("messages WHERE lease = 'node-2-1'"
                           " AND failed_at IS NULL"), 3,
           "an old holder neither puts off nor gives up");

    (void) store_test_finish(&m[3], OTPREG_STORE_SENT);
    tap_is(store_test_num("SELECT sent_at IS NOT NULL AND due_at IS NULL"
                          " FROM messages WHERE id = %s", hex(m[3].id)), 1,
           "but what it did send, however late, is not sent again");

    for (i = 5; i < 8; i++) {
        if (memcmp(m[i].id, m[3].id, OTPREG_ID_LEN) == 0) {
            (void) store_test_finish(&m[i], OTPREG_STORE_LATER);
        }
    }

    tap_is(store_test_num("SELECT sent_at IS NOT NULL AND due_at IS NULL"
                          " FROM messages WHERE id = %s", hex(m[3].id)), 1,
           "also when the new holder could not send it");

    /* a lease ends by itself */

    store_test_reset();
    (void) store_test_signup("bob", "bob@example.com", id);
    (void) store_test_claim_in(&store_test_socket, "site", "node-3-1", 1, m, 8,
                               &n, &expired);
    tap_is(n, 1, "a lease of a second");
    tap_is(store_test_claim("node-3-2", m, 8), 0, "nobody else gets it");
    usleep(1200000);
    tap_is(store_test_claim("node-3-3", m, 8), 1, "until it ended");
}


static void
store_test_expiry(void)
{
    unsigned                n, expired;
    otpreg_store_message_t  m[8];

    store_test_group("claim: messages that expired");

    store_test_sql("INSERT INTO messages (id, site, otp_id, template, channel,"
                   " address, address_key, created_at, expires_at, due_at)"
                   " SELECT UNHEX(LPAD(HEX(seq), 32, '0')),"
                   " IF(seq > 1200, 'other', 'site'), REPEAT('o', 16), 'otp',"
                   " 1, 'a', 'a', NOW(6), NOW(6) - INTERVAL 1 SECOND,"
                   " IF(seq > 1190 AND seq <= 1200, NOW(6) + INTERVAL 9 SECOND,"
                   " NOW(6)) FROM seq_1_to_1203");

    (void) store_test_claim_in(&store_test_socket, "site", "node-1-1", 60, m,
                               8, &n, &expired);
    tap_is(n, 0, "none is taken");
    tap_is(expired, 1000, "a bounded number is finished");
    (void) store_test_claim_in(&store_test_socket, "site", "node-1-2", 60, m,
                               8, &n, &expired);
    tap_is(expired, 190, "then the rest of those that are due");
    (void) store_test_claim_in(&store_test_socket, "site", "node-1-3", 60, m,
                               8, &n, &expired);
    tap_is(expired, 0, "then none");
    tap_is(store_test_rows("messages WHERE failed_at AND due_at IS NULL"
                           " AND last_error = 'expired' AND site = 'site'"),
           1190, "so many, and of our site");
    tap_is(store_test_rows("messages WHERE due_at IS NOT NULL"), 13,
           "a leased one may still be sent");
}


static void
store_test_claim_thread(unsigned i, void *data)
{
    unsigned *taken = data;

    char                    lease[32];
    unsigned                k, n, expired, empty;
    otpreg_outcome_t        outcome;
    otpreg_store_message_t  m[3];

    empty = 0;

    for (k = 0; empty < 3; k++) {
        snprintf(lease, sizeof(lease), "node-%u-%u", i + 1, k);

        outcome = store_test_claim_in(&store_test_socket, "site", lease, 60, m,
                                      3, &n, &expired);
        taken[i] += (outcome == OTPREG_OK) ? n : 1000;

        while (n > 0) {
            n--;
            taken[i] += (m[n].attempts == 1) ? 0 : 10000;
        }

        empty += (taken[i] > 999 || n == 0) && k % 8 == 7;
    }
}


static void
store_test_claim_races(void)
{
    char      name[32];
    uint8_t   id[OTPREG_ID_LEN];
    unsigned  i, sum, taken[STORE_TEST_THREADS];

    store_test_group("claim: 16 threads at once");

    for (i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "user%u", i);
        (void) store_test_signup(name, "ann@example.com", id);
    }

    memset(taken, 0, sizeof(taken));
    store_test_threads(STORE_TEST_THREADS, store_test_claim_thread, taken);

    sum = 0;

    for (i = 0; i < STORE_TEST_THREADS; i++) {
        sum += taken[i];
    }

    tap_is(sum, 100, "100 messages: taken 100 times");
    tap_is(store_test_rows("messages WHERE attempts = 1 AND lease <> ''"), 100,
           "each once");
}


static bool
store_test_dead(long pid)
{
    return pid == 100 || pid == 102;
}


static void
store_test_release(void)
{
    unsigned                i, n;
    otpreg_store_message_t  m[4];

    static const char *const  leases[] = {
        "ab-100-1", "ab-100-2", "ab-101-1", "ab-102-7", "abc-100-1",
        "a-100-1", "cd-100-1"
    };

    store_test_group("release of dead owners");

    for (i = 0; i < tap_items(leases); i++) {
        store_test_sql("INSERT INTO messages (id, site, otp_id, template,"
                       " channel, address, address_key, created_at,"
                       " expires_at, due_at, lease) VALUES (UNHEX(LPAD(%u, 32,"
                       " '0')), 'site', REPEAT('o', 16), 'otp', 1, 'a', 'a',"
                       " NOW(6), NOW(6) + INTERVAL 1 HOUR,"
                       " NOW(6) + INTERVAL 60 SECOND, '%s')", i, leases[i]);
    }

    tap_is(otpreg_store_release(&store_test_socket, "ab", store_test_dead, &n,
                                store_test_error), OTPREG_OK, "release");
    tap_is(n, 3, "three messages of two dead owners");
    tap_is_text(store_test_text("SELECT GROUP_CONCAT(lease ORDER BY lease)"
                                " FROM messages"),
                "a-100-1,ab-101-1,abc-100-1,cd-100-1",
                "the living and other nodes keep theirs");
    tap_is(store_test_rows("messages WHERE due_at <= NOW(6)"
                           " AND lease IS NULL"), 3, "the others are due");
    tap_is(otpreg_store_release(&store_test_socket, "ab", store_test_dead, &n,
                                store_test_error), OTPREG_OK, "again");
    tap_is(n, 0, "nothing is left");

    store_test_sql("UPDATE messages SET otp_id = REPEAT('p', 16)");
    tap_is(store_test_claim("ab-103-1", m, 4), 0,
           "messages without their OTP are not told");
}


/* ----- purge */

static void
store_test_purge_user(const char *name, const char *created,
    const char *expires, bool verified)
{
    char     address[64];
    uint8_t  id[OTPREG_ID_LEN];

    snprintf(address, sizeof(address), "%s@example.com", name);
    (void) store_test_signup(name, address, id);

    if (verified) {
        (void) store_test_verify(id, true);
    }

    store_test_sql("UPDATE users SET created_at = NOW(6) - INTERVAL %s"
                   " WHERE username = '%s';"
                   "UPDATE otps SET expires_at = NOW(6) - INTERVAL %s"
                   " WHERE id = %s;"
                   "UPDATE messages SET expires_at = NOW(6) - INTERVAL %s"
                   " WHERE otp_id = %s", created, name, expires, hex(id),
                   expires, hex(id));
}


static void
store_test_purge(void)
{
    uint8_t                id[OTPREG_ID_LEN];
    unsigned               i, rows;
    otpreg_store_resent_t  out;

    store_test_group("purge");

    store_test_purge_user("fresh", "0 HOUR", "-1 HOUR", false);
    store_test_purge_user("today", "23 HOUR", "22 HOUR", false);
    store_test_purge_user("over", "50 HOUR", "25 HOUR", false);
    store_test_purge_user("recent", "50 HOUR", "23 HOUR", false);
    store_test_purge_user("old", "80 HOUR", "72 HOUR", false);
    store_test_purge_user("proved", "80 HOUR", "72 HOUR", true);
    store_test_purge_user("admin", "80 HOUR", "72 HOUR", false);
    store_test_purge_user("phone", "80 HOUR", "72 HOUR", false);
    store_test_purge_user("inactive", "80 HOUR", "72 HOUR", true);
    store_test_purge_user("renewed", "80 HOUR", "72 HOUR", false);

    store_test_sql("UPDATE users SET is_active = 1 WHERE username = 'admin';"
                   "UPDATE users SET phone_verified_at = NOW(6)"
                   " WHERE username = 'phone';"
                   "UPDATE users SET is_active = 0 WHERE username = 'inactive'"
                   ";INSERT INTO users (username, password, created_at)"
                   " VALUES ('foreign', '', NOW(6) - INTERVAL 9 DAY)");

    (void) store_test_signup("x", "x@example.com", id);
    store_test_sql("UPDATE otps SET user_id = (SELECT id FROM users WHERE"
                   " username = 'renewed'), sent_at = NOW(6) - INTERVAL 9 HOUR"
                   " WHERE id = %s; DELETE FROM users WHERE username = 'x'",
                   hex(id));
    tap_is(store_test_resend(id, &out), OTPREG_OK, "a user with a second OTP");

    (void) store_test_signup("eve", "proved@example.com", id);
    store_test_sql("UPDATE otps SET expires_at = NOW(6) - INTERVAL 49 HOUR"
                   " WHERE user_id IS NULL");

    tap_is(otpreg_store_purge(&store_test_socket, &rows, store_test_error),
           OTPREG_OK, "purge");
    tap_is_text(store_test_text("SELECT GROUP_CONCAT(username ORDER BY"
                                " username) FROM users"),
                "admin,foreign,fresh,inactive,phone,proved,recent,renewed,"
                "today", "users: only who never verified, a day after the"
                " last code");
    tap_is_text(store_test_text("SELECT GROUP_CONCAT(DISTINCT address ORDER BY"
                                " address) FROM otps"),
                "fresh@example.com,over@example.com,recent@example.com,"
                "renewed@example.com,today@example.com,x@example.com",
                "OTPs: only those that expired two days ago, and not of"
                " users who may still verify");
    tap_is_text(store_test_text("SELECT GROUP_CONCAT(DISTINCT address ORDER BY"
                                " address) FROM messages"),
                "fresh@example.com,over@example.com,proved@example.com,"
                "recent@example.com,today@example.com,x@example.com",
                "messages: only those that expired two days ago");
    tap_is(rows, 2 + 6 + 6, "the number of rows");

    store_test_reset();
    store_test_sql("INSERT INTO users (id, username, password, created_at,"
                   " email_verified_at)"
                   " SELECT seq, CONCAT('user', seq), '',"
                   " NOW(6) - INTERVAL 9 DAY,"
                   " IF(seq > 2500, NOW(6), NULL) FROM seq_1_to_2600;"
                   "INSERT INTO otps (id, purpose, user_id, channel, address,"
                   " address_key, key_name, digits, created_at, sent_at,"
                   " expires_at) SELECT UNHEX(LPAD(HEX(seq), 32, '0')), 1,"
                   " seq, 1, 'a', 'a', 'k', 6, NOW(6), NOW(6),"
                   " NOW(6) - INTERVAL 8 DAY FROM seq_1_to_2600;"
                   "INSERT INTO messages (id, site, otp_id, template, channel,"
                   " address, address_key, created_at, expires_at)"
                   " SELECT id, 'site', id, 'otp', 1, 'a', 'a', NOW(6),"
                   " expires_at FROM otps");

    (void) otpreg_store_purge(&store_test_socket, &rows, store_test_error);
    tap_ok(rows > 0 && rows <= 3000, "a bounded number of rows: %u", rows);

    for (i = 0; i < 20 && rows > 0; i++) {
        (void) otpreg_store_purge(&store_test_socket, &rows, store_test_error);
    }

    tap_is(rows, 0, "an end after %u calls", i);
    store_test_counts(100, 0, 0, "but the verified stay");
}
