
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_proxy.h"
#include "store_test.h"


/* ----- mailboxes */

/* the mailbox of an address is the same one in C and in SQL */

void
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


void
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
