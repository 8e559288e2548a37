
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_test.h"


/* ----- resend */

void
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


void
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


void
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

void
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


void
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


void
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


void
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
