
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_body.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_missing.h"
#include "ngx_http_otpreg_realm.h"


static ngx_int_t ngx_http_otpreg_realm_check(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf);
static ngx_int_t ngx_http_otpreg_realm_missing(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf, const char *directive);
static ngx_int_t ngx_http_otpreg_realm_pools(ngx_conf_t *cf,
    ngx_http_otpreg_main_conf_t *omcf);
static ngx_http_otpreg_realm_t *ngx_http_otpreg_realm_find(
    ngx_http_otpreg_main_conf_t *omcf, ngx_http_otpreg_loc_conf_t *olcf);
static ngx_http_otpreg_realm_t *ngx_http_otpreg_realm_add(ngx_conf_t *cf,
    ngx_http_otpreg_main_conf_t *omcf, ngx_http_otpreg_loc_conf_t *olcf);
static const char *ngx_http_otpreg_realm_conflict(
    ngx_http_otpreg_loc_conf_t *a, ngx_http_otpreg_loc_conf_t *b);
static ngx_uint_t ngx_http_otpreg_same_couriers(
    ngx_http_otpreg_loc_conf_t *a, ngx_http_otpreg_loc_conf_t *b,
    otpreg_channel_t channel);
static ngx_uint_t ngx_http_otpreg_same_string(const ngx_str_t *a,
    const ngx_str_t *b);
static ngx_uint_t ngx_http_otpreg_same_value(ngx_http_complex_value_t *a,
    ngx_http_complex_value_t *b);


ngx_int_t
ngx_http_otpreg_realm_complete(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    const char                   *directive;
    ngx_http_otpreg_main_conf_t  *omcf;

    if (olcf->role == NGX_HTTP_OTPREG_NONE) {
        return NGX_OK;
    }

    if (ngx_http_otpreg_metric_zone(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (olcf->role == NGX_HTTP_OTPREG_STATUS) {
        return NGX_OK;
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_otpreg_module);

    if (ngx_http_otpreg_realm_pools(cf, omcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (olcf->role == NGX_HTTP_OTPREG_COURIER) {
        return NGX_OK;
    }

    if (ngx_http_otpreg_realm_check(cf, olcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_limit_complete(cf, olcf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_body_bound(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_otpreg_missing_note(cf, olcf) != NGX_OK) {
        return NGX_ERROR;
    }

    olcf->realm = ngx_http_otpreg_realm_find(omcf, olcf);

    if (olcf->realm == NULL) {
        olcf->realm = ngx_http_otpreg_realm_add(cf, omcf, olcf);
        return olcf->realm ? NGX_OK : NGX_ERROR;
    }

    directive = ngx_http_otpreg_realm_conflict(olcf->realm->conf, olcf);

    if (directive != NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "the locations in %s:%ui and %s:%ui share a database "
                      "and \"otpreg_site\", but differ in \"%s\"",
                      olcf->realm->conf->file, olcf->realm->conf->line,
                      olcf->file, olcf->line, directive);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_otpreg_realm_check(ngx_conf_t *cf, ngx_http_otpreg_loc_conf_t *olcf)
{
    if (olcf->database == NULL) {
        return ngx_http_otpreg_realm_missing(cf, olcf, "otpreg_database");
    }

    if (olcf->keys == NULL) {
        return ngx_http_otpreg_realm_missing(cf, olcf, "otpreg_key_file");
    }

    if (olcf->couriers[OTPREG_CHANNEL_EMAIL - 1] == NULL
        && olcf->identifiers[NGX_HTTP_OTPREG_EMAIL] != NGX_HTTP_OTPREG_ABSENT)
    {
        return ngx_http_otpreg_realm_missing(cf, olcf, "otpreg_mail");
    }

    if (olcf->couriers[OTPREG_CHANNEL_SMS - 1] == NULL
        && olcf->identifiers[NGX_HTTP_OTPREG_PHONE] != NGX_HTTP_OTPREG_ABSENT)
    {
        return ngx_http_otpreg_realm_missing(cf, olcf, "otpreg_sms");
    }

    if (olcf->password_min > olcf->password_max) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"otpreg_password_length\" has a minimum above its "
                      "maximum for the location in %s:%ui",
                      olcf->file, olcf->line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_otpreg_realm_missing(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf, const char *directive)
{
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "no \"%s\" is defined for the location in %s:%ui",
                  directive, olcf->file, olcf->line);

    return NGX_ERROR;
}


/* nginx says which pool was never defined */

static ngx_int_t
ngx_http_otpreg_realm_pools(ngx_conf_t *cf,
    ngx_http_otpreg_main_conf_t *omcf)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_OTPREG_POOLS; i++) {

        if (omcf->pools[i] != NULL) {
            continue;
        }

        omcf->pools[i] = ngx_thread_pool_add(cf, &omcf->pool_names[i]);
        if (omcf->pools[i] == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_http_otpreg_realm_t *
ngx_http_otpreg_realm_find(ngx_http_otpreg_main_conf_t *omcf,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    ngx_uint_t                   i;
    ngx_http_otpreg_realm_t    **realm;
    ngx_http_otpreg_loc_conf_t  *other;

    realm = omcf->realms.elts;

    for (i = 0; i < omcf->realms.nelts; i++) {
        other = realm[i]->conf;

        if (ngx_strcmp(other->site.data, olcf->site.data) == 0
            && otpreg_db_conf_same(other->database, olcf->database))
        {
            return realm[i];
        }
    }

    return NULL;
}


static ngx_http_otpreg_realm_t *
ngx_http_otpreg_realm_add(ngx_conf_t *cf, ngx_http_otpreg_main_conf_t *omcf,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    ngx_http_core_srv_conf_t  *cscf;
    ngx_http_otpreg_realm_t   *realm, **p;

    realm = ngx_pcalloc(cf->pool, sizeof(ngx_http_otpreg_realm_t));
    p = ngx_array_push(&omcf->realms);

    if (realm == NULL || p == NULL) {
        return NULL;
    }

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    realm->conf = olcf;
    realm->conf_ctx = cscf->ctx;
    realm->main_conf = omcf;

    *p = realm;

    return realm;
}


/*
 * Messages know their site, not their server: what decides how they are sent
 * must be the same for all locations of a site.
 */

static const char *
ngx_http_otpreg_realm_conflict(ngx_http_otpreg_loc_conf_t *a,
    ngx_http_otpreg_loc_conf_t *b)
{
    if (a->keys != b->keys
        && ngx_memcmp(a->keys, b->keys, sizeof(otpreg_keys_t)) != 0)
    {
        return "otpreg_key_file";
    }

    if (!ngx_http_otpreg_same_couriers(a, b, OTPREG_CHANNEL_EMAIL)) {
        return "otpreg_mail";
    }

    if (!ngx_http_otpreg_same_couriers(a, b, OTPREG_CHANNEL_SMS)) {
        return "otpreg_sms";
    }

    if (!ngx_http_otpreg_same_value(a->sms_text, b->sms_text)) {
        return "otpreg_sms_text";
    }

    if (!ngx_http_otpreg_same_string(&a->sms_origin, &b->sms_origin)) {
        return "otpreg_sms_origin";
    }

    if (!ngx_http_otpreg_same_value(a->mail_text, b->mail_text)) {
        return "otpreg_mail_text";
    }

    if (!ngx_http_otpreg_same_value(a->mail_html, b->mail_html)) {
        return "otpreg_mail_html";
    }

    return NULL;
}


static ngx_uint_t
ngx_http_otpreg_same_couriers(ngx_http_otpreg_loc_conf_t *a,
    ngx_http_otpreg_loc_conf_t *b, otpreg_channel_t channel)
{
    ngx_str_t    *one, *two;
    ngx_uint_t    i;
    ngx_array_t  *x, *y;

    x = a->couriers[channel - 1];
    y = b->couriers[channel - 1];

    if (x == NULL || y == NULL || x->nelts != y->nelts) {
        return x == y;
    }

    one = x->elts;
    two = y->elts;

    for (i = 0; i < x->nelts; i++) {
        if (!ngx_http_otpreg_same_string(&one[i], &two[i])) {
            return 0;
        }
    }

    return 1;
}


static ngx_uint_t
ngx_http_otpreg_same_string(const ngx_str_t *a, const ngx_str_t *b)
{
    return a->len == b->len && ngx_strncmp(a->data, b->data, a->len) == 0;
}


static ngx_uint_t
ngx_http_otpreg_same_value(ngx_http_complex_value_t *a,
    ngx_http_complex_value_t *b)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }

    return ngx_http_otpreg_same_string(&a->value, &b->value);
}
