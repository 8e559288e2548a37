
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_test.h"


/* ----- the outbox */

void
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


void
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


void
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


bool
store_test_dead(long pid)
{
    return pid == 100 || pid == 102;
}


void
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
