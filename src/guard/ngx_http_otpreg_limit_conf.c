
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_limit_zone.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"


#define NGX_HTTP_OTPREG_LIMIT_ZONE_SIZE   (10 * 1024 * 1024)
#define NGX_HTTP_OTPREG_LIMIT_COUNT_MAX   100000000
#define NGX_HTTP_OTPREG_LIMIT_PERIOD_MAX  (2 * 86400)

/* of a network: a client has 64 */
#define NGX_HTTP_OTPREG_LIMIT_BITS_MIN    16
#define NGX_HTTP_OTPREG_LIMIT_BITS_MAX    63
#define NGX_HTTP_OTPREG_LIMIT_TIMES_MAX   1000000


static ngx_int_t ngx_http_otpreg_limit_parse_network(const ngx_str_t *value,
    ngx_http_otpreg_limit_network_t *network);
static void ngx_http_otpreg_limit_merge_one(ngx_http_otpreg_limit_t *conf,
    const ngx_http_otpreg_limit_t *prev, const ngx_http_otpreg_limit_t *value);


/* the order is that of ngx_http_otpreg_limit_e */

const char *const  ngx_http_otpreg_limit_names[] = {
    "register", "verify", "resend", "wrong", "status"
};


/* a household, an office; 720 guesses a day; a page looks 8 times */

static const ngx_http_otpreg_limit_t  ngx_http_otpreg_limit_of_client[] = {
    { 20, 600 }, { 60, 600 }, { 20, 600 }, { 30, 3600 }, { 300, 600 }
};


/* 24,000 guesses a day: with 6 digits one is right in 40 days */

static const ngx_http_otpreg_limit_t  ngx_http_otpreg_limit_of_all[] = {
    { 3000, 600 }, { 0, 0 }, { 3000, 600 }, { 1000, 3600 }, { 0, 0 }
};


/* what a customer has at home, and in an office; a carrier has many of both */

static const ngx_http_otpreg_limit_network_t
    ngx_http_otpreg_limit_networks[] =
{
    { 48, 16 }, { 56, 4 }
};


char *
ngx_http_otpreg_set_limit_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_main_conf_t *omcf = conf;

    ssize_t     size;
    ngx_str_t  *value;

    if (omcf->limit_zone_size != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid zone size \"%V\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "zone size \"%V\" is too small, %uz is the minimum",
                           &value[1], 8 * ngx_pagesize);
        return NGX_CONF_ERROR;
    }

    omcf->limit_zone_size = size;

    return NGX_CONF_OK;
}


/* "/48=16 /56=4", or "off" */

char *
ngx_http_otpreg_set_limit_networks(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_main_conf_t *omcf = conf;

    ngx_str_t                        *value;
    ngx_uint_t                        i, k;
    ngx_http_otpreg_limit_network_t   network, *networks;

    if (omcf->nlimit_networks != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    networks = omcf->limit_networks;
    omcf->nlimit_networks = 0;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        if (omcf->nlimit_networks == NGX_HTTP_OTPREG_LIMIT_NETWORKS
            || ngx_http_otpreg_limit_parse_network(&value[i], &network)
               != NGX_OK)
        {
            return ngx_http_otpreg_invalid(cf, &value[i]);
        }

        for (k = omcf->nlimit_networks; k != 0; k--) {

            if (networks[k - 1].bits == network.bits) {
                return ngx_http_otpreg_invalid(cf, &value[i]);
            }

            if (networks[k - 1].bits < network.bits) {
                break;
            }

            networks[k] = networks[k - 1];
        }

        networks[k] = network;
        omcf->nlimit_networks++;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_otpreg_limit_parse_network(const ngx_str_t *value,
    ngx_http_otpreg_limit_network_t *network)
{
    u_char     *p, *last;
    ngx_int_t   bits, multiple;

    last = value->data + value->len;
    p = ngx_strlchr(value->data, last, '=');

    if (p == NULL || value->data[0] != '/') {
        return NGX_ERROR;
    }

    bits = ngx_atoi(value->data + 1, p - value->data - 1);
    multiple = ngx_atoi(p + 1, last - p - 1);

    if (bits < NGX_HTTP_OTPREG_LIMIT_BITS_MIN
        || bits > NGX_HTTP_OTPREG_LIMIT_BITS_MAX
        || multiple < 1 || multiple > NGX_HTTP_OTPREG_LIMIT_TIMES_MAX)
    {
        return NGX_ERROR;
    }

    network->bits = bits;
    network->multiple = multiple;

    return NGX_OK;
}


void
ngx_http_otpreg_limit_default_networks(ngx_http_otpreg_main_conf_t *omcf)
{
    if (omcf->nlimit_networks != NGX_CONF_UNSET_UINT) {
        return;
    }

    ngx_memcpy(omcf->limit_networks, ngx_http_otpreg_limit_networks,
               sizeof(ngx_http_otpreg_limit_networks));

    omcf->nlimit_networks = sizeof(ngx_http_otpreg_limit_networks)
                            / sizeof(ngx_http_otpreg_limit_networks[0]);
}


/* "register=20/10m verify=off ...", or "off" */

char *
ngx_http_otpreg_set_limits(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    time_t                    period;
    ngx_int_t                 count;
    ngx_str_t                *value, option;
    ngx_uint_t                i, kind, off;
    ngx_http_otpreg_limit_t  *limits;

    limits = (ngx_http_otpreg_limit_t *) ((u_char *) conf + cmd->offset);

    for (kind = 0; kind < NGX_HTTP_OTPREG_LIMITS; kind++) {
        if (limits[kind].count != NGX_CONF_UNSET_UINT) {
            return "is duplicate";
        }
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        ngx_memzero(limits, NGX_HTTP_OTPREG_LIMITS
                            * sizeof(ngx_http_otpreg_limit_t));
        return NGX_CONF_OK;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        for (kind = 0; kind < NGX_HTTP_OTPREG_LIMITS; kind++) {
            if (ngx_http_otpreg_option(&value[i],
                                       ngx_http_otpreg_limit_names[kind],
                                       &option))
            {
                break;
            }
        }

        if (kind == NGX_HTTP_OTPREG_LIMITS) {
            return ngx_http_otpreg_unknown(cf, &value[i]);
        }

        off = (ngx_strcmp(option.data, "off") == 0);
        count = 0;
        period = 0;

        if (limits[kind].count != NGX_CONF_UNSET_UINT
            || (!off
                && ngx_http_otpreg_limit_parse(&option,
                                           NGX_HTTP_OTPREG_LIMIT_COUNT_MAX,
                                           NGX_HTTP_OTPREG_LIMIT_PERIOD_MAX,
                                           &count, &period)
                   != NGX_OK))
        {
            return ngx_http_otpreg_invalid(cf, &value[i]);
        }

        limits[kind].count = count;
        limits[kind].period = period;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_otpreg_limit_parse(const ngx_str_t *value, ngx_int_t count_max,
    time_t period_max, ngx_int_t *count, time_t *period)
{
    u_char     *p, *last;
    ngx_str_t   unit;

    last = value->data + value->len;
    p = ngx_strlchr(value->data, last, '/');

    if (p == NULL) {
        return NGX_ERROR;
    }

    *count = ngx_atoi(value->data, p - value->data);

    unit.data = p + 1;
    unit.len = last - unit.data;

    /* "h" is "1h" */

    if (unit.len == 1) {
        *period = (*unit.data == 's') ? 1 : (*unit.data == 'm') ? 60
                  : (*unit.data == 'h') ? 3600
                  : (*unit.data == 'd') ? 86400 : 0;
    } else {
        *period = ngx_parse_time(&unit, 1);
    }

    if (*count < 1 || *count > count_max || *period < 1
        || *period > period_max)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_otpreg_limit_unset(ngx_http_otpreg_loc_conf_t *conf)
{
    ngx_uint_t  kind;

    for (kind = 0; kind < NGX_HTTP_OTPREG_LIMITS; kind++) {
        conf->client_limits[kind].count = NGX_CONF_UNSET_UINT;
        conf->global_limits[kind].count = NGX_CONF_UNSET_UINT;
    }
}


/* each part by itself: to change one does not switch the others off */

void
ngx_http_otpreg_limit_merge(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev)
{
    ngx_uint_t  kind;

    for (kind = 0; kind < NGX_HTTP_OTPREG_LIMITS; kind++) {
        ngx_http_otpreg_limit_merge_one(&conf->client_limits[kind],
                                        &prev->client_limits[kind],
                                        &ngx_http_otpreg_limit_of_client[kind]);
        ngx_http_otpreg_limit_merge_one(&conf->global_limits[kind],
                                        &prev->global_limits[kind],
                                        &ngx_http_otpreg_limit_of_all[kind]);
    }
}


static void
ngx_http_otpreg_limit_merge_one(ngx_http_otpreg_limit_t *conf,
    const ngx_http_otpreg_limit_t *prev, const ngx_http_otpreg_limit_t *value)
{
    if (conf->count == NGX_CONF_UNSET_UINT) {
        *conf = (prev->count == NGX_CONF_UNSET_UINT) ? *value : *prev;
    }
}


/* two sites on one database, or on two, do not share their counters */

ngx_int_t
ngx_http_otpreg_limit_complete(ngx_conf_t *cf,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    size_t                        size;
    uint32_t                      crc;
    ngx_str_t                     name;
    ngx_http_otpreg_main_conf_t  *omcf;

    ngx_crc32_init(crc);
    ngx_crc32_update(&crc, olcf->site.data, olcf->site.len);
    ngx_crc32_update(&crc, (u_char *) "", 1);
    ngx_crc32_update(&crc, (u_char *) olcf->database->name,
                     ngx_strlen(olcf->database->name));
    ngx_crc32_final(crc);

    olcf->limit_scope = crc;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_otpreg_module);

    if (omcf->limit_zone != NULL) {
        return NGX_OK;
    }

    size = omcf->limit_zone_size ? omcf->limit_zone_size
                                 : NGX_HTTP_OTPREG_LIMIT_ZONE_SIZE;

    ngx_str_set(&name, "otpreg_limits");

    omcf->limit_zone = ngx_shared_memory_add(cf, &name, size,
                                             &ngx_http_otpreg_module);
    if (omcf->limit_zone == NULL) {
        return NGX_ERROR;
    }

    omcf->limit_zone->init = ngx_http_otpreg_limit_zone_init;

    return NGX_OK;
}
