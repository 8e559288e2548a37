
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_secret.h"


/* the directive otpreg_database */


/* ms with another host than the first, until the first is tried again */
#define NGX_HTTP_OTPREG_DATABASE_FAILBACK  30000


static char *ngx_http_otpreg_database_option(ngx_conf_t *cf,
    otpreg_db_conf_t *db, ngx_str_t *arg);
static char *ngx_http_otpreg_database_number(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_int_t n, ngx_int_t max, unsigned *out);
static char *ngx_http_otpreg_database_ssl(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_str_t *value, otpreg_db_conf_t *db);
static char *ngx_http_otpreg_database_finish(ngx_conf_t *cf,
    otpreg_db_conf_t *db);
static otpreg_db_conf_t *ngx_http_otpreg_database_share(ngx_conf_t *cf,
    otpreg_db_conf_t *db);


char *
ngx_http_otpreg_set_database(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    char              *rv;
    ngx_str_t         *value;
    ngx_uint_t         i;
    otpreg_db_conf_t  *db;

    if (olcf->database != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    db = ngx_pcalloc(cf->pool, sizeof(otpreg_db_conf_t));
    if (db == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_otpreg_database_option(cf, db, &value[i]);

        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    rv = ngx_http_otpreg_database_finish(cf, db);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    olcf->database = ngx_http_otpreg_database_share(cf, db);

    return olcf->database ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_otpreg_database_option(ngx_conf_t *cf, otpreg_db_conf_t *db,
    ngx_str_t *arg)
{
    ngx_str_t    value, content;
    ngx_uint_t   i;
    const char **field;

    static const struct {
        const char  *name;
        size_t       offset;
    } strings[] = {
        { "socket",   offsetof(otpreg_db_conf_t, socket) },
        { "user",     offsetof(otpreg_db_conf_t, user) },
        { "name",     offsetof(otpreg_db_conf_t, name) },
        { "ssl_ca",   offsetof(otpreg_db_conf_t, ssl_ca) }
    };

    for (i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {

        if (ngx_http_otpreg_option(arg, strings[i].name, &value)) {
            field = (const char **) ((u_char *) db + strings[i].offset);

            if (*field != NULL || value.len == 0) {
                return ngx_http_otpreg_unknown(cf, arg);
            }

            *field = (char *) value.data;
            return NGX_CONF_OK;
        }
    }

    if (ngx_http_otpreg_option(arg, "host", &value)) {

        if (value.len == 0 || db->nhosts == OTPREG_DB_HOSTS_MAX) {
            return ngx_http_otpreg_invalid(cf, arg);
        }

        db->host[db->nhosts++] = (char *) value.data;
        return NGX_CONF_OK;
    }

    if (ngx_http_otpreg_option(arg, "password", &value)) {

        if (db->password != NULL || value.len == 0) {
            return ngx_http_otpreg_unknown(cf, arg);
        }

        if (ngx_http_otpreg_secret_take(cf, arg, &value) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        db->password = (char *) value.data;
        return NGX_CONF_OK;
    }

    if (ngx_http_otpreg_option(arg, "password_file", &value)) {

        if (db->password != NULL
            || ngx_http_otpreg_secret_read(cf, &value, &content) != NGX_OK)
        {
            return db->password ? ngx_http_otpreg_invalid(cf, arg)
                                : NGX_CONF_ERROR;
        }

        db->password = (char *) content.data;
        return NGX_CONF_OK;
    }

    if (ngx_http_otpreg_option(arg, "port", &value)) {
        return ngx_http_otpreg_database_number(cf, arg,
                                      ngx_atoi(value.data, value.len), 65535,
                                      &db->port);
    }

    if (ngx_http_otpreg_option(arg, "connect_timeout", &value)) {
        return ngx_http_otpreg_database_number(cf, arg,
                                      ngx_parse_time(&value, 1), 60,
                                      &db->connect_timeout);
    }

    if (ngx_http_otpreg_option(arg, "read_timeout", &value)) {
        return ngx_http_otpreg_database_number(cf, arg,
                                      ngx_parse_time(&value, 1), 60,
                                      &db->read_timeout);
    }

    if (ngx_http_otpreg_option(arg, "ssl", &value)) {
        return ngx_http_otpreg_database_ssl(cf, arg, &value, db);
    }

    return ngx_http_otpreg_unknown(cf, arg);
}


static char *
ngx_http_otpreg_database_number(ngx_conf_t *cf, ngx_str_t *arg, ngx_int_t n,
    ngx_int_t max, unsigned *out)
{
    if (n < 1 || n > max || *out != 0) {
        return ngx_http_otpreg_invalid(cf, arg);
    }

    *out = n;

    return NGX_CONF_OK;
}


static char *
ngx_http_otpreg_database_ssl(ngx_conf_t *cf, ngx_str_t *arg, ngx_str_t *value,
    otpreg_db_conf_t *db)
{
    if (ngx_strcmp(value->data, "disabled") == 0) {
        db->ssl = OTPREG_DB_SSL_DISABLED;

    } else if (ngx_strcmp(value->data, "required") == 0) {
        db->ssl = OTPREG_DB_SSL_REQUIRED;

    } else if (ngx_strcmp(value->data, "verify_identity") == 0) {
        db->ssl = OTPREG_DB_SSL_VERIFY_IDENTITY;

    } else {
        return ngx_http_otpreg_invalid(cf, arg);
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_otpreg_database_finish(ngx_conf_t *cf, otpreg_db_conf_t *db)
{
    ngx_str_t  name;

    if (db->user == NULL) {
        return "must have \"user\" parameter";
    }

    if (db->name == NULL) {
        return "must have \"name\" parameter";
    }

    if (db->socket != NULL && db->nhosts != 0) {
        return "must not have both \"socket\" and \"host\" parameters";
    }

    if (db->ssl_ca != NULL) {
        name.data = (u_char *) db->ssl_ca;
        name.len = ngx_strlen(db->ssl_ca);

        if (ngx_conf_full_name(cf->cycle, &name, 1) != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        db->ssl_ca = (char *) name.data;
    }

    if (db->nhosts == 0) {
        db->host[db->nhosts++] = "127.0.0.1";
    }

    if (db->port == 0) {
        db->port = 3306;
    }

    db->failback_ms = NGX_HTTP_OTPREG_DATABASE_FAILBACK;

    if (db->connect_timeout == 0) {
        db->connect_timeout = 2;
    }

    if (db->read_timeout == 0) {
        db->read_timeout = 5;
    }

    return NGX_CONF_OK;
}


/* equal blocks of many servers are one database: its threads connect once */

static otpreg_db_conf_t *
ngx_http_otpreg_database_share(ngx_conf_t *cf, otpreg_db_conf_t *db)
{
    ngx_uint_t                    i;
    otpreg_db_conf_t            **known;
    ngx_http_otpreg_main_conf_t  *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_otpreg_module);

    known = omcf->databases.elts;

    for (i = 0; i < omcf->databases.nelts; i++) {
        if (otpreg_db_conf_equal(known[i], db)) {
            return known[i];
        }
    }

    known = ngx_array_push(&omcf->databases);
    if (known == NULL) {
        return NULL;
    }

    *known = db;

    return db;
}
