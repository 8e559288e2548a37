
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_proxy.h"
#include "store_test.h"


/* ----- other servers */

void
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


void
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


void
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


void
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


void
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


void
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
