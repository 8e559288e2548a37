
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_client.h"

#include "ngx_http_otpreg_budget.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"


#define NGX_HTTP_OTPREG_BUDGET_COUNT_MAX  1000

/* of an address, for one client: percent */
#define NGX_HTTP_OTPREG_BUDGET_SHARE      40


static void ngx_http_otpreg_budget_client(ngx_http_otpreg_loc_conf_t *olcf,
    const ngx_http_otpreg_limit_key_t *key, uint8_t id[OTPREG_CLIENT_LEN]);


/* with 5 attempts a code: 50 guesses a day at one address */

static otpreg_store_limits_t  ngx_http_otpreg_address_limit = {
    NGX_HTTP_OTPREG_BUDGET_SHARE, 2, { { 5, 3600 }, { 10, 86400 } }
};


otpreg_store_limits_t *
ngx_http_otpreg_budget_parse(ngx_conf_t *cf, ngx_uint_t first,
    ngx_int_t count_max, time_t period_min)
{
    time_t                  period;
    ngx_int_t               count;
    ngx_str_t              *value;
    ngx_uint_t              i;
    otpreg_store_limits_t  *limits;

    limits = ngx_pcalloc(cf->pool, sizeof(otpreg_store_limits_t));
    if (limits == NULL) {
        return NULL;
    }

    value = cf->args->elts;

    if (cf->args->nelts == first + 1
        && ngx_strcmp(value[first].data, "off") == 0)
    {
        return limits;
    }

    for (i = first; i < cf->args->nelts; i++) {

        if (limits->n == OTPREG_LIMITS_MAX
            || ngx_http_otpreg_limit_parse(&value[i], count_max,
                                           OTPREG_LIMIT_PERIOD_MAX,
                                           &count, &period)
               != NGX_OK
            || period < period_min)
        {
            (void) ngx_http_otpreg_invalid(cf, &value[i]);
            return NULL;
        }

        limits->limit[limits->n].count = count;
        limits->limit[limits->n].period = period;
        limits->n++;
    }

    return limits;
}


/* "client=40% 5/h 10/d", or "off" */

char *
ngx_http_otpreg_set_address_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_int_t   share;
    ngx_str_t  *value, option;
    ngx_uint_t  first;

    if (olcf->limits != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    share = NGX_HTTP_OTPREG_BUDGET_SHARE;
    first = 1;

    if (ngx_http_otpreg_option(&value[1], "client", &option)) {

        share = (ngx_strcmp(option.data, "off") == 0)
                ? 0 : ngx_http_otpreg_percent(&option);

        if (share == NGX_ERROR || cf->args->nelts == 2) {
            return ngx_http_otpreg_invalid(cf, &value[1]);
        }

        first = 2;
    }

    olcf->limits = ngx_http_otpreg_budget_parse(cf, first,
                                          NGX_HTTP_OTPREG_BUDGET_COUNT_MAX, 1);
    if (olcf->limits == NULL) {
        return NGX_CONF_ERROR;
    }

    olcf->limits->share = share;

    return NGX_CONF_OK;
}


void
ngx_http_otpreg_merge_address_limit(ngx_http_otpreg_loc_conf_t *conf,
    ngx_http_otpreg_loc_conf_t *prev)
{
    ngx_conf_merge_ptr_value(conf->limits, prev->limits,
                             &ngx_http_otpreg_address_limit);
}


void
ngx_http_otpreg_budgets(ngx_http_request_t *r, otpreg_store_budgets_t *budgets)
{
    ngx_http_otpreg_loc_conf_t   *olcf;
    ngx_http_otpreg_main_conf_t  *omcf;
    ngx_http_otpreg_limit_key_t   client, network;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);
    omcf = ngx_http_get_module_main_conf(r, ngx_http_otpreg_module);

    ngx_memzero(&client, sizeof(ngx_http_otpreg_limit_key_t));
    ngx_http_otpreg_limit_client(r->connection->sockaddr, &client);

    network = client;

    if (client.family == NGX_HTTP_OTPREG_LIMIT_INET6
        && omcf->nlimit_networks != 0)
    {
        ngx_http_otpreg_limit_network(&client, omcf->limit_networks[0].bits,
                                      &network);
    }

    budgets->address = olcf->limits;
    budgets->sms = &olcf->sms_limits;
    budgets->mail = &olcf->mail_limits;

    ngx_http_otpreg_budget_client(olcf, &client, budgets->client);
    ngx_http_otpreg_budget_client(olcf, &network, budgets->network);
}


static void
ngx_http_otpreg_budget_client(ngx_http_otpreg_loc_conf_t *olcf,
    const ngx_http_otpreg_limit_key_t *key, uint8_t id[OTPREG_CLIENT_LEN])
{
    u_char  text[2 + sizeof(key->block)];

    text[0] = key->family;
    text[1] = key->network;
    ngx_memcpy(text + 2, key->block, sizeof(key->block));

    otpreg_client_id(olcf->keys->key[0].key, text, sizeof(text), id);
}
