
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_test.h"


/* ----- errors of the server */

void
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


void
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


void
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

void
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

void
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
