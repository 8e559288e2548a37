
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

#include "otpreg_db.h"
#include "otpreg_sql.h"
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

/* a table of the column seq */
#define STORE_TEST_SEQ(from, to)                                              \
    "(WITH RECURSIVE s AS (SELECT " from " AS seq UNION ALL"                  \
    " SELECT seq + 1 FROM s WHERE seq < " to ") SELECT seq FROM s) seq"

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


/* where MySQL has what it shares with MariaDB by name only */

static bool
store_test_is_mysql(void)
{
    return strstr(mysql_get_server_info(store_test_root), "MariaDB") == NULL;
}


static const char *
store_test_status_schema(void)
{
    return store_test_is_mysql() ? "performance_schema" : "information_schema";
}


/* the connections of the user that is tested, as rows of an id */

static MYSQL_RES *
store_test_connections(MYSQL *mysql, const char *rest)
{
    char  sql[256];

    snprintf(sql, sizeof(sql), "SELECT id FROM %s.processlist"
             " WHERE user = 'otpreg'%s", store_test_status_schema(), rest);

    if (mysql_query(mysql, sql) != 0) {
        fprintf(stderr, "%s: %s\n", sql, mysql_error(mysql));
        abort();
    }

    return mysql_store_result(mysql);
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
    in->outbox.channel = OTPREG_CHANNEL_EMAIL;
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
    in->all = false;
    in->attempts_max = STORE_TEST_MAX;
}


static otpreg_outcome_t
store_test_try(const otpreg_db_conf_t *conf, const uint8_t *id, bool match,
    unsigned *left)
{
    otpreg_outcome_t         outcome;
    otpreg_store_verify_t    in;
    otpreg_store_verified_t  out;

    store_test_verify_fill(&in, id, match);

    outcome = otpreg_store_verify(conf, &in, &out, store_test_error);
    *left = out.left;

    return outcome;
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
    in->outbox.channel = OTPREG_CHANNEL_EMAIL;
    in->outbox.lease_time = 60;
    in->purpose = OTPREG_PURPOSE_SIGNUP;
    in->attempts_max = STORE_TEST_MAX;
    in->changes_max = 2;
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


/* another address for a sign-up */

static void
store_test_to(otpreg_store_to_t *to, otpreg_channel_t channel,
    const char *address)
{
    to->channel = channel;
    snprintf(to->address, sizeof(to->address), "%s", address);
    snprintf(to->key, sizeof(to->key), "%s", address);
}


static otpreg_outcome_t
store_test_change_to(const uint8_t *id, otpreg_channel_t channel,
    const char *address, otpreg_store_resent_t *out)
{
    otpreg_store_resend_t  in;

    store_test_resend_fill(&in, id);
    in.outbox.lease = "node-1-8";
    store_test_to(&in.to, channel, address);

    return otpreg_store_resend(&store_test_socket, &in, out,
                               store_test_error);
}


/* the right code, where both addresses must be proved */

static otpreg_outcome_t
store_test_all(const otpreg_db_conf_t *conf, const uint8_t *id,
    otpreg_store_verified_t *out)
{
    otpreg_store_verify_t  in;

    store_test_verify_fill(&in, id, true);
    in.all = true;

    return otpreg_store_verify(conf, &in, out, store_test_error);
}


static otpreg_outcome_t
store_test_claim_in(const otpreg_db_conf_t *conf, const char *site,
    const char *lease, unsigned lease_time, otpreg_store_message_t *messages,
    unsigned max, unsigned *n, unsigned *expired)
{
    otpreg_store_outbox_t  outbox;

    outbox.site = site;
    outbox.channel = OTPREG_CHANNEL_EMAIL;
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
    otpreg_store_result_t fate)
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
    const char            *text;
    otpreg_store_queued_t  out;
    otpreg_store_signup_t  in;

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
    store_test_sql("DROP TRIGGER IF EXISTS fault;"
                   "CREATE TRIGGER fault BEFORE INSERT ON %s"
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
    uint8_t                a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];
    unsigned               i, n, left;
    otpreg_outcome_t       outcomes[STORE_TEST_THREADS];
    otpreg_store_queued_t  out;
    otpreg_store_signup_t  in;

    store_test_group("sign-up: decoys and the notice");

    store_test_user("ann", "ann@example.com", a);

    store_test_signup_fill(&in, "eve", "Ann@example.com");
    in.outbox.lease = "node-1-2";
    tap_is(store_test_signup_in(&store_test_socket, &in, &out), OTPREG_OK,
           "an address with an owner: the same answer");
    store_test_counts(2, 2, 2, "an OTP and a notice, and who waits");
    tap_is(store_test_num("SELECT decoy FROM otps WHERE id = %s",
                          hex(in.otp.id)), 1, "the OTP is a decoy");
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
    store_test_counts(3, 3, 2, "an OTP, but no second notice in a day");
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
        store_test_sql("DELETE FROM messages");
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
    uint8_t                  id[OTPREG_ID_LEN], none[OTPREG_ID_LEN];
    unsigned                 i, left;
    otpreg_outcome_t         outcome;
    otpreg_store_verify_t    in;
    otpreg_store_verified_t  out;

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
    outcome = otpreg_store_verify(&store_test_socket, &in, &out,
                                  store_test_error);
    tap_ok(outcome != OTPREG_OK && outcome != OTPREG_CODE_WRONG,
           "a right code for another purpose: refused");
    tap_is(store_test_attempts(id), 1, "and not counted");

    store_test_verify_fill(&in, id, true);
    outcome = otpreg_store_verify(&store_test_socket, &in, &out,
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
    tap_is(store_test_num("SELECT decoy FROM otps WHERE id = %s",
                          hex(out.otp.id)), 1, "a decoy, too");

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


/* ----- another address */

static void
store_test_change(void)
{
    uint8_t                a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];
    uint8_t                c[OTPREG_ID_LEN];
    unsigned               left;
    otpreg_store_resent_t  out;

    store_test_group("change: the address of a sign-up");

    (void) store_test_signup("ann", "amn@example.com", a);
    (void) store_test_verify(a, false);
    (void) store_test_verify(a, false);

    tap_is(store_test_change_to(a, OTPREG_CHANNEL_EMAIL, "ann@example.com",
                                &out), OTPREG_OK, "another address, at once");
    memcpy(b, out.otp.id, OTPREG_ID_LEN);
    tap_ok(memcmp(a, b, OTPREG_ID_LEN) != 0 && out.otp.digits == 8
           && strcmp(out.otp.address, "ann@example.com") == 0
           && strcmp(out.otp.key_name, "k2") == 0 && out.expires_in == 900,
           "a new OTP");
    tap_ok(out.queued.send
           && strcmp(out.queued.message.otp.address, "ann@example.com") == 0
           && strcmp(out.queued.message.username, "ann") == 0,
           "its message is ours to send");
    store_test_counts(1, 2, 2, "one more of each, but no user");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', username, email,"
                    " email_key, password, is_active) FROM users"),
                "ann|ann@example.com|ann@example.com|$argon2id$of-ann|0",
                "the user has the name and the password, and that address");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', attempts, changes,"
                    " decoy, address_key) FROM otps WHERE id = %s", hex(b)),
                "2|1|0|ann@example.com",
                "attack 36: the attempts are as they were");
    tap_is(store_test_verify(a, true), OTPREG_CODE_EXPIRED,
           "the old code is dead");
    tap_is(store_test_rows("users WHERE is_active"), 0,
           "and proves nothing about the new address");

    tap_is(store_test_resend(a, &out), OTPREG_RESEND_TOO_SOON,
           "asked with the old OTP: too soon after the change");
    tap_is(store_test_change_to(a, OTPREG_CHANNEL_EMAIL, "ann@example.com",
                                &out), OTPREG_RESEND_TOO_SOON,
           "the same address is no change");

    tap_is(store_test_change_to(a, OTPREG_CHANNEL_SMS, "+442079460018",
                                &out), OTPREG_OK, "a phone number instead");
    memcpy(c, out.otp.id, OTPREG_ID_LEN);
    tap_ok(!out.queued.send
           && store_test_num("SELECT lease IS NULL AND due_at <= NOW(6)"
                             " FROM messages WHERE channel = 2") == 1,
           "the queue of mail does not send it: it is due for anybody");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', email, phone, phone_key)"
                                " FROM users"),
                "ann@example.com|+442079460018|+442079460018",
                "the user has both");
    tap_is(store_test_change_to(c, OTPREG_CHANNEL_EMAIL, "a@example.com",
                                &out), OTPREG_CHANGE_LIMIT,
           "attack 36: a third change: refused");
    store_test_counts(1, 3, 3, "and nothing was written");

    tap_is(store_test_try(&store_test_socket, c, false, &left),
           OTPREG_CODE_WRONG, "a wrong code");
    tap_is(left, STORE_TEST_MAX - 3, "attack 36: the third in all");
    tap_is(store_test_verify(c, true), OTPREG_OK, "the right code");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', is_active, phone_owner,"
                    " COALESCE(email_owner, 'none')) FROM users"),
                "1|+442079460018|none", "proves the number, and no more");
    tap_is(store_test_change_to(c, OTPREG_CHANNEL_EMAIL, "b@example.com",
                                &out), OTPREG_CODE_USED,
           "then nothing can be changed");

    (void) store_test_signup("bob", "bob@example.com", a);

    for (left = 1; left != 0; ) {
        (void) store_test_try(&store_test_socket, a, false, &left);
    }

    tap_is(store_test_change_to(a, OTPREG_CHANNEL_EMAIL, "b@example.com",
                                &out), OTPREG_CODE_SPENT,
           "attack 36: no attempts are left: no change");
    store_test_sent_ago(a, 61);
    tap_is(store_test_resend(a, &out), OTPREG_OK, "but a new code, later");
    tap_is(store_test_change_to(a, OTPREG_CHANNEL_EMAIL, "b@example.com",
                                &out), OTPREG_OK, "then a change");
    tap_is(store_test_verify(out.otp.id, true), OTPREG_OK, "and the code");
}


static void
store_test_change_decoys(void)
{
    uint8_t                a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];
    otpreg_store_resent_t  out;

    store_test_group("change: addresses with an owner");

    store_test_user("ann", "ann@example.com", a);
    (void) store_test_signup("bob", "ann@example.com", b);

    tap_is(store_test_change_to(b, OTPREG_CHANNEL_EMAIL, "bob@example.com",
                                &out), OTPREG_OK,
           "from an address that has an owner");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', decoy, template)"
                    " FROM otps o JOIN messages m ON m.otp_id = o.id"
                    " WHERE o.id = %s", hex(out.otp.id)), "0|otp",
                "to one that has none: an OTP with its message");
    tap_is(store_test_verify(out.otp.id, true), OTPREG_OK, "which is proved");
    tap_is(store_test_rows("users WHERE username_owner = 'bob' AND email_owner"
                           " = 'bob@example.com' AND is_active AND password"
                           " = '$argon2id$of-bob'"), 1,
           "by the user with that name and password");

    (void) store_test_signup("eve", "eve@example.com", b);
    store_test_sql("DELETE FROM messages");
    tap_is(store_test_change_to(b, OTPREG_CHANNEL_EMAIL, "ann@example.com",
                                &out), OTPREG_OK, "to one that has an owner");
    tap_ok(out.queued.send
           && strcmp(out.queued.message.template, "taken") == 0
           && out.queued.message.username[0] == '\0',
           "the same answer; the owner gets a notice");
    tap_is(store_test_verify(out.otp.id, true), OTPREG_CODE_WRONG,
           "and no code is right");
    tap_is(store_test_rows("users WHERE is_active"), 2, "nor activates");
    tap_is(store_test_change_to(out.otp.id, OTPREG_CHANNEL_EMAIL,
                                "eva@example.com", &out), OTPREG_OK,
           "away from it");
    tap_is(store_test_num("SELECT attempts FROM otps WHERE id = %s",
                          hex(out.otp.id)), 1, "with the attempt that is gone");
}


/* ----- both addresses */

static void
store_test_signup_both(const char *name, uint8_t *id)
{
    char                   address[64];
    otpreg_store_queued_t  out;
    otpreg_store_signup_t  in;

    snprintf(address, sizeof(address), "%s@example.com", name);
    store_test_signup_fill(&in, name, address);
    strcpy(in.phone.number, "+442079460018");
    (void) store_test_signup_in(&store_test_socket, &in, &out);
    memcpy(id, in.otp.id, OTPREG_ID_LEN);
}


static void
store_test_both(void)
{
    uint8_t                  a[OTPREG_ID_LEN], b[OTPREG_ID_LEN];
    uint8_t                  c[OTPREG_ID_LEN];
    unsigned                 left;
    otpreg_store_resent_t    out;
    otpreg_store_verified_t  verified;

    store_test_group("both: one address after the other");

    store_test_signup_both("ann", a);
    tap_is(store_test_all(&store_test_socket, a, &verified), OTPREG_OK,
           "the first code");
    tap_ok(verified.next, "another one is to come");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', is_active,"
                    " email_verified_at IS NOT NULL, verified_at IS NULL,"
                    " username_owner IS NULL AND email_owner IS NULL)"
                    " FROM users"), "0|1|1|1",
                "the user is not active and owns nothing yet");

    tap_is(store_test_all(&store_test_socket, a, &verified), OTPREG_OK,
           "the same code again");
    tap_ok(verified.next, "the same answer");
    tap_is(store_test_attempts(a), 1, "and no attempt");
    tap_is(store_test_try(&store_test_socket, a, false, &left),
           OTPREG_CODE_USED, "a wrong code is not: used");

    tap_is(store_test_resend(a, &out), OTPREG_OK, "go on, at once");
    memcpy(b, out.otp.id, OTPREG_ID_LEN);
    tap_ok(out.otp.channel == OTPREG_CHANNEL_SMS
           && strcmp(out.otp.address, "+442079460018") == 0,
           "an OTP for the other address");
    tap_is(store_test_resend(a, &out), OTPREG_RESEND_TOO_SOON, "only once");
    tap_ok(memcmp(out.otp.id, b, OTPREG_ID_LEN) == 0, "which one, is told");
    store_test_counts(1, 2, 2, "so far");

    store_test_signup_both("mia", c);
    tap_is(store_test_all(&store_test_socket, c, &verified), OTPREG_OK,
           "somebody else proves another address");

    tap_is(store_test_all(&store_test_socket, b, &verified), OTPREG_OK,
           "the second code");
    tap_ok(!verified.next, "that is all");
    tap_is_text(store_test_text("SELECT CONCAT_WS('|', is_active,"
                    " username_owner, email_owner, phone_owner) FROM users"
                    " WHERE username = 'ann'"),
                "1|ann|ann@example.com|+442079460018",
                "the user is active and owns both");
    tap_is(store_test_all(&store_test_socket, a, &verified), OTPREG_CODE_USED,
           "then the first code is used");

    tap_is(store_test_resend(c, &out), OTPREG_OK,
           "who goes on to a number that has an owner by now");
    tap_is(store_test_num("SELECT decoy FROM otps WHERE id = %s",
                          hex(out.otp.id)), 1, "gets a decoy");
    tap_is(store_test_change_to(out.otp.id, OTPREG_CHANNEL_SMS,
                                "+442079460019", &out), OTPREG_OK,
           "and can change it");
    tap_is(store_test_all(&store_test_socket, out.otp.id, &verified),
           OTPREG_OK, "and prove that");
    tap_ok(!verified.next && store_test_rows("users WHERE is_active") == 2,
           "that is all, too");

    store_test_signup_both("eve", a);
    store_test_sql("UPDATE users SET phone = '+4420', phone_key = phone"
                   " WHERE username = 'eve'");
    (void) store_test_all(&store_test_socket, a, &verified);
    (void) store_test_resend(a, &out);
    tap_is(store_test_change_to(a, OTPREG_CHANNEL_EMAIL, "bob@example.com",
                                &out), OTPREG_OK,
           "the address that was proved is changed");
    tap_is(store_test_num("SELECT email_verified_at IS NULL FROM users"
                          " WHERE username = 'eve'"), 1,
           "then it is proved no more");
    (void) store_test_all(&store_test_socket, out.otp.id, &verified);
    tap_ok(verified.next, "and the other one is still to come");
}


static void
store_test_both_thread(unsigned i, void *data)
{
    store_test_race_t *race = data;

    otpreg_store_resent_t    out;
    otpreg_store_verified_t  verified;

    atomic_fetch_add(&race->told[store_test_all(&store_test_socket,
                                                race->id[i], &verified)], 1);
    (void) store_test_resend(race->id[i], &out);
}


static void
store_test_both_races(void)
{
    uint8_t            id[OTPREG_ID_LEN];
    unsigned           i, k, bad;
    store_test_race_t  race;

    store_test_group("both: 16 threads at once");

    bad = 0;

    for (k = 0; k < 10; k++) {
        store_test_reset();
        memset(&race, 0, sizeof(race));
        store_test_signup_both("ann", id);

        for (i = 0; i < STORE_TEST_THREADS; i++) {
            memcpy(race.id[i], id, OTPREG_ID_LEN);
        }

        store_test_threads(STORE_TEST_THREADS, store_test_both_thread, &race);

        bad += (race.told[OTPREG_OK] != STORE_TEST_THREADS)
             + (store_test_rows("otps") != 2)
             + (store_test_rows("messages") != 2)
             + (store_test_rows("users WHERE is_active") != 0);
    }

    tap_is(bad, 0, "the first code, 10 times: one second OTP, one message");
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
    tap_is(store_test_num("SELECT COUNT(*) = 3 AND MIN(m.attempts) = 1"
                          " AND MAX(TIMESTAMPDIFF(SECOND, NOW(6), due_at))"
                          " BETWEEN 58 AND 60"
                          " FROM messages m JOIN otps o ON o.id = otp_id"
                          " JOIN users u ON u.id = user_id"
                          " WHERE lease = 'node-1-3' AND u.username"
                          " IN ('User2', 'User3', 'User4')"), 1,
           "those that were due last, for the time of a lease");

    n = store_test_claim("node-1-4", m + 3, 5);
    tap_is(n, 2, "then the rest");
    tap_is(store_test_claim("node-1-5", m + 5, 3), 0, "then none");

    p = strcmp(m[3].username, "User0") == 0 ? &m[3] : &m[4];
    tap_ok(strcmp(p->username, "User0") == 0
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

    tap_is(m[0].obsolete + m[1].obsolete + m[2].obsolete, 1,
           "a code that was used already: obsolete");

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

    /* the server's clock was set back after it was put off */

    store_test_sql("UPDATE messages SET due_at = NOW(6) + INTERVAL 1 HOUR,"
                   " lease = NULL, expires_at = NOW(6) + INTERVAL 25 HOUR");
    tap_is(store_test_claim("node-3-4", m, 8), 0, "put off for an hour: waits");
    store_test_sql("UPDATE messages SET due_at = NOW(6) + INTERVAL 1 DAY");
    tap_is(store_test_claim("node-3-5", m, 8), 1,
           "for longer than anything is put off: does not");
}


static void
store_test_expiry(void)
{
    unsigned                n, expired;
    otpreg_store_message_t  m[8];

    store_test_group("claim: messages that expired");

    store_test_sql("INSERT INTO messages (id, site, otp_id, template, channel,"
                   " address, address_key, created_at, expires_at, due_at,"
                   " lease) SELECT UNHEX(LPAD(HEX(seq), 32, '0')),"
                   " IF(seq > 10210, 'other', 'site'), REPEAT('o', 16), 'otp',"
                   " 1, 'a', 'a', NOW(6), NOW(6) - INTERVAL 1 SECOND,"
                   " NOW(6) + INTERVAL IF(seq > 10100, 9, 0) SECOND,"
                   " IF(seq > 10200 AND seq <= 10210, 'node-2-1', NULL)"
                   " FROM " STORE_TEST_SEQ("1", "10213"));

    (void) store_test_claim_in(&store_test_socket, "site", "node-1-1", 60, m,
                               8, &n, &expired);
    tap_is(n, 0, "none is taken");
    tap_is(expired, 6400, "a bounded number is finished");
    (void) store_test_claim_in(&store_test_socket, "site", "node-1-2", 60, m,
                               8, &n, &expired);
    tap_is(expired, 3800, "then the rest, also of those that were put off");
    (void) store_test_claim_in(&store_test_socket, "site", "node-1-3", 60, m,
                               8, &n, &expired);
    tap_is(expired, 0, "then none");
    tap_is(store_test_rows("messages WHERE failed_at AND due_at IS NULL"
                           " AND last_error = 'expired' AND site = 'site'"),
           10200, "so many, and of our site");
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


/* ----- mailboxes */

/* the mailbox of an address is the same one in C and in SQL */

static void
store_test_mailbox(void)
{
    char    mailbox[OTPREG_EMAIL_MAX + 1];
    size_t  i;

    static const char *const  keys[] = {
        "ann@example.com", "ann+a@example.com", "ann+a+b@example.com",
        "ann+@example.com", "+ann@example.com", "+a+b@example.com",
        "a.b-c_d+e@sub.example.com", "+442079460018"
    };

    store_test_group("mailboxes");

    for (i = 0; i < tap_items(keys); i++) {
        store_test_sql("INSERT INTO otps (id, purpose, user_id, channel,"
                       " address, address_key, key_name, digits, created_at,"
                       " sent_at, expires_at) VALUES (UNHEX(LPAD(%u, 32, '0')),"
                       " 1, 1, 1, '', '%s', 'k', 6, NOW(6), NOW(6), NOW(6))",
                       (unsigned) i, keys[i]);
        otpreg_email_mailbox(keys[i], mailbox);
        tap_is_text(store_test_text("SELECT "
                                    OTPREG_SQL_MAILBOX("o.address_key")
                                    " FROM otps o WHERE o.address_key = '%s'",
                                    keys[i]), mailbox, "of %s", keys[i]);
    }
}


/* ----- purge */

/* one walk through all, from the beginning */

static otpreg_outcome_t
store_test_purged(const otpreg_db_conf_t *conf, unsigned *rows)
{
    bool                  more;
    unsigned              i, n;
    otpreg_outcome_t      outcome;
    otpreg_store_purge_t  walk;

    memset(&walk, 0, sizeof(otpreg_store_purge_t));

    *rows = 0;
    more = true;
    outcome = OTPREG_OK;

    for (i = 0; more && outcome == OTPREG_OK && i < 100; i++) {
        outcome = otpreg_store_purge(conf, &walk, &n, &more, store_test_error);
        *rows += n;
    }

    tap_ok(i < 100, "purge: an end");

    return outcome;
}


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
    unsigned               rows;
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
                   "UPDATE users SET phone_verified_at = NOW(6),"
                   " verified_at = NOW(6) WHERE username = 'phone';"
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
                   " WHERE decoy");
    store_test_sql("UPDATE users SET created_at = NOW(6) - INTERVAL 80 HOUR"
                   " WHERE username = 'eve'");

    tap_is(store_test_purged(&store_test_socket, &rows),
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
    tap_is(rows, 3 + 6 + 6, "the number of rows");
}


/* users from to to, each with an OTP and a message that are long over */

static void
store_test_purge_fill(unsigned from, unsigned to, const char *verified_at,
    const char *created_at)
{
    store_test_sql("INSERT INTO users (id, username, password, created_at,"
                   " verified_at)"
                   " SELECT seq, CONCAT('user', seq), '', %s, %s"
                   " FROM " STORE_TEST_SEQ("%u", "%u") ";"
                   "INSERT INTO otps (id, purpose, user_id, channel, address,"
                   " address_key, key_name, digits, created_at, sent_at,"
                   " expires_at) SELECT UNHEX(LPAD(HEX(seq), 32, '0')), 1,"
                   " seq, 1, 'a', 'a', 'k', 6, NOW(6), NOW(6),"
                   " NOW(6) - INTERVAL 8 DAY FROM "
                   STORE_TEST_SEQ("%u", "%u") ";"
                   "INSERT INTO messages (id, site, otp_id, template, channel,"
                   " address, address_key, created_at, expires_at)"
                   " SELECT id, 'site', id, 'otp', 1, 'a', 'a', NOW(6),"
                   " expires_at FROM otps WHERE user_id >= %u",
                   created_at, verified_at, from, to, from, to, from);
}


static long long
store_test_rows_read(void)
{
    return store_test_num("SELECT SUM(variable_value) FROM"
                          " %s.global_status WHERE variable_name"
                          " LIKE 'Handler\\_read\\_%%'",
                          store_test_status_schema());
}


static void
store_test_purge_big(void)
{
    bool                  more;
    unsigned              i, n, rows;
    long long             before, read, most;
    otpreg_store_purge_t  walk;

    store_test_group("purge: many rows");

    store_test_purge_fill(1, 2500, "NULL", "NOW(6) - INTERVAL 9 DAY");
    store_test_purge_fill(2501, 2600, "NOW(6)", "NOW(6) - INTERVAL 9 DAY");

    memset(&walk, 0, sizeof(otpreg_store_purge_t));

    rows = 0;
    more = true;

    for (i = 0; i < 20 && more; i++) {
        tap_is(otpreg_store_purge(&store_test_socket, &walk, &n, &more,
                                  store_test_error), OTPREG_OK, "a call");
        tap_ok(n <= 3 * OTPREG_STORE_PURGE_MAX,
               "a bounded number of rows: %u", n);
        rows += n;
    }

    tap_ok(!more && i < 20, "an end after %u calls", i);

    /* OTPs of users whom only a later call deleted: with the next walk */

    tap_is(store_test_purged(&store_test_socket, &n), OTPREG_OK, "once more");
    tap_is(rows + n, 2500 + 2600 + 2600, "all of them");
    store_test_counts(100, 0, 0, "but the verified stay");

    /* who was verified costs nothing, and who must stay not for ever */

    store_test_reset();
    store_test_sql("INSERT INTO users (username, password, created_at,"
                   " verified_at) SELECT CONCAT('v', seq), '',"
                   " NOW(6) - INTERVAL 9 DAY, NOW(6) FROM "
                   STORE_TEST_SEQ("1", "20000") ";"
                   "INSERT INTO users (id, username, password, created_at)"
                   " SELECT 100000 + seq, CONCAT('f', seq), '',"
                   " DATE(NOW()) - INTERVAL 9 DAY FROM "
                   STORE_TEST_SEQ("1", "3500"));
    store_test_purge_fill(200001, 200100, "NULL", "NOW(6) - INTERVAL 3 DAY");

    memset(&walk, 0, sizeof(otpreg_store_purge_t));

    rows = 0;
    most = 0;
    more = true;

    for (i = 0; i < 20 && more; i++) {
        before = store_test_rows_read();
        (void) otpreg_store_purge(&store_test_socket, &walk, &n, &more,
                                  store_test_error);
        read = store_test_rows_read() - before;
        most = (read > most) ? read : most;
        rows += n;
    }

    tap_is(i, 4, "calls until the end");
    tap_ok(most < 8000, "attack 37: rows read by a call at most: %lld", most);
    tap_is(store_test_num("SELECT COUNT(*) FROM users WHERE username LIKE"
                          " 'user%%'"), 0,
           "attack 37: those behind 3,500 who must stay are deleted");
    tap_is(store_test_rows("users"), 23500, "the others stay");
}


static void
store_test_purge_fails(void)
{
    bool                  more;
    unsigned              rows;
    otpreg_store_purge_t  walk;

    store_test_group("purge: one kind fails");

    store_test_purge_fill(1, 10, "NULL", "NOW(6) - INTERVAL 9 DAY");
    store_test_sql("RENAME TABLE sends TO away");

    memset(&walk, 0, sizeof(otpreg_store_purge_t));
    tap_ok(otpreg_store_purge(&store_test_socket, &walk, &rows, &more,
                              store_test_error) != OTPREG_OK,
           "attack 37: a table is away: a failure");
    tap_ok(strstr(store_test_error, "1146") != NULL, "the log: %s",
           store_test_error);
    store_test_counts(0, 0, 0, "attack 37: the other kinds are deleted");
    tap_is(rows, 30, "and counted");

    store_test_sql("RENAME TABLE away TO sends");
    tap_is(otpreg_store_purge(&store_test_socket, &walk, &rows, &more,
                              store_test_error), OTPREG_OK, "back");
    tap_is_text(store_test_error, "", "nothing for the log");
}


/* rows of an application that point to users of ours */

static void
store_test_purge_foreign(void)
{
    bool                  more;
    unsigned              n, rows, calls, failed;
    otpreg_store_purge_t  walk;

    store_test_group("purge: an application needs some of them");

    store_test_purge_fill(1, 1500, "NULL", "NOW(6) - INTERVAL 9 DAY");
    store_test_sql("CREATE TABLE profiles (user_id BIGINT UNSIGNED PRIMARY KEY,"
                   " FOREIGN KEY (user_id) REFERENCES users (id));"
                   "INSERT INTO profiles VALUES (78), (79), (1200)");

    memset(&walk, 0, sizeof(otpreg_store_purge_t));

    rows = 0;
    failed = 0;
    more = true;

    for (calls = 0; more && calls < 20; calls++) {
        if (otpreg_store_purge(&store_test_socket, &walk, &n, &more,
                               store_test_error)
            != OTPREG_OK)
        {
            failed++;
            tap_ok(strstr(store_test_error, "1451") != NULL
                   && strstr(store_test_error, "profiles") != NULL,
                   "the log: %s", store_test_error);
        }

        rows += n;
    }

    tap_is(failed, 2, "both batches told that some are left");
    tap_is_text(store_test_text("SELECT GROUP_CONCAT(id ORDER BY id)"
                                " FROM users"), "78,79,1200",
                "attack 37: all others are deleted");
    tap_ok(rows >= 1497, "and counted: %u", rows);

    store_test_sql("DROP TABLE profiles");
    tap_is(store_test_purged(&store_test_socket, &rows), OTPREG_OK,
           "when it needs them no longer");
    tap_is(store_test_rows("users"), 0, "they are deleted");
}


/* ----- migrations */

static const char *
store_test_table(const char *database, const char *table)
{
    static char  text[2][4096];
    static int   n;

    n = !n;
    text[n][0] = '\0';
    store_test_sql("SET SESSION group_concat_max_len = 4000");
    snprintf(text[n], sizeof(text[n]), "%s",
             store_test_text("SELECT SHA2(CONCAT((SELECT GROUP_CONCAT("
                 "column_name, '|', column_type, '|', is_nullable ORDER BY"
                 " column_name) FROM information_schema.columns WHERE"
                 " table_schema = '%s' AND table_name = '%s'),"
                 " (SELECT GROUP_CONCAT(index_name, '|', non_unique, '|',"
                 " seq_in_index, '|', column_name ORDER BY index_name,"
                 " seq_in_index) FROM information_schema.statistics WHERE"
                 " table_schema = '%s' AND table_name = '%s')), 256)",
                 database, table, database, table));

    return text[n];
}


static void
store_test_migrations(void)
{
    char               name[64];
    uint8_t            id[OTPREG_ID_LEN];
    unsigned           i, left;
    otpreg_db_conf_t  *conf;

    static const char *const  tables[] = {
        "otpreg_schema", "users", "otps", "messages", "budgets", "sends",
        "sms_sends", "sms_totals", "mail_totals"
    };

    store_test_group("migrations");

    store_test_control("migrate old 1 1");
    store_test_sql("INSERT INTO old.users (id, username, username_key, email,"
                   " email_key, password, created_at, is_active,"
                   " email_verified_at, verified_at) VALUES"
                   " (1, 'ann', 'ann', 'ann@example.com', 'ann@example.com',"
                   " 'phc', NOW(6), 1, NOW(6), NOW(6)),"
                   " (2, 'bob', 'bob', 'bob@example.com', 'bob@example.com',"
                   " 'phc', NOW(6), 0, NULL, NULL);"
                   "INSERT INTO old.sends (channel, address_key, sent_at)"
                   " VALUES (1, 'bob@example.com', NOW(6))");
    store_test_id(id);
    store_test_sql("INSERT INTO old.otps (id, purpose, user_id, channel,"
                   " address, address_key, key_name, digits, created_at,"
                   " sent_at, expires_at) VALUES (%s, 1, 2, 1,"
                   " 'bob@example.com', 'bob@example.com', 'k', 6, NOW(6),"
                   " NOW(6), NOW(6) + INTERVAL 600 SECOND)", hex(id));

    conf = store_test_conf(&store_test_socket);
    conf->name = "old";
    tap_is(store_test_try(conf, id, true, &left), OTPREG_DATABASE_DOWN,
           "before: database down");
    tap_ok(strstr(store_test_error, "load sql/migrations/0002-") != NULL,
           "the log: %s", store_test_error);

    for (i = 1; i <= 2; i++) {
        snprintf(name, sizeof(name), "0002 for the %s time",
                 i == 1 ? "first" : "second");
        store_test_control("migrate old 2 2");

        tap_is_text(store_test_text("SELECT GROUP_CONCAT(version) FROM"
                                    " old.otpreg_schema"), "1,2", "%s", name);
        tap_is_text(store_test_text("SELECT CONCAT_WS('|', username, email,"
                                    " is_active, email_owner) FROM old.users"
                                    " WHERE id = 1"),
                    "ann|ann@example.com|1|ann@example.com",
                    "%s: what was verified stays so", name);
        tap_is(store_test_num("SELECT COUNT(*) FROM old.sends"), 1,
               "%s: what was sent still counts", name);
    }

    conf = store_test_conf(&store_test_socket);
    conf->name = "old";
    tap_is(store_test_try(conf, id, true, &left), OTPREG_OK,
           "a sign-up from before is verified");

    for (i = 0; i < tap_items(tables); i++) {
        tap_is_text(store_test_table("old", tables[i]),
                    store_test_table("otpreg", tables[i]),
                    "%s: as in a new database", tables[i]);
    }

    store_test_sql("DROP DATABASE old");
}


/* ----- every function once */

static void
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

static void
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

static unsigned
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


static void
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


static void
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


static void
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


/* ----- errors of the server */

static void
store_test_faults(void)
{
    bool      named;
    char      body[512];
    uint8_t   id[OTPREG_ID_LEN];
    unsigned  i;

    static const struct {
        const char        *name;
        unsigned           code;
        unsigned           times;
        unsigned           hits;
        otpreg_outcome_t   outcome;
    } faults[] = {
        { "deadlock",             1213, 9,  10, OTPREG_OK },
        { "deadlocks, no end",    1213, 999, 10, OTPREG_DATABASE_DOWN },
        { "lock wait",            1205, 9,  10, OTPREG_OK },
        { "lock waits, no end",   1205, 999, 10, OTPREG_DATABASE_DOWN },
        { "killed",               1927, 4,   5, OTPREG_OK },
        { "killed, no end",       1927, 999, 5, OTPREG_DATABASE_DOWN },
        { "interrupted",          1317, 1,   2, OTPREG_OK },
        { "shutdown",             1053, 1,   2, OTPREG_OK },
        { "idle for too long",    4031, 1,   2, OTPREG_OK },
        { "read-only",            1290, 1,   2, OTPREG_OK },
        { "read-only, no end",    1290, 999, 5, OTPREG_DATABASE_DOWN },
        { "read-only mode",       1836, 999, 5, OTPREG_DATABASE_DOWN },
        { "Galera is not ready",  1047, 999, 5, OTPREG_DATABASE_DOWN },
        { "statement timeout",    1969, 1,   2, OTPREG_OK },
        { "error in COMMIT",      1180, 1,   2, OTPREG_OK },
        { "disk full",            1021, 1,   1, OTPREG_DATABASE_DOWN },
        { "table full",           1114, 1,   1, OTPREG_DATABASE_DOWN },
        { "write error",          1026, 1,   1, OTPREG_DATABASE_DOWN },
        { "no memory there",      1041, 1,   1, OTPREG_DATABASE_DOWN },
        { "no such column",       1054, 1,   1, OTPREG_DATABASE_DOWN },
        { "no such table",        1146, 1,   1, OTPREG_DATABASE_DOWN },
        { "no such database",     1049, 1,   1, OTPREG_DATABASE_DOWN },
        { "no right",             1142, 1,   1, OTPREG_DATABASE_DOWN },
        { "many statements",      1461, 1,   1, OTPREG_DATABASE_DOWN },
        { "changed since read",   1020, 1,   2, OTPREG_OK },
        { "prepare it again",     1615, 1,   2, OTPREG_OK },
        { "execution time",       3024, 1,   2, OTPREG_OK },
        { "not certified",        3101, 1,   2, OTPREG_OK },
        { "write conflict",       9007, 9,  10, OTPREG_OK },
        { "TiKV away, no end",    9002, 999, 10, OTPREG_DATABASE_DOWN },
        { "result unknown",       8501, 1,   2, OTPREG_OK },
        { "not null",             1048, 1,   1, OTPREG_ERROR },
    };

    store_test_group("errors of the server: repeated, bounded");

    store_test_id(id);
    (void) store_test_verify(id, false);        /* connected */

    store_test_sql("DROP TABLE IF EXISTS faults;"
                   "CREATE TABLE faults (hits INT) ENGINE=MyISAM;"
                   "INSERT INTO faults VALUES (0)");

    for (i = 0; i < tap_items(faults); i++) {
        store_test_reset();
        store_test_sql("UPDATE faults SET hits = 0");

        snprintf(body, sizeof(body), "UPDATE faults SET hits = hits + 1;"
                 "IF (SELECT hits FROM faults) <= %u THEN"
                 " SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %u,"
                 " MESSAGE_TEXT = 'of ann'; END IF;", faults[i].times,
                 faults[i].code);
        store_test_trigger("otps", body);

        if (tap_is(store_test_signup("ann", "ann@example.com", id),
                   faults[i].outcome, "%s: told", faults[i].name)
            == false)
        {
            printf("# %s\n", store_test_error);
        }

        tap_is(store_test_num("SELECT hits FROM faults"), faults[i].hits,
               "%s: tries", faults[i].name);

        /* the text names what is missing; others quote what was typed in */

        named = (faults[i].code == 1054 || faults[i].code == 1146
                 || faults[i].code == 1049 || faults[i].code == 1142);
        tap_ok((faults[i].outcome == OTPREG_OK)
               == (store_test_error[0] == '\0')
               && (strstr(store_test_error, "of ann") != NULL) == named,
               "%s: the log: %s", faults[i].name, store_test_error);

        store_test_sql("DROP TRIGGER fault");

        tap_ok(store_test_rows("users") == (faults[i].outcome == OTPREG_OK)
               && store_test_rows("otps") == store_test_rows("users")
               && store_test_rows("messages") == store_test_rows("users"),
               "%s: all or nothing", faults[i].name);
    }

    store_test_sql("DROP TABLE faults");
}


typedef struct {
    uint8_t             id[2][OTPREG_ID_LEN];
    otpreg_outcome_t    outcome[2];
    char                error[2][OTPREG_DB_ERROR_SIZE];
    int64_t             ms[2];
} store_test_wait_t;


static void
store_test_wait_thread(unsigned i, void *data)
{
    store_test_wait_t *wait = data;

    wait->ms[i] = store_test_ms();
    wait->outcome[i] = store_test_verify(wait->id[i], true);
    wait->ms[i] = store_test_ms() - wait->ms[i];
    strcpy(wait->error[i], store_test_error);
}


static void *
store_test_wait_main(void *data)
{
    store_test_threads(2, store_test_wait_thread, data);

    return NULL;
}


/* waits until somebody waits for a row */

static void
store_test_wait_blocked(unsigned n)
{
    unsigned  i;

    for (i = 0; i < 100; i++) {
        usleep(150000);             /* InnoDB keeps the answer for 100 ms */

        /* MySQL: innodb_trx fails where a statement has bytes in it */

        if (store_test_num(store_test_is_mysql()
                ? "SELECT COUNT(DISTINCT requesting_thread_id)"
                  " FROM performance_schema.data_lock_waits"
                : "SELECT COUNT(*) FROM information_schema.innodb_trx"
                  " WHERE trx_state = 'LOCK WAIT'") >= n)
        {
            return;
        }
    }
}


static long long
store_test_deadlocks(void)
{
    return store_test_num(store_test_is_mysql()
                          ? "SELECT count FROM information_schema"
                            ".innodb_metrics WHERE name = 'lock_deadlocks'"
                          : "SELECT variable_value FROM information_schema"
                            ".global_status WHERE variable_name ="
                            " 'Innodb_deadlocks'");
}


static long long
store_test_lock_waits(void)
{
    return store_test_num("SELECT variable_value FROM %s.global_status"
                          " WHERE variable_name = 'Innodb_row_lock_waits'",
                          store_test_status_schema());
}


static void
store_test_locks(void)
{
    MYSQL              *a, *b;
    long long           deadlocks;
    pthread_t           thread;
    store_test_wait_t   wait;

    store_test_group("locks of others");

    /* ours only: the session has a value of its own */
    store_test_sql("SET GLOBAL innodb_lock_wait_timeout = 1");

    a = store_test_open();
    b = store_test_open();

    /* a short transaction is the victim of one that changed many rows */

    (void) store_test_signup("ann", "ann@example.com", wait.id[0]);
    (void) store_test_signup("bob", "bob@example.com", wait.id[1]);
    store_test_sql("INSERT INTO messages (id, site, otp_id, template,"
                   " channel, address, address_key, created_at, expires_at)"
                   " SELECT UNHEX(LPAD(HEX(seq), 32, '0')), 'site', '', 'otp',"
                   " 1, '', '', NOW(6), NOW(6) FROM " STORE_TEST_SEQ("1", "1000"));
    store_test_run(a, "START TRANSACTION;"
                   "UPDATE messages SET address = 'x' WHERE address = '';"
                   "SELECT id FROM users FOR UPDATE");

    deadlocks = store_test_deadlocks();

    if (pthread_create(&thread, NULL, store_test_wait_main, &wait) != 0) {
        abort();
    }

    store_test_wait_blocked(2);
    store_test_run(a, "SELECT id FROM otps FOR UPDATE");
    usleep(100000);
    store_test_run(a, "ROLLBACK");
    pthread_join(thread, NULL);

    deadlocks = store_test_deadlocks() - deadlocks;
    tap_ok(deadlocks >= 1, "deadlocks that were met: %lld", deadlocks);
    tap_ok(wait.outcome[0] == OTPREG_OK && wait.outcome[1] == OTPREG_OK,
           "both calls came through: %s, %s", wait.error[0], wait.error[1]);
    tap_is(store_test_rows("otps WHERE attempts = 1 AND consumed_at"), 2,
           "each attempt was counted once");

    /* a row that is locked for a while, and one that stays locked */

    store_test_reset();
    (void) store_test_signup("ann", "ann@example.com", wait.id[0]);
    (void) store_test_signup("bob", "bob@example.com", wait.id[1]);

    store_test_run(a, "START TRANSACTION; SELECT * FROM users"
                      " WHERE username_key = 'ann' AND id = (SELECT user_id"
                      " FROM otps WHERE id = %s) FOR UPDATE", hex(wait.id[0]));
    store_test_run(b, "START TRANSACTION; SELECT * FROM users"
                      " WHERE username_key = 'bob' AND id = (SELECT user_id"
                      " FROM otps WHERE id = %s) FOR UPDATE", hex(wait.id[1]));

    if (pthread_create(&thread, NULL, store_test_wait_main, &wait) != 0) {
        abort();
    }

    usleep(7000000);
    store_test_run(a, "ROLLBACK");
    pthread_join(thread, NULL);
    store_test_run(b, "ROLLBACK");

    tap_is(wait.outcome[0], OTPREG_OK, "locked for 7 s: waited for");
    tap_ok(wait.ms[0] >= 5000, "with a lock wait timeout in between: %d ms",
           (int) wait.ms[0]);
    tap_is(wait.outcome[1], OTPREG_DATABASE_DOWN, "locked for ever: down");
    tap_ok(strstr(wait.error[1], "1205") != NULL, "the log: %s",
           wait.error[1]);
    tap_is(store_test_attempts(wait.id[0]), 1, "counted once");
    tap_is(store_test_attempts(wait.id[1]), 0, "not counted");

    mysql_close(a);
    mysql_close(b);
    store_test_sql("SET GLOBAL innodb_lock_wait_timeout = 50");
}


/*
 * What was found may have been taken, or sent, by somebody else before it is
 * marked: another node was faster.
 */

typedef struct {
    otpreg_outcome_t        outcome;
    unsigned                n, expired;
    otpreg_store_message_t  m[8];
} store_test_slower_t;


static void
store_test_slower_thread(unsigned i, void *data)
{
    store_test_slower_t *slower = data;

    (void) i;

    slower->outcome = store_test_claim_in(&store_test_socket, "site",
                                          "node-1-1", 60, slower->m, 8,
                                          &slower->n, &slower->expired);
}


static void *
store_test_slower_main(void *data)
{
    store_test_threads(1, store_test_slower_thread, data);

    return NULL;
}


/* new: who signs up meanwhile, or NULL */

static void
store_test_claim_slower(const char *faster, const char *new,
    store_test_slower_t *slower)
{
    MYSQL      *a;
    uint8_t     id[OTPREG_ID_LEN];
    pthread_t   thread;

    a = store_test_open();
    store_test_run(a, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
                   "START TRANSACTION; UPDATE messages SET %s"
                   " WHERE address = 'ann@example.com'", faster);

    memset(slower, 0, sizeof(store_test_slower_t));

    if (pthread_create(&thread, NULL, store_test_slower_main, slower) != 0) {
        abort();
    }

    store_test_wait_blocked(1);

    if (new != NULL) {
        (void) store_test_signup("bob", new, id);
        store_test_sql("UPDATE messages SET due_at = NOW(6)"
                       " WHERE otp_id = %s", hex(id));
    }

    store_test_run(a, "COMMIT");
    pthread_join(thread, NULL);
    mysql_close(a);

    tap_is(slower->outcome, OTPREG_OK, "%s", faster);
}


static void
store_test_claim_faster(void)
{
    uint8_t              id[OTPREG_ID_LEN];
    store_test_slower_t  slower;

    store_test_group("claim: somebody else was faster");

    (void) store_test_signup("ann", "ann@example.com", id);
    store_test_claim_slower("lease = 'node-2-1', attempts = 1,"
                            " due_at = NOW(6) + INTERVAL 1 MINUTE", NULL, &slower);
    tap_is(slower.n, 0, "it is his");
    tap_is_text(store_test_text("SELECT CONCAT(lease, attempts)"
                                " FROM messages"), "node-2-11", "and stays so");

    store_test_sql("UPDATE messages SET lease = NULL, due_at = NOW(6)");
    store_test_claim_slower("lease = 'node-2-2', attempts = 2,"
                            " due_at = NOW(6) + INTERVAL 1 MINUTE",
                            "bob@example.com", &slower);
    tap_is(slower.n, 1, "but what came meanwhile is ours");
    tap_is_text(slower.m[0].otp.address, "bob@example.com", "at once");

    store_test_reset();
    (void) store_test_signup("ann", "ann@example.com", id);
    store_test_sql("UPDATE messages SET due_at = NOW(6),"
                   " expires_at = NOW(6) - INTERVAL 1 SECOND");
    store_test_claim_slower("sent_at = NOW(6), due_at = NULL, lease = NULL",
                            NULL, &slower);
    tap_is(slower.expired, 0, "what he has sent has not expired");
    tap_is(store_test_rows("messages WHERE sent_at AND failed_at IS NULL"), 1,
           "and is not given up");
}


/*
 * A transaction of somebody else is open, with a message that nobody else sees
 * yet next to those that are due and that are over: they do not wait for it.
 */

static void
store_test_locks_outbox(void)
{
    MYSQL                  *a;
    uint8_t                 id[OTPREG_ID_LEN];
    unsigned                n, expired;
    long long               waits;
    otpreg_store_message_t  m[8];

    store_test_group("locks of others: a sign-up that is not committed");

    (void) store_test_signup("ann", "ann@example.com", id);
    (void) store_test_signup("bob", "bob@example.com", id);
    store_test_sql("UPDATE messages SET due_at = NOW(6) - INTERVAL 1 SECOND;"
                   "UPDATE messages SET expires_at = NOW(6) - INTERVAL 1 MINUTE"
                   " WHERE address = 'bob@example.com'");

    a = store_test_open();
    store_test_run(a, "START TRANSACTION;"
                   "INSERT INTO messages (id, site, otp_id, template, channel,"
                   " address, address_key, created_at, expires_at, due_at)"
                   " VALUES (REPEAT('a', 16), 'site', '', 'otp', 1, '', '',"
                   " NOW(6), NOW(6) + INTERVAL 1 MINUTE, NOW(6)),"
                   " (REPEAT('b', 16), 'site', '', 'otp', 1, '', '',"
                   " NOW(6), NOW(6) - INTERVAL 1 SECOND, NOW(6))");

    waits = store_test_lock_waits();
    tap_is(store_test_claim_in(&store_test_socket, "site", "node-1-1", 60, m,
                               8, &n, &expired), OTPREG_OK,
           "a claim: %s", store_test_error);
    tap_is(store_test_lock_waits() - waits, 0, "waited for no lock");
    tap_is(n, 1, "what is due was claimed");
    tap_is_text(m[0].otp.address, "ann@example.com", "that of ann");
    tap_is(expired, 1, "what is over was given up");

    store_test_run(a, "ROLLBACK");
    mysql_close(a);
}


static otpreg_db_rc_t
store_test_any_server(otpreg_db_t *db)
{
    (void) db;

    return OTPREG_DB_OK;
}


/* one that was cut off in a transaction has its locks for some seconds only */

static void
store_test_locks_cut_off(void)
{
    uint8_t             id[OTPREG_ID_LEN];
    unsigned            i;
    otpreg_db_t        *db;
    otpreg_db_conf_t   *conf;
    otpreg_db_column_t  column;

    static const char *const  sql[] = {
        "UPDATE users SET password = 'changed'",
        "SELECT @@session.wait_timeout"
    };

    store_test_group("locks of others: a client that does not come back");

    (void) store_test_signup("ann", "ann@example.com", id);

    conf = store_test_conf(&store_test_socket);
    conf->read_timeout = 1;

    db = otpreg_db_create(conf, sql, 2, store_test_any_server);

    tap_is(otpreg_db_connect(db), OTPREG_DB_OK, "a connection");
    tap_is(otpreg_db_begin(db), OTPREG_DB_OK, "a transaction");
    tap_is(otpreg_db_exec(db, 0, NULL, NULL, NULL), OTPREG_DB_OK,
           "that locks a row");

    if (store_test_is_mysql()) {

        /* any statement, not the transaction alone: too long for a test */

        memset(&column, 0, sizeof(otpreg_db_column_t));
        column.type = OTPREG_DB_INT;
        tap_is(otpreg_db_query(db, 1, NULL, &column, 1), OTPREG_DB_OK,
               "the time after which the server ends an idle session");
        tap_is(column.num, 300, "in seconds");

    } else {
        for (i = 0; i < 100; i++) {
            if (store_test_num("SELECT COUNT(*) FROM"
                               " information_schema.innodb_trx") == 0)
            {
                break;
            }

            usleep(100000);
        }

        tap_ok(i < 100, "the server has ended it");
        tap_is(store_test_verify(id, true), OTPREG_OK,
               "who waits for the row gets it");
        tap_ok(otpreg_db_exec(db, 0, NULL, NULL, NULL) == OTPREG_DB_LOST,
               "its connection is closed");
    }

    otpreg_db_destroy(db);
    tap_is(store_test_rows("users WHERE password = 'changed'"), 0,
           "nothing of it was written");
}


/* ----- other servers */

static void
store_test_read_only(void)
{
    uint8_t   id[OTPREG_ID_LEN];
    unsigned  left;

    store_test_group("a server that is read-only");

    (void) store_test_signup("ann", "ann@example.com", id);
    store_test_sql("SET GLOBAL read_only = 1");

    tap_is(store_test_verify(id, false), OTPREG_DATABASE_DOWN,
           "it became so: database down");
    tap_is_text(store_test_error, "the server is read-only", "the log");
    tap_is(store_test_try(store_test_conf(&store_test_socket), id, false,
                          &left), OTPREG_DATABASE_DOWN, "a new connection");
    tap_is_text(store_test_error, "the server is read-only", "the log");

    store_test_sql("SET GLOBAL read_only = 0");
    usleep(1100000);
    tap_is(store_test_verify(id, true), OTPREG_OK, "and no more");
    tap_is(store_test_attempts(id), 1, "attempts");
}


static void
store_test_schema(void)
{
    uint8_t   id[OTPREG_ID_LEN];
    unsigned  i, left;

    static const struct {
        const char  *name;
        const char  *before;
        const char  *after;
        const char  *error;
    } tests[] = {
        { "newer", "INSERT INTO otpreg_schema VALUES (99, NOW())",
          "DELETE FROM otpreg_schema WHERE version = 99",
          "has version 99, this module needs 2: it is that of a newer" },
        { "older", "DELETE FROM otpreg_schema WHERE version > 1",
          "INSERT INTO otpreg_schema VALUES (2, NOW())",
          "has version 1, this module needs 2: load sql/migrations/0002-" },
        { "empty", "RENAME TABLE otpreg_schema TO away;"
          "CREATE TABLE otpreg_schema LIKE away",
          "DROP TABLE otpreg_schema; RENAME TABLE away TO otpreg_schema",
          "load sql/schema.sql" },
        { "missing", "RENAME TABLE otpreg_schema TO away",
          "RENAME TABLE away TO otpreg_schema",
          "1146" },
    };

    store_test_group("the version of the schema");

    (void) store_test_signup("ann", "ann@example.com", id);

    for (i = 0; i < tap_items(tests); i++) {
        store_test_sql("%s", tests[i].before);

        tap_is(store_test_try(store_test_conf(&store_test_socket), id, true,
                              &left), OTPREG_DATABASE_DOWN,
               "%s: database down", tests[i].name);
        tap_ok(strstr(store_test_error, tests[i].error) != NULL,
               "%s: the log says what to do: %s", tests[i].name,
               store_test_error);

        store_test_sql("%s", tests[i].after);
    }

    tap_is(store_test_attempts(id), 0, "nothing was written");
    tap_is(store_test_try(store_test_conf(&store_test_socket), id, true,
                          &left), OTPREG_OK, "the right version");
}


/* a job that changes nothing */

static otpreg_outcome_t
store_test_look(const otpreg_db_conf_t *conf, const uint8_t *id)
{
    otpreg_store_delivery_t  delivery;

    return otpreg_store_delivery(conf, id, 5, &delivery, store_test_error);
}


/* the first host is back: it is taken again, but not at once */

static void
store_test_failback(const uint8_t id[OTPREG_ID_LEN], store_proxy_t *proxy)
{
    int                accepted;
    unsigned           i;
    otpreg_db_conf_t  *conf;

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "127.0.0.2";
    conf->host[1] = "127.0.0.1";
    conf->nhosts = 2;
    conf->failback_ms = 1000;

    tap_is(store_test_look(conf, id), OTPREG_OK,
           "failback: the second answers");

    atomic_store(&proxy->unready, false);
    accepted = atomic_load(&proxy->accepted);

    tap_is(store_test_look(conf, id), OTPREG_OK,
           "the first is back: the second is kept for a while");
    tap_is(atomic_load(&proxy->accepted), accepted, "the first is not asked");

    for (i = 0; i < 100 && atomic_load(&proxy->accepted) == accepted; i++) {
        usleep(100000);
        (void) store_test_look(conf, id);
    }

    tap_is(atomic_load(&proxy->accepted), accepted + 1, "then it is");
    tap_ok(atomic_load(&proxy->busy) > 0, "and stays connected");

    for (i = 0; i < 20; i++) {
        usleep(100000);
        (void) store_test_look(conf, id);
    }

    tap_is(atomic_load(&proxy->accepted), accepted + 1,
           "who is back does not look on");

    /* one that is still away costs nothing but the look */

    atomic_store(&proxy->unready, true);
    (void) store_test_kill();

    conf->failback_ms = 1;
    tap_is(store_test_look(conf, id), OTPREG_OK,
           "away again: the second answers");
    usleep(10000);
    tap_is(store_test_look(conf, id), OTPREG_OK,
           "and goes on to answer when the first was asked in vain");
    tap_is_text(store_test_error, "", "nothing for the log");
}


static void
store_test_hosts(void)
{
    uint8_t            id[OTPREG_ID_LEN];
    unsigned           left;
    otpreg_db_conf_t  *conf;

    static store_proxy_t  proxy;

    store_test_group("several hosts");

    (void) store_test_signup("ann", "ann@example.com", id);

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "127.0.0.2";
    conf->nhosts = 1;
    tap_is(store_test_try(conf, id, false, &left), OTPREG_DATABASE_DOWN,
           "one that refuses: down");

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "127.0.0.2";
    conf->host[1] = "127.0.0.3";
    conf->host[2] = "127.0.0.1";
    conf->nhosts = 3;
    tap_is(store_test_try(conf, id, false, &left), OTPREG_CODE_WRONG,
           "two refuse, the third answers");
    tap_is_text(store_test_error, "", "nothing for the log");

    /* a replica at the first address */

    if (!store_proxy_start(&proxy, "127.0.0.2", store_test_tcp.port,
                           store_test_tcp.port))
    {
        tap_ok(false, "the proxy starts");
        return;
    }

    atomic_store(&proxy.read_only, true);

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "127.0.0.2";
    conf->nhosts = 1;
    tap_is(store_test_try(conf, id, false, &left), OTPREG_DATABASE_DOWN,
           "one that is read-only: down");
    tap_is_text(store_test_error, "the server is read-only", "the log");

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "127.0.0.2";
    conf->host[1] = "127.0.0.1";
    conf->nhosts = 2;
    tap_is(store_test_try(conf, id, false, &left), OTPREG_CODE_WRONG,
           "one is read-only, the second answers");
    tap_is(atomic_load(&proxy.accepted), 2, "and the first was asked");
    tap_is(store_test_attempts(id), 2, "attempts");

    /* a node of a cluster that it has lost */

    atomic_store(&proxy.read_only, false);
    atomic_store(&proxy.unready, true);

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "127.0.0.2";
    conf->nhosts = 1;
    tap_is(store_test_try(conf, id, false, &left), OTPREG_DATABASE_DOWN,
           "one that is not ready: down");
    tap_ok(strstr(store_test_error, "1047") != NULL
           && strstr(store_test_error, "schema of") == NULL,
           "the log: %s", store_test_error);

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "127.0.0.2";
    conf->host[1] = "127.0.0.3";
    conf->nhosts = 2;
    tap_is(store_test_try(conf, id, false, &left), OTPREG_DATABASE_DOWN,
           "one is not ready, the second is away: down");
    tap_ok(strstr(store_test_error, "127.0.0.2: ") != NULL
           && strstr(store_test_error, "1047") != NULL
           && strstr(store_test_error, "; 127.0.0.3: ") != NULL,
           "the log: %s", store_test_error);

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "127.0.0.2";
    conf->host[1] = "127.0.0.1";
    conf->nhosts = 2;
    tap_is(store_test_try(conf, id, false, &left), OTPREG_CODE_WRONG,
           "one is not ready, the second answers");
    tap_is(store_test_attempts(id), 3, "attempts");

    store_test_failback(id, &proxy);

    store_proxy_stop(&proxy);
}


static void
store_test_ssl(void)
{
    uint8_t            id[OTPREG_ID_LEN];
    unsigned           i, left;
    otpreg_db_conf_t  *conf;

    static store_proxy_t  proxy;

    static const struct {
        const char        *name;
        otpreg_db_ssl_t    ssl;
        const char        *word;
        bool               found;
    } tests[] = {
        { "disabled", OTPREG_DB_SSL_DISABLED, "otpreg", true },
        { "disabled", OTPREG_DB_SSL_DISABLED, "SET SESSION", true },
        { "required", OTPREG_DB_SSL_REQUIRED, "SET SESSION", false },
        { "required", OTPREG_DB_SSL_REQUIRED, "UPDATE", false },
        { "identity", OTPREG_DB_SSL_VERIFY_IDENTITY, "otpreg", false },
        { "identity", OTPREG_DB_SSL_VERIFY_IDENTITY, "SET SESSION", false },
    };

    store_test_group("ssl with a server without TLS");

    tap_is_text(store_test_text(store_test_is_mysql()
                    ? "SELECT IF(value = 'No', 'DISABLED', value) FROM"
                      " performance_schema.tls_channel_status WHERE channel ="
                      " 'mysql_main' AND property = 'Enabled'"
                    : "SELECT @@have_ssl"), "DISABLED",
                "the server has none");

    (void) store_test_signup("ann", "ann@example.com", id);

    if (!store_proxy_start(&proxy, "127.0.0.1", 0, store_test_tcp.port)) {
        tap_ok(false, "the proxy starts");
        return;
    }

    for (i = 0; i < tap_items(tests); i++) {
        conf = store_test_conf(&store_test_tcp);
        conf->port = proxy.port;
        conf->ssl = tests[i].ssl;

        pthread_mutex_lock(&proxy.mutex);
        strcpy(proxy.word, tests[i].word);
        proxy.found = false;
        pthread_mutex_unlock(&proxy.mutex);

        tap_is(store_test_try(conf, id, false, &left),
               tests[i].ssl == OTPREG_DB_SSL_DISABLED ? OTPREG_CODE_WRONG
                                                      : OTPREG_DATABASE_DOWN,
               "%s: %s", tests[i].name, store_test_error);

        pthread_mutex_lock(&proxy.mutex);
        tap_is(proxy.found, tests[i].found, "%s: \"%s\" in clear text: %s",
               tests[i].name, tests[i].word, tests[i].found ? "yes" : "no");
        pthread_mutex_unlock(&proxy.mutex);
    }

    tap_is(store_test_attempts(id), 2, "attempts");
}


/* that word of ours goes through the proxy as it is, or only encrypted */

static void
store_test_tls_try(store_proxy_t *proxy, const uint8_t *id,
    otpreg_db_ssl_t ssl, const char *ca, otpreg_outcome_t outcome,
    bool readable, const char *name)
{
    unsigned           left;
    otpreg_db_conf_t  *conf;

    static char  path[3][512];
    static int   n;

    n = (n + 1) % 3;

    conf = store_test_conf(&store_test_tcp);
    conf->host[0] = "localhost";
    conf->nhosts = 1;
    conf->port = proxy->port;
    conf->ssl = ssl;

    if (ca != NULL) {
        snprintf(path[n], sizeof(path[n]), "%s/tls/%s.pem",
                 getenv("TEST_NGINX_TEST_DIR"), ca);
        conf->ssl_ca = path[n];
    }

    pthread_mutex_lock(&proxy->mutex);
    strcpy(proxy->word, "SET SESSION");
    proxy->found = false;
    pthread_mutex_unlock(&proxy->mutex);

    tap_is(store_test_try(conf, id, false, &left), outcome, "%s: %s", name,
           store_test_error);

    pthread_mutex_lock(&proxy->mutex);
    tap_is(proxy->found, readable, "%s: readable: %s", name,
           readable ? "yes" : "no");
    pthread_mutex_unlock(&proxy->mutex);
}


static void
store_test_tls(void)
{
    uint8_t  id[OTPREG_ID_LEN];

    static store_proxy_t  proxy;

    store_test_group("ssl with a server with TLS");

    store_test_control("tls localhost");
    (void) store_test_signup("ann", "ann@example.com", id);
    store_test_sql("UPDATE otps SET attempts = 0");

    if (!store_proxy_start(&proxy, "127.0.0.1", 0, store_test_tcp.port)) {
        tap_ok(false, "the proxy starts");
        return;
    }

    store_test_tls_try(&proxy, id, OTPREG_DB_SSL_DISABLED, NULL,
                       OTPREG_CODE_WRONG, true, "disabled");
    store_test_tls_try(&proxy, id, OTPREG_DB_SSL_REQUIRED, NULL,
                       OTPREG_CODE_WRONG, false, "required, whoever it is");
    store_test_tls_try(&proxy, id, OTPREG_DB_SSL_VERIFY_IDENTITY, "ca",
                       OTPREG_CODE_WRONG, false, "identity, by its CA");
    store_test_tls_try(&proxy, id, OTPREG_DB_SSL_VERIFY_IDENTITY, "other",
                       OTPREG_DATABASE_DOWN, false, "identity, another CA");
    store_test_tls_try(&proxy, id, OTPREG_DB_SSL_VERIFY_IDENTITY, NULL,
                       OTPREG_DATABASE_DOWN, false,
                       "identity, by the CAs of the system");

    store_test_control("tls db.example.com");
    store_test_tls_try(&proxy, id, OTPREG_DB_SSL_VERIFY_IDENTITY, "ca",
                       OTPREG_DATABASE_DOWN, false, "identity, another name");
    store_test_tls_try(&proxy, id, OTPREG_DB_SSL_REQUIRED, "ca",
                       OTPREG_CODE_WRONG, false, "required, whoever it is");

    tap_is(store_test_attempts(id), 4, "attempts");

    store_proxy_stop(&proxy);
    store_test_control("restart");
}


/* what was answered is there for others, and a claim gets what it marks */

static void
store_test_settings_hard(void)
{
    char                    address[32];
    uint8_t                 id[3][OTPREG_ID_LEN];
    unsigned                i;
    otpreg_store_message_t  messages[8];

    static const char *const  names[] = { "ann", "bob", "cid" };

    store_test_reset();

    for (i = 0; i < 3; i++) {
        snprintf(address, sizeof(address), "%s@example.com", names[i]);
        tap_is(store_test_signup(names[i], address, id[i]), OTPREG_OK,
               "hard settings: %s signs up: %s", names[i], store_test_error);
    }

    tap_is(store_test_rows("otps"), 3, "others see them");
    tap_is(store_test_verify(id[0], true), OTPREG_OK, "one is verified");
    tap_is(store_test_rows("users WHERE username = 'ann' AND is_active"), 1,
           "others see it");

    store_test_sql("UPDATE messages SET due_at = NOW(6) - INTERVAL 1 SECOND");
    tap_is(store_test_claim("node-1-1", messages, 8), 3,
           "a claim gets all of them");
    tap_is(store_test_rows("messages WHERE lease = 'node-1-1'"), 3,
           "that it has marked");

    for (i = 0; i < 3; i++) {
        tap_is(store_test_finish(&messages[i], OTPREG_STORE_SENT), OTPREG_OK,
               "one was sent");
    }

    tap_is(store_test_rows("messages WHERE sent_at IS NOT NULL"), 3,
           "others see it");

    (void) store_test_kill();
    tap_is(store_test_rows("users WHERE is_active AND username = 'ann'"), 1,
           "and it is so when the connections are gone");
}


static void
store_test_settings(void)
{
    otpreg_db_conf_t  *conf;

    store_test_group("settings of the server");

    store_test_control("restart --default-time-zone=+05:00");
    tap_is_text(store_test_text("SELECT @@global.time_zone"), "+05:00",
                "the server's time zone is not UTC");
    store_test_battery(&store_test_socket, "time zone");
    store_test_battery_rows("otpreg", "time zone");

    store_test_control("restart"
                       " --sql-mode=ANSI_QUOTES,STRICT_ALL_TABLES,NO_ZERO_DATE"
                       " --transaction-isolation=SERIALIZABLE"
                       " --character-set-server=latin1");
    tap_is_text(store_test_text("SELECT @@global.sql_mode"),
                "ANSI_QUOTES,STRICT_ALL_TABLES,NO_ZERO_DATE", "the sql_mode");
    store_test_control("schema otpreg_mode");
    store_test_sql("SET GLOBAL autocommit = 0");

    conf = store_test_conf(&store_test_socket);
    conf->name = "otpreg_mode";
    store_test_battery(conf, "sql_mode");
    store_test_battery_rows("otpreg_mode", "sql_mode");

    store_test_control("restart --completion-type=CHAIN"
                       " --lc-messages=de_DE");
    store_test_sql("SET GLOBAL sql_select_limit = 1;"
                   "SET GLOBAL sql_safe_updates = 1;"
                   "SET GLOBAL sql_auto_is_null = 1;"
                   "SET GLOBAL unique_checks = 0;"
                   "SET GLOBAL foreign_key_checks = 0;"
                   "SET GLOBAL %s = 1", store_test_is_mysql()
                   ? "transaction_read_only" : "tx_read_only");
    store_test_settings_hard();

    store_test_control("restart");
}


/* ----- SMS limits */

static const otpreg_store_limits_t  store_test_sms_total = {
    0, 1, { { 10, 3600 } }
};

static const otpreg_store_limits_t  store_test_sms_prefix = {
    0, 1, { { 6, 3600 } }
};

static const otpreg_store_sms_limits_t  store_test_sms_limits = {
    &store_test_sms_total, &store_test_sms_prefix, 7, 50, 4, 600
};

static atomic_uint  store_test_sms_told[OTPREG_OUTCOMES];
static atomic_uint  store_test_sms_odd;


static otpreg_outcome_t
store_test_sms(const otpreg_db_conf_t *conf, const char *number,
    otpreg_store_queued_t *out)
{
    otpreg_store_signup_t  in;

    store_test_signup_fill(&in, number + 1, "");

    in.budgets.sms = &store_test_sms_limits;
    in.otp.channel = OTPREG_CHANNEL_SMS;
    snprintf(in.phone.number, sizeof(in.phone.number), "%s", number);
    snprintf(in.otp.address, sizeof(in.otp.address), "%s", number);

    return store_test_signup_in(conf, &in, out);
}


/* data: the prefix of all, or NULL for a prefix each */

static void
store_test_sms_thread(unsigned i, void *data)
{
    char                   number[OTPREG_PHONE_MAX + 1];
    unsigned               k;
    otpreg_outcome_t       outcome;
    otpreg_store_queued_t  out;

    for (k = 0; k < 5; k++) {

        if (data != NULL) {
            snprintf(number, sizeof(number), "%s%u%u", (char *) data, i, k);
        } else {
            snprintf(number, sizeof(number), "+120255%u000%u", i, k);
        }

        outcome = store_test_sms(&store_test_socket, number, &out);

        atomic_fetch_add(&store_test_sms_told[outcome], 1);
        atomic_fetch_add(&store_test_sms_odd,
                         (outcome == OTPREG_SMS_LIMIT)
                         != (out.scope != OTPREG_STORE_FREE
                             && out.retry_after > 0));
    }
}


static void
store_test_sms_lost(store_proxy_fault_t fault, const char *name)
{
    int                    packet;
    bool                   fired;
    uint8_t                id[OTPREG_ID_LEN];
    unsigned               bad, left;
    otpreg_outcome_t       outcome;
    otpreg_db_conf_t      *conf;
    otpreg_store_queued_t  out;

    static store_proxy_t  proxy[3];

    if (!store_proxy_start(&proxy[fault], "127.0.0.1", 0,
                           store_test_tcp.port))
    {
        tap_ok(false, "the proxy starts");
        return;
    }

    conf = store_test_conf(&store_test_tcp);
    conf->port = proxy[fault].port;

    bad = 0;
    packet = 0;

    do {
        packet++;
        store_test_reset();
        store_test_sql("DELETE FROM sms_sends; DELETE FROM sms_totals");

        /* connected, and nothing prepared */

        (void) store_test_kill();
        memset(id, 0, sizeof(id));
        (void) store_test_try(conf, id, true, &left);

        store_proxy_arm(&proxy[fault], fault, packet);
        outcome = store_test_sms(conf, "+14155550100", &out);
        fired = store_proxy_disarm(&proxy[fault]);

        bad += (outcome != OTPREG_OK
                || store_test_rows("sms_sends s JOIN otps o"
                                   " ON o.id = s.otp_id JOIN users"
                                   " JOIN sms_totals WHERE sent = 1") != 1);

    } while (fired && packet < 100);

    tap_ok(bad == 0 && packet > 1 && packet < 100,
           "lost at each of %d packets, %s: one SMS is counted", packet - 1,
           name);
}


static void
store_test_sms_limited(void)
{
    unsigned               rows;
    otpreg_store_queued_t  out;

    store_test_group("SMS limits");
    store_test_sql("DELETE FROM sms_sends; DELETE FROM sms_totals");

    store_test_threads(8, store_test_sms_thread, "+14155550");
    tap_is(store_test_sms_told[OTPREG_OK], 6, "six of forty to a prefix");
    tap_is(store_test_sms_told[OTPREG_SMS_LIMIT], 34, "the others are told");
    tap_is(store_test_rows("sms_sends"), 6, "six are counted");
    tap_is(store_test_rows("users"), 6, "six are written");

    store_test_threads(8, store_test_sms_thread, NULL);
    tap_is(store_test_sms_told[OTPREG_OK], 10, "ten in all");
    tap_is(store_test_num("SELECT SUM(sent) FROM sms_totals"), 10,
           "ten are counted");
    tap_is(store_test_rows("sms_sends"), 10, "and by their prefixes");
    store_test_sql("DELETE FROM sms_totals");
    tap_is(store_test_sms_odd, 0, "who is refused is told when and why");

    store_test_sql("UPDATE sms_sends SET sent_at = NOW(6) - INTERVAL 1 HOUR");
    tap_is(store_test_sms(&store_test_socket, "+14155550100", &out),
           OTPREG_SMS_LIMIT, "none of them was verified");
    tap_is(out.scope, OTPREG_STORE_SMS_SHARE, "that is why");
    tap_ok(out.retry_after > 83000 && out.retry_after <= 83400,
           "for the rest of the day and a code's life: %lld",
           (long long) out.retry_after);
    store_test_sql("UPDATE otps SET consumed_at = NOW(6)");
    tap_is(store_test_sms(&store_test_socket, "+14155550100", &out),
           OTPREG_OK, "all were verified");

    store_test_sql("UPDATE sms_sends SET sent_at = NOW(6) - INTERVAL 49 HOUR"
                   " WHERE prefix <> '+1415555';"
                   "INSERT INTO sms_totals VALUES"
                   " ('site', NOW() - INTERVAL 71 HOUR, 1),"
                   " ('site', NOW() - INTERVAL 73 HOUR, 1)");
    tap_is(store_test_purged(&store_test_socket, &rows),
           OTPREG_OK, "purge");
    tap_is(store_test_rows("sms_sends"), 7, "what is two days old is gone");
    tap_is(store_test_rows("sms_totals"), 2, "and of the sums three days");

    store_test_sms_lost(0, "before the server gets it");
    store_test_sms_lost(1, "before its answer comes");
    store_test_sms_lost(2, "and it comes late");
    store_test_sql("DELETE FROM sms_sends; DELETE FROM sms_totals");
}


static const struct {
    const char         *name;
    void              (*run)(void);
} store_test_groups[] = {
    { "signup-writes",   store_test_signup_writes },
    { "signup-fails",    store_test_signup_fails },
    { "signup-taken",    store_test_signup_taken },
    { "signup-decoys",   store_test_decoys },
    { "verify-one",      store_test_verify_one },
    { "verify-others",   store_test_verify_others },
    { "verify-races",    store_test_verify_races },
    { "resend-one",      store_test_resend_one },
    { "resend-decoys",   store_test_resend_decoys },
    { "resend-races",    store_test_resend_races },
    { "change",          store_test_change },
    { "change-decoys",   store_test_change_decoys },
    { "both",            store_test_both },
    { "both-races",      store_test_both_races },
    { "claim",           store_test_claims },
    { "expiry",          store_test_expiry },
    { "claim-faster",    store_test_claim_faster },
    { "claim-races",     store_test_claim_races },
    { "release",         store_test_release },
    { "mailboxes",       store_test_mailbox },
    { "purge",           store_test_purge },
    { "purge-big",       store_test_purge_big },
    { "purge-fails",     store_test_purge_fails },
    { "purge-foreign",   store_test_purge_foreign },
    { "migrations",      store_test_migrations },
    { "reconnect",       store_test_reconnect },
    { "breaks",          store_test_breaks },
    { "kills",           store_test_kills },
    { "faults",          store_test_faults },
    { "locks",           store_test_locks },
    { "locks-outbox",    store_test_locks_outbox },
    { "locks-cut-off",   store_test_locks_cut_off },
    { "read-only",       store_test_read_only },
    { "schema",          store_test_schema },
    { "hosts",           store_test_hosts },
    { "ssl",             store_test_ssl },
    { "tls",             store_test_tls },
    { "settings",        store_test_settings },
    { "sms-limits",      store_test_sms_limited },
};


static void *
store_test_main(void *data)
{
    unsigned     i;
    const char  *only = data;

    for (i = 0; i < tap_items(store_test_groups); i++) {
        if (only == NULL || strstr(store_test_groups[i].name, only)) {
            store_test_groups[i].run();
        }
    }

    mysql_close(store_test_root);

    return NULL;
}


int
main(int argc, char **argv)
{
    pthread_t  thread;

    setvbuf(stdout, NULL, _IOLBF, 0);

    store_test_socket.socket = getenv("TEST_NGINX_DB_SOCKET");
    store_test_socket.user = getenv("TEST_NGINX_DB_USER");
    store_test_socket.password = getenv("TEST_NGINX_DB_PASSWORD");
    store_test_socket.name = getenv("TEST_NGINX_DB_NAME");
    store_test_socket.connect_timeout = 5;
    store_test_socket.read_timeout = 10;

    if (store_test_socket.socket == NULL || store_test_socket.user == NULL
        || store_test_socket.name == NULL
        || getenv("TEST_NGINX_DB_PORT") == NULL)
    {
        printf("# run t/unit/store.t, which starts the server\n");
        return 2;
    }

    store_test_tcp = store_test_socket;
    store_test_tcp.socket = NULL;
    store_test_tcp.host[0] = "127.0.0.1";
    store_test_tcp.nhosts = 1;
    store_test_tcp.port = (unsigned) atoi(getenv("TEST_NGINX_DB_PORT"));

    if (sodium_init() < 0 || !otpreg_store_init()) {
        return 2;
    }

    store_test_root = store_test_open();

    /* in a thread, so that its connections are closed at its end */

    if (pthread_create(&thread, NULL, store_test_main,
                       argc > 1 ? argv[1] : NULL)
        != 0)
    {
        return 2;
    }

    pthread_join(thread, NULL);
    otpreg_store_exit();

    return tap_done();
}
