
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_test.h"


/* ----- sign-up */

void
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


void
store_test_trigger(const char *table, const char *body)
{
    store_test_sql("DROP TRIGGER IF EXISTS fault;"
                   "CREATE TRIGGER fault BEFORE INSERT ON %s"
                   " FOR EACH ROW BEGIN %s END", table, body);
}


void
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


void
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


void
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
