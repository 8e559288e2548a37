
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "store_test.h"


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
    { "verify-nobody",   store_test_verify_nobody },
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
