
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_test.h"


MYSQL               *store_test_root;
otpreg_db_conf_t     store_test_socket;
otpreg_db_conf_t     store_test_tcp;

_Thread_local char   store_test_error[OTPREG_DB_ERROR_SIZE];

static otpreg_db_conf_t     store_test_confs[STORE_TEST_CONFS];
static atomic_uint          store_test_nconfs;


/* ----- the server, as root sees it */

MYSQL *
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


void
store_test_run(MYSQL *mysql, const char *format, ...)
{
    char     value[512];
    va_list  args;

    va_start(args, format);
    store_test_vrun(mysql, value, sizeof(value), format, args);
    va_end(args);
}


void
store_test_sql(const char *format, ...)
{
    char     value[512];
    va_list  args;

    va_start(args, format);
    store_test_vrun(store_test_root, value, sizeof(value), format, args);
    va_end(args);
}


long long
store_test_num(const char *format, ...)
{
    char     value[512] = "-1";
    va_list  args;

    va_start(args, format);
    store_test_vrun(store_test_root, value, sizeof(value), format, args);
    va_end(args);

    return strtoll(value, NULL, 10);
}


const char *
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

bool
store_test_is_mysql(void)
{
    return strstr(mysql_get_server_info(store_test_root), "MariaDB") == NULL;
}


const char *
store_test_status_schema(void)
{
    return store_test_is_mysql() ? "performance_schema" : "information_schema";
}


/* the connections of the user that is tested, as rows of an id */

MYSQL_RES *
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

const char *
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


void
store_test_reset(void)
{
    store_test_sql("DELETE FROM users; DELETE FROM otps;"
                   " DELETE FROM messages");
}


void
store_test_group(const char *name)
{
    printf("# group: %s\n", name);
    store_test_reset();
}


/* ask store.t; root's connection is new when the server is */

void
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

int64_t
store_test_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* a conf has a connection of its own, and was never down */

otpreg_db_conf_t *
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


void
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

void
store_test_id(uint8_t *id)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    otpreg_id_make((uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000, id);
}


void
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


otpreg_outcome_t
store_test_signup_in(const otpreg_db_conf_t *conf,
    const otpreg_store_signup_t *in, otpreg_store_queued_t *out)
{
    return otpreg_store_signup(conf, in, out, store_test_error);
}


otpreg_outcome_t
store_test_signup(const char *name, const char *address, uint8_t *id)
{
    otpreg_store_queued_t  out;
    otpreg_store_signup_t  in;

    store_test_signup_fill(&in, name, address);
    memcpy(id, in.otp.id, OTPREG_ID_LEN);

    return store_test_signup_in(&store_test_socket, &in, &out);
}


void
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


otpreg_outcome_t
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


otpreg_outcome_t
store_test_verify(const uint8_t *id, bool match)
{
    unsigned  left;

    return store_test_try(&store_test_socket, id, match, &left);
}


/* a user who proved the address */

void
store_test_user(const char *name, const char *address, uint8_t *id)
{
    if (store_test_signup(name, address, id) != OTPREG_OK
        || store_test_verify(id, true) != OTPREG_OK)
    {
        tap_ok(false, "a verified user: %s", store_test_error);
    }
}


void
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


otpreg_outcome_t
store_test_resend(const uint8_t *id, otpreg_store_resent_t *out)
{
    otpreg_store_resend_t  in;

    store_test_resend_fill(&in, id);

    return otpreg_store_resend(&store_test_socket, &in, out,
                               store_test_error);
}


/* another address for a sign-up */

void
store_test_to(otpreg_store_to_t *to, otpreg_channel_t channel,
    const char *address)
{
    to->channel = channel;
    snprintf(to->address, sizeof(to->address), "%s", address);
    snprintf(to->key, sizeof(to->key), "%s", address);
}


otpreg_outcome_t
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

otpreg_outcome_t
store_test_all(const otpreg_db_conf_t *conf, const uint8_t *id,
    otpreg_store_verified_t *out)
{
    otpreg_store_verify_t  in;

    store_test_verify_fill(&in, id, true);
    in.all = true;

    return otpreg_store_verify(conf, &in, out, store_test_error);
}


otpreg_outcome_t
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


unsigned
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


otpreg_outcome_t
store_test_finish(const otpreg_store_message_t *message,
    otpreg_store_result_t fate)
{
    return otpreg_store_finish(&store_test_socket, message, fate, 30000,
                               "the reason", store_test_error);
}


/* the sends of an OTP lie so many seconds back */

void
store_test_sent_ago(const uint8_t *id, unsigned seconds)
{
    store_test_sql("UPDATE otps SET sent_at = NOW(6) - INTERVAL %u SECOND"
                   " WHERE id = %s", seconds, hex(id));
}


void
store_test_expire(const uint8_t *id)
{
    store_test_sql("UPDATE otps SET expires_at = NOW(6) - INTERVAL 1 SECOND"
                   " WHERE id = %s", hex(id));
}


long long
store_test_attempts(const uint8_t *id)
{
    return store_test_num("SELECT attempts FROM otps WHERE id = %s", hex(id));
}


long long
store_test_consumed(const uint8_t *id)
{
    return store_test_num("SELECT consumed_at IS NOT NULL FROM otps"
                          " WHERE id = %s", hex(id));
}


long long
store_test_rows(const char *table)
{
    return store_test_num("SELECT COUNT(*) FROM %s", table);
}


void
store_test_counts(long long users, long long otps, long long messages,
    const char *name)
{
    tap_is(store_test_rows("users"), users, "%s: users", name);
    tap_is(store_test_rows("otps"), otps, "%s: OTPs", name);
    tap_is(store_test_rows("messages"), messages, "%s: messages", name);
}
