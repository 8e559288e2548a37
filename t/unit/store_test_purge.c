
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_test.h"


/* ----- purge */

/* one walk through all, from the beginning */

otpreg_outcome_t
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


void
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


void
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


void
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

void
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


void
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
