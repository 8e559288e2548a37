
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "otpreg_sms.h"

#include "ngx_http_otpreg_conf.h"
#include "ngx_http_otpreg_courier.h"
#include "ngx_http_otpreg_flow.h"
#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_metric.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_secret.h"
#include "ngx_http_otpreg_status.h"


char *
ngx_http_otpreg_set_handler(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    char                              *rv;
    ngx_str_t                         *value;
    ngx_http_compile_complex_value_t   ccv;

    static const ngx_http_handler_pt  handlers[] = {
        NULL,
        ngx_http_otpreg_page_handler,
        ngx_http_otpreg_console_handler,
        ngx_http_otpreg_status_handler
    };

    rv = ngx_http_otpreg_set_role(cf, olcf, cmd->offset,
                                  handlers[cmd->offset]);
    if (rv != NGX_CONF_OK) {
        return (olcf->page != cmd->post)
               ? "is in a location with another handler of this module" : rv;
    }

    olcf->page = cmd->post;

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (value[1].len == 0
            || (value[1].data[0] != '/' && value[1].data[0] != '@'
                && value[1].data[0] != '$'))
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid page \"%V\": it is a URI that begins "
                               "with \"/\", or a named location", &value[1]);
            return NGX_CONF_ERROR;
        }

        olcf->page_uri = ngx_palloc(cf->pool,
                                    sizeof(ngx_http_complex_value_t));
        if (olcf->page_uri == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

        ccv.cf = cf;
        ccv.value = &value[1];
        ccv.complex_value = olcf->page_uri;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_otpreg_set_key_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    unsigned     line;
    ngx_str_t   *value, text;
    const char  *error;

    if (olcf->keys != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_otpreg_secret_read(cf, &value[1], &text) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    olcf->keys = ngx_http_otpreg_secret_alloc(cf, sizeof(otpreg_keys_t));
    if (olcf->keys == NULL) {
        return NGX_CONF_ERROR;
    }

    line = otpreg_keys_parse(ngx_http_otpreg_str(&text), olcf->keys, &error);

    sodium_memzero(text.data, text.len);

    if (line != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s in line %ui of \"%V\"",
                           error, (ngx_uint_t) line, &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_otpreg_set_site(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    size_t      i;
    u_char      ch;
    ngx_str_t  *value;

    if (olcf->site.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (value[1].len == 0 || value[1].len > OTPREG_SITE_MAX) {
        return ngx_http_otpreg_invalid(cf, &value[1]);
    }

    for (i = 0; i < value[1].len; i++) {
        ch = value[1].data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9') && ch != '.' && ch != '_' && ch != '-')
        {
            return ngx_http_otpreg_invalid(cf, &value[1]);
        }
    }

    olcf->site = value[1];

    return NGX_CONF_OK;
}


char *
ngx_http_otpreg_set_couriers(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_str_t    *value, *uri;
    ngx_uint_t    i;
    ngx_array_t **couriers;

    couriers = &olcf->couriers[cmd->offset - 1];

    if (*couriers != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    *couriers = ngx_array_create(cf->pool, cf->args->nelts - 1,
                                 sizeof(ngx_str_t));
    if (*couriers == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (value[i].len == 0 || value[i].data[0] != '/') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid URI \"%V\" of a courier location",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        uri = ngx_array_push(*couriers);
        if (uri == NULL) {
            return NGX_CONF_ERROR;
        }

        *uri = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_http_otpreg_set_thread_pools(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_otpreg_main_conf_t *omcf = conf;

    ngx_str_t   *value, option;
    ngx_uint_t   i, kind;

    static const char *const  kinds[] = { "hash", "database", "mail" };

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (kind = 0; kind < NGX_HTTP_OTPREG_POOLS; kind++) {
            if (ngx_http_otpreg_option(&value[i], kinds[kind], &option)) {
                break;
            }
        }

        if (kind == NGX_HTTP_OTPREG_POOLS || option.len == 0) {
            return ngx_http_otpreg_unknown(cf, &value[i]);
        }

        if (omcf->pool_names[kind].data != NULL) {
            return "is duplicate";
        }

        omcf->pool_names[kind] = option;
    }

    return NGX_CONF_OK;
}


/* the host of the domain-bound line: never from a request */

char *
ngx_http_otpreg_set_sms_origin(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    size_t      i;
    u_char      ch;
    ngx_str_t  *value;

    if (olcf->sms_origin.data != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 0; i < value[1].len; i++) {
        ch = ngx_tolower(value[1].data[i]);

        if ((ch < 'a' || ch > 'z') && (ch < '0' || ch > '9') && ch != '.'
            && ch != '-')
        {
            return ngx_http_otpreg_invalid(cf, &value[1]);
        }

        value[1].data[i] = ch;
    }

    if (value[1].len > OTPREG_SMS_HOST_MAX) {
        return ngx_http_otpreg_invalid(cf, &value[1]);
    }

    olcf->sms_origin = value[1];

    return NGX_CONF_OK;
}
