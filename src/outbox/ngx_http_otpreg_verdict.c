
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_verdict.h"


typedef struct {
    ngx_uint_t                  status;
    ngx_http_otpreg_verdict_e   verdict;
} ngx_http_otpreg_rule_t;


static ngx_conf_enum_t  ngx_http_otpreg_verdicts[] = {
    { ngx_string("later"), NGX_HTTP_OTPREG_VERDICT_LATER },
    { ngx_string("next"), NGX_HTTP_OTPREG_VERDICT_NEXT },
    { ngx_string("refused"), NGX_HTTP_OTPREG_VERDICT_REFUSED },
    { ngx_null_string, 0 }
};


static char *ngx_http_otpreg_add_rule(ngx_conf_t *cf, ngx_array_t *rules,
    ngx_str_t *arg, ngx_uint_t verdict);


/* otpreg_courier_status verdict status ...; may be repeated */

char *
ngx_http_otpreg_set_courier_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_str_t        *value;
    ngx_uint_t        i;
    ngx_conf_enum_t  *e;

    value = cf->args->elts;

    for (e = ngx_http_otpreg_verdicts; e->name.len; e++) {
        if (ngx_strcmp(e->name.data, value[1].data) == 0) {
            break;
        }
    }

    if (e->name.len == 0) {
        return ngx_http_otpreg_invalid(cf, &value[1]);
    }

    if (olcf->rules == NGX_CONF_UNSET_PTR) {
        olcf->rules = ngx_array_create(cf->pool, 4,
                                       sizeof(ngx_http_otpreg_rule_t));
        if (olcf->rules == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    for (i = 2; i < cf->args->nelts; i++) {
        if (ngx_http_otpreg_add_rule(cf, olcf->rules, &value[i], e->value)
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_otpreg_add_rule(ngx_conf_t *cf, ngx_array_t *rules, ngx_str_t *arg,
    ngx_uint_t verdict)
{
    ngx_int_t                status;
    ngx_uint_t               i;
    ngx_http_otpreg_rule_t  *rule;

    status = ngx_atoi(arg->data, arg->len);

    /* what was sent is sent: no rule makes it go out twice */

    if (status < 300 || status > 599) {
        return ngx_http_otpreg_invalid(cf, arg);
    }

    rule = rules->elts;

    for (i = 0; i < rules->nelts; i++) {
        if (rule[i].status == (ngx_uint_t) status) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate status \"%V\"", arg);
            return NGX_CONF_ERROR;
        }
    }

    rule = ngx_array_push(rules);
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    rule->status = status;
    rule->verdict = verdict;

    return NGX_CONF_OK;
}


ngx_http_otpreg_verdict_e
ngx_http_otpreg_verdict(const ngx_http_otpreg_loc_conf_t *courier,
    ngx_uint_t status)
{
    ngx_uint_t               i;
    ngx_http_otpreg_rule_t  *rule;

    if (status >= 200 && status < 300) {
        return NGX_HTTP_OTPREG_VERDICT_SENT;
    }

    if (courier != NULL && courier->rules != NULL) {
        rule = courier->rules->elts;

        for (i = 0; i < courier->rules->nelts; i++) {
            if (rule[i].status == status) {
                return rule[i].verdict;
            }
        }
    }

    switch (status) {

    case 401:                           /* the key is wrong */
    case 402:                           /* no credit */
    case 403:                           /* the key, or the account */
    case 404:                           /* no such location or account */
    case 405:                           /* a location that is no courier */
    case 407:                           /* a proxy's password */
        return NGX_HTTP_OTPREG_VERDICT_FAULT;

    case 408:
    case 420:                           /* Mailgun: limit of the account */
    case 425:
    case 429:
        return NGX_HTTP_OTPREG_VERDICT_LATER;
    }

    /* none at all, or one of those that are no final answer */

    return (status < 200 || status >= 500) ? NGX_HTTP_OTPREG_VERDICT_LATER
                                           : NGX_HTTP_OTPREG_VERDICT_REFUSED;
}
