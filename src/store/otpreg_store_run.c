
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <sodium.h>

#include "otpreg_store_run.h"
#include "otpreg_threads.h"


/* what only has to be repeated, and what needs another connection */
#define OTPREG_STORE_TRIES       10
#define OTPREG_STORE_LOST_TRIES  5

#define OTPREG_STORE_PAUSE_MS    20         /* grows with each try */

/*
 * For so long after a failed connection a thread fails at once, so that a
 * dead database does not hold every job for the connect timeout.
 */
#define OTPREG_STORE_DOWN_MS     1000

/* how long otpreg_store_exit() waits for connections to be closed */
#define OTPREG_STORE_EXIT_SEC    1


/* the connections of one thread, one for each otpreg_database in use */

typedef struct otpreg_store_s  otpreg_store_t;

struct otpreg_store_s {
    otpreg_db_t                *db;
    const otpreg_db_conf_t     *conf;
    int64_t                     down_until_ms;
    char                        down_error[OTPREG_DB_ERROR_SIZE];
    otpreg_store_t             *next;
};


static const char *const  otpreg_store_sql[] = {
    OTPREG_SQL_LIST(OTPREG_SQL_TEXT)
};


static void otpreg_store_thread_end(void *data);
static otpreg_store_t *otpreg_store_get(const otpreg_db_conf_t *conf);
static otpreg_db_rc_t otpreg_store_connect(otpreg_store_t *store);
static otpreg_db_rc_t otpreg_store_check_schema(otpreg_db_t *db);
static int64_t otpreg_store_now_ms(void);
static void otpreg_store_pause(unsigned try);


static otpreg_threads_t  otpreg_store_threads
    = OTPREG_THREADS_INIT(otpreg_store_thread_end);


bool
otpreg_store_init(void)
{
    return otpreg_db_library_init()
           && otpreg_threads_start(&otpreg_store_threads);
}


bool
otpreg_store_exit(void)
{
    if (!otpreg_threads_wait(&otpreg_store_threads, OTPREG_STORE_EXIT_SEC)) {
        return false;
    }

    otpreg_db_library_end();

    return true;
}


static void
otpreg_store_thread_end(void *data)
{
    otpreg_store_t  *store, *next;

    for (store = data; store != NULL; store = next) {
        next = store->next;
        otpreg_db_destroy(store->db);
        free(store);
    }

    otpreg_db_thread_end();
}


static otpreg_store_t *
otpreg_store_get(const otpreg_db_conf_t *conf)
{
    otpreg_store_t  *store, *first;

    first = otpreg_threads_get(&otpreg_store_threads);

    for (store = first; store != NULL; store = store->next) {
        if (store->conf == conf) {
            return store;
        }
    }

    store = calloc(1, sizeof(otpreg_store_t));
    if (store == NULL) {
        return NULL;
    }

    store->db = otpreg_db_create(conf, otpreg_store_sql, OTPREG_SQL_COUNT,
                                 otpreg_store_check_schema);
    if (store->db == NULL) {
        free(store);
        return NULL;
    }

    store->conf = conf;
    store->next = first;

    if (!otpreg_threads_set(&otpreg_store_threads, store)) {
        otpreg_db_destroy(store->db);
        free(store);
        return NULL;
    }

    return store;
}


otpreg_outcome_t
otpreg_store_run(const otpreg_db_conf_t *conf, otpreg_store_work_pt work,
    void *data, char *error)
{
    bool             lost;
    int64_t          until_ms;
    unsigned         try;
    otpreg_db_rc_t   rc;
    otpreg_store_t  *store;

    error[0] = '\0';

    store = otpreg_store_get(conf);
    if (store == NULL) {
        snprintf(error, OTPREG_DB_ERROR_SIZE, "no memory");
        return OTPREG_ERROR;
    }

    lost = false;
    rc = OTPREG_DB_DOWN;
    until_ms = otpreg_store_now_ms() + (int64_t) conf->read_timeout * 1000;

    for (try = 1; try <= OTPREG_STORE_TRIES; try++) {

        otpreg_db_error_clear(store->db);

        rc = otpreg_store_connect(store);
        if (rc != OTPREG_DB_OK) {
            snprintf(error, OTPREG_DB_ERROR_SIZE, "%s", store->down_error);
            return OTPREG_DATABASE_DOWN;
        }

        rc = work(store->db, data, lost);
        if (rc == OTPREG_DB_OK) {
            return OTPREG_OK;
        }

        otpreg_db_rollback(store->db);

        /* what became of the first try is always asked for */

        if (rc == OTPREG_DB_LOST && !lost) {
            lost = true;
            continue;
        }

        if (rc != OTPREG_DB_LOST && rc != OTPREG_DB_RETRY
            && rc != OTPREG_DB_DOWN)
        {
            break;
        }

        /* somebody holds a lock: one row shall not hold all our threads */

        if (otpreg_store_now_ms() >= until_ms) {
            break;
        }

        if (rc != OTPREG_DB_RETRY && try >= OTPREG_STORE_LOST_TRIES) {
            break;
        }

        if (rc == OTPREG_DB_LOST) {
            continue;
        }

        otpreg_store_pause(try);
    }

    snprintf(error, OTPREG_DB_ERROR_SIZE, "%s", otpreg_db_error(store->db));

    return (rc == OTPREG_DB_FAILED || rc == OTPREG_DB_DUPLICATE)
           ? OTPREG_ERROR : OTPREG_DATABASE_DOWN;
}


static otpreg_db_rc_t
otpreg_store_connect(otpreg_store_t *store)
{
    if (store->down_until_ms > otpreg_store_now_ms()) {
        return OTPREG_DB_DOWN;
    }

    if (otpreg_db_connect(store->db) == OTPREG_DB_OK) {
        store->down_until_ms = 0;
        return OTPREG_DB_OK;
    }

    snprintf(store->down_error, OTPREG_DB_ERROR_SIZE, "%s",
             otpreg_db_error(store->db));
    store->down_until_ms = otpreg_store_now_ms() + OTPREG_STORE_DOWN_MS;

    return OTPREG_DB_DOWN;
}


/* of each host: one that is not ready yet may not have it, another one has */

static otpreg_db_rc_t
otpreg_store_check_schema(otpreg_db_t *db)
{
    int                 version;
    char                error[OTPREG_DB_ERROR_SIZE];
    otpreg_db_rc_t      rc;
    otpreg_db_column_t  column;

    column = otpreg_store_out_int();

    rc = otpreg_db_query(db, OTPREG_SQL_SCHEMA_VERSION, NULL, &column, 1);

    if (rc == OTPREG_DB_SETUP) {
        snprintf(error, sizeof(error), "%s", otpreg_db_error(db));
        otpreg_db_explain(db, "there is no schema of this module: "
                              "load sql/schema.sql: %s", error);
        return OTPREG_DB_DOWN;
    }

    if (rc != OTPREG_DB_OK) {
        return OTPREG_DB_DOWN;
    }

    otpreg_db_finish(db);

    version = (int) column.num;

    if (version == OTPREG_SCHEMA_VERSION) {
        return OTPREG_DB_OK;
    }

    if (version <= 0) {
        otpreg_db_explain(db, "there is no schema of this module: "
                              "load sql/schema.sql");

    } else if (version < OTPREG_SCHEMA_VERSION) {
        otpreg_db_explain(db, "the schema has version %d, this module needs "
                              "%d: load sql/migrations/%04d-*.sql and those "
                              "that follow", version, OTPREG_SCHEMA_VERSION,
                          version + 1);
    } else {
        otpreg_db_explain(db, "the schema has version %d, this module needs "
                              "%d: it is that of a newer release", version,
                          OTPREG_SCHEMA_VERSION);
    }

    return OTPREG_DB_DOWN;
}


static int64_t
otpreg_store_now_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* random, so that two that collided do not collide again */

static void
otpreg_store_pause(unsigned try)
{
    uint32_t         ms;
    struct timespec  ts;

    ms = 1 + randombytes_uniform(OTPREG_STORE_PAUSE_MS * try);

    ts.tv_sec = 0;
    ts.tv_nsec = (long) ms * 1000000;

    (void) nanosleep(&ts, NULL);
}


otpreg_db_param_t
otpreg_store_text(const char *text)
{
    if (text == NULL) {
        return (otpreg_db_param_t) { .type = OTPREG_DB_NULL };
    }

    return otpreg_store_bytes(text, strlen(text));
}
