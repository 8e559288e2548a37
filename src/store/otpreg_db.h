
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_DB_H_INCLUDED_
#define _OTPREG_DB_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/*
 * One connection to MySQL or MariaDB with its prepared statements, through the
 * API that libmariadb and libmysqlclient share.  Everything here blocks and
 * belongs to the one database thread that opened the connection.
 */


#define OTPREG_DB_HOSTS_MAX      8
#define OTPREG_DB_ERROR_SIZE     256


typedef enum {
    OTPREG_DB_SSL_DISABLED,
    OTPREG_DB_SSL_REQUIRED,             /* encrypted, not authenticated */
    OTPREG_DB_SSL_VERIFY_IDENTITY
} otpreg_db_ssl_t;


/* as configured; read-only; strings NUL-terminated or NULL */

typedef struct {
    const char         *host[OTPREG_DB_HOSTS_MAX];  /* tried in this order */
    unsigned            nhosts;
    unsigned            port;
    const char         *socket;                     /* wins over hosts */
    const char         *user;
    const char         *password;                   /* a secret */
    const char         *name;
    const char         *ssl_ca;
    otpreg_db_ssl_t     ssl;
    unsigned            connect_timeout;            /* seconds, a host */
    unsigned            read_timeout;               /* seconds, a packet */
    unsigned            failback_ms;                /* with a later host, before
                                                     * the earlier ones are
                                                     * tried again; 0: never */
} otpreg_db_conf_t;


/* Whether both are about the same database, as whoever they log in. */
bool otpreg_db_conf_same(const otpreg_db_conf_t *a, const otpreg_db_conf_t *b);

/* Whether they are equal in all, so that one connection serves both. */
bool otpreg_db_conf_equal(const otpreg_db_conf_t *a, const otpreg_db_conf_t *b);


typedef enum {
    OTPREG_DB_OK = 0,
    OTPREG_DB_NONE,                     /* no (more) rows */
    OTPREG_DB_DUPLICATE,                /* of a unique key */
    OTPREG_DB_RETRY,                    /* deadlock, lock wait, certification */
    OTPREG_DB_LOST,                     /* connection lost: outcome unknown */
    OTPREG_DB_DOWN,                     /* no connection, or to no use */
    OTPREG_DB_FULL,                     /* no disk or memory is left there */
    OTPREG_DB_SETUP,                    /* a table or a right is missing */
    OTPREG_DB_FAILED                    /* anything else: a bug */
} otpreg_db_rc_t;


typedef enum {
    OTPREG_DB_NULL,
    OTPREG_DB_INT,
    OTPREG_DB_BYTES
} otpreg_db_type_t;


/* a value for a placeholder; the bytes stay the caller's */

typedef struct {
    otpreg_db_type_t    type;
    int64_t             num;
    const void         *data;
    size_t              len;
} otpreg_db_param_t;


/* where a column goes: an int64_t, or a buffer that gets a NUL behind */

typedef struct {
    otpreg_db_type_t    type;
    int64_t             num;            /* OTPREG_DB_INT: the value, NULL = 0 */
    char               *data;           /* OTPREG_DB_BYTES: NULL = "" */
    size_t              size;           /* of data, with room for the NUL */
    size_t              len;            /* set: bytes in data */
    bool                null;           /* set */
} otpreg_db_column_t;


typedef struct otpreg_db_s  otpreg_db_t;


/*
 * Asks a server that has just been connected to whether it can serve us, by
 * statements of the list.  Else it says why with otpreg_db_explain() or leaves
 * the error of a statement; then the next host is asked.
 */
typedef otpreg_db_rc_t (*otpreg_db_check_pt)(otpreg_db_t *db);


/*
 * Make a connection object; nothing is sent before otpreg_db_connect().
 *
 * conf   [in]  must outlive the object
 * sql    [in]  n statements; prepared each at its first use in a connection
 * check  [in]  called for each host that takes the connection
 *
 * NULL when there is no memory.
 */
otpreg_db_t *otpreg_db_create(const otpreg_db_conf_t *conf,
    const char *const *sql, unsigned n, otpreg_db_check_pt check);
void otpreg_db_destroy(otpreg_db_t *db);


/*
 * Connect, unless there is a connection.  Hosts are tried in order from the
 * first; one that cannot serve is passed over: it is read-only, not in its
 * cluster, or does not pass the check.  Returns OTPREG_DB_OK or OTPREG_DB_DOWN
 * with what each host said in the error.
 */
otpreg_db_rc_t otpreg_db_connect(otpreg_db_t *db);
void otpreg_db_disconnect(otpreg_db_t *db);


/*
 * Run statement number i of the list.  After OTPREG_DB_LOST and _DOWN the
 * connection is closed.
 *
 * exec:  affected and insert_id may be NULL
 * query: the first row goes to columns; then otpreg_db_next() for each further
 *        row, until it returns OTPREG_DB_NONE, or otpreg_db_finish()
 */
otpreg_db_rc_t otpreg_db_exec(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params, uint64_t *affected, uint64_t *insert_id);
otpreg_db_rc_t otpreg_db_query(otpreg_db_t *db, unsigned i,
    const otpreg_db_param_t *params, otpreg_db_column_t *columns, unsigned n);
otpreg_db_rc_t otpreg_db_next(otpreg_db_t *db, otpreg_db_column_t *columns,
    unsigned n);
void otpreg_db_finish(otpreg_db_t *db);


otpreg_db_rc_t otpreg_db_begin(otpreg_db_t *db);
otpreg_db_rc_t otpreg_db_commit(otpreg_db_t *db);
void otpreg_db_rollback(otpreg_db_t *db);


/*
 * The newest failure as one line for the log: what failed, error number and
 * SQLSTATE; the server's text only for connection errors and for what is
 * missing there, since others quote values.  "" when nothing failed since
 * otpreg_db_error_clear().
 */
const char *otpreg_db_error(const otpreg_db_t *db);
void otpreg_db_error_clear(otpreg_db_t *db);
__attribute__((format(printf, 2, 3)))
void otpreg_db_explain(otpreg_db_t *db, const char *format, ...);


/* Once in a process, before and after all threads; at the end of a thread. */
bool otpreg_db_library_init(void);
void otpreg_db_library_end(void);
void otpreg_db_thread_end(void);


#endif /* _OTPREG_DB_H_INCLUDED_ */
