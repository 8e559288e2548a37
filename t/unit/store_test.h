
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _STORE_TEST_H_INCLUDED_
#define _STORE_TEST_H_INCLUDED_


#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <mysql.h>
#include <sodium.h>

#include "otpreg_db.h"
#include "otpreg_sql.h"
#include "otpreg_store.h"
#include "tap.h"


/*
 * The tests of the store: a file for each subject, whose groups store_test.c
 * runs.  Started by store.t, which runs the server and does what only it can;
 * the store is looked at through connections of our own, as root.
 */


#define STORE_TEST_THREADS       16
#define STORE_TEST_MAX           5          /* attempts */
#define STORE_TEST_CONFS         1024

/* a table of the column seq */
#define STORE_TEST_SEQ(from, to)                                              \
    "(WITH RECURSIVE s AS (SELECT " from " AS seq UNION ALL"                  \
    " SELECT seq + 1 FROM s WHERE seq < " to ") SELECT seq FROM s) seq"


typedef void (*store_test_pt)(unsigned i, void *data);


typedef struct {
    store_test_pt       fn;
    void               *data;
    unsigned            i;
    pthread_barrier_t  *barrier;
} store_test_thread_t;


typedef struct {
    uint8_t             id[STORE_TEST_THREADS][OTPREG_ID_LEN];
    unsigned            rounds;
    unsigned            nmatch;         /* threads with a right code */
    atomic_uint         told[OTPREG_OUTCOMES];
    atomic_uint         left[STORE_TEST_MAX + 1];
} store_test_race_t;


extern MYSQL                      *store_test_root;
extern otpreg_db_conf_t            store_test_socket;
extern otpreg_db_conf_t            store_test_tcp;
extern _Thread_local char          store_test_error[OTPREG_DB_ERROR_SIZE];


/* store_test_tools.c */

const char *hex(const uint8_t *id);
MYSQL *store_test_open(void);
__attribute__((format(printf, 2, 3)))
void store_test_run(MYSQL *mysql, const char *format, ...);
__attribute__((format(printf, 1, 2)))
void store_test_sql(const char *format, ...);
__attribute__((format(printf, 1, 2)))
long long store_test_num(const char *format, ...);
__attribute__((format(printf, 1, 2)))
const char *store_test_text(const char *format, ...);
bool store_test_is_mysql(void);
const char *store_test_status_schema(void);
MYSQL_RES *store_test_connections(MYSQL *mysql, const char *rest);
void store_test_reset(void);
void store_test_group(const char *name);
void store_test_control(const char *command);
int64_t store_test_ms(void);
otpreg_db_conf_t *store_test_conf(const otpreg_db_conf_t *conf);
void store_test_threads(unsigned n, store_test_pt fn, void *data);
void store_test_id(uint8_t *id);
void store_test_signup_fill(otpreg_store_signup_t *in, const char *name,
    const char *address);
otpreg_outcome_t store_test_signup_in(const otpreg_db_conf_t *conf,
    const otpreg_store_signup_t *in, otpreg_store_queued_t *out);
otpreg_outcome_t store_test_signup(const char *name, const char *address,
    uint8_t *id);
void store_test_verify_fill(otpreg_store_verify_t *in, const uint8_t *id,
    bool match);
otpreg_outcome_t store_test_try(const otpreg_db_conf_t *conf,
    const uint8_t *id, bool match, unsigned *left);
otpreg_outcome_t store_test_verify(const uint8_t *id, bool match);
void store_test_user(const char *name, const char *address, uint8_t *id);
void store_test_resend_fill(otpreg_store_resend_t *in, const uint8_t *id);
otpreg_outcome_t store_test_resend(const uint8_t *id,
    otpreg_store_resent_t *out);
void store_test_to(otpreg_store_to_t *to, otpreg_channel_t channel,
    const char *address);
otpreg_outcome_t store_test_change_to(const uint8_t *id,
    otpreg_channel_t channel, const char *address, otpreg_store_resent_t *out);
otpreg_outcome_t store_test_all(const otpreg_db_conf_t *conf,
    const uint8_t *id, otpreg_store_verified_t *out);
otpreg_outcome_t store_test_claim_in(const otpreg_db_conf_t *conf,
    const char *site, const char *lease, unsigned lease_time,
    otpreg_store_message_t *messages, unsigned max, unsigned *n,
    unsigned *expired);
unsigned store_test_claim(const char *lease, otpreg_store_message_t *messages,
    unsigned max);
otpreg_outcome_t store_test_finish(const otpreg_store_message_t *message,
    otpreg_store_result_t fate);
void store_test_sent_ago(const uint8_t *id, unsigned seconds);
void store_test_expire(const uint8_t *id);
long long store_test_attempts(const uint8_t *id);
long long store_test_consumed(const uint8_t *id);
long long store_test_rows(const char *table);
void store_test_counts(long long users, long long otps, long long messages,
    const char *name);


/* store_test_signup.c */

void store_test_trigger(const char *table, const char *body);


/* store_test_outbox.c */

bool store_test_dead(long pid);


/* store_test_purge.c */

otpreg_outcome_t store_test_purged(const otpreg_db_conf_t *conf,
    unsigned *rows);


/* store_test_lost.c */

void store_test_battery(const otpreg_db_conf_t *conf, const char *name);
void store_test_battery_rows(const char *database, const char *name);
unsigned store_test_kill(void);


/* the groups */

void store_test_signup_writes(void);
void store_test_signup_fails(void);
void store_test_signup_taken(void);
void store_test_decoys(void);

void store_test_verify_one(void);
void store_test_verify_others(void);
void store_test_verify_races(void);
void store_test_verify_nobody(void);

void store_test_resend_one(void);
void store_test_resend_decoys(void);
void store_test_resend_races(void);
void store_test_change(void);
void store_test_change_decoys(void);
void store_test_both(void);
void store_test_both_races(void);

void store_test_claims(void);
void store_test_expiry(void);
void store_test_claim_races(void);
void store_test_release(void);

void store_test_purge(void);
void store_test_purge_big(void);
void store_test_purge_fails(void);
void store_test_purge_foreign(void);
void store_test_migrations(void);

void store_test_reconnect(void);
void store_test_breaks(void);
void store_test_kills(void);

void store_test_claim_faster(void);
void store_test_faults(void);
void store_test_locks(void);
void store_test_locks_outbox(void);
void store_test_locks_cut_off(void);

void store_test_read_only(void);
void store_test_schema(void);
void store_test_hosts(void);
void store_test_ssl(void);
void store_test_tls(void);
void store_test_settings(void);

void store_test_mailbox(void);
void store_test_sms_limited(void);


#endif /* _STORE_TEST_H_INCLUDED_ */
