
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_test.h"


/* ----- verify */

void
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


void
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


void
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


/* an OTP for an address that nobody has, as a flow for owners makes it */

void
store_test_verify_nobody(void)
{
    uint8_t                 id[OTPREG_ID_LEN];
    unsigned                rows;
    otpreg_store_resent_t   out;
    otpreg_store_message_t  messages[2];

    store_test_group("verify: an OTP without a user");

    (void) store_test_signup("ann", "ann@example.com", id);
    store_test_sql("UPDATE otps SET user_id = NULL");

    tap_is(store_test_verify(id, false), OTPREG_CODE_WRONG, "a wrong code");
    tap_is(store_test_verify(id, true), OTPREG_CODE_WRONG,
           "the right one is none, either");
    tap_is(store_test_attempts(id), 2, "both were counted");
    tap_is(store_test_consumed(id), 0, "it is not consumed");
    tap_is(store_test_rows("users WHERE is_active OR email_verified_at"), 0,
           "nobody was activated");

    store_test_sent_ago(id, 3600);
    tap_is(store_test_resend(id, &out), OTPREG_OK, "sent again, it seems");
    tap_is(out.queued.send, false, "with no message");
    tap_is(store_test_rows("messages"), 1, "but the one from before");

    tap_is(store_test_claim("lease-1", messages, 2), 1, "that one goes out");
    tap_is_text(messages[0].username, "", "to nobody");

    store_test_sql("UPDATE otps SET expires_at = NOW(6) - INTERVAL 3 DAY");
    tap_is(store_test_purged(&store_test_socket, &rows), OTPREG_OK, "purged");
    tap_is(store_test_rows("otps"), 0, "it is gone");
}
