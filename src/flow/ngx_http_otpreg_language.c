
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_language.h"
#include "otpreg_unicode.h"

#include "ngx_http_otpreg_headers.h"
#include "ngx_http_otpreg_language.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_option.h"
#include "ngx_http_otpreg_outcome.h"


#define NGX_HTTP_OTPREG_SENTENCES_MAX  65536


static ngx_int_t ngx_http_otpreg_language_read(ngx_conf_t *cf,
    ngx_http_otpreg_language_t *language, ngx_str_t *name);
static ngx_int_t ngx_http_otpreg_language_parse(ngx_conf_t *cf,
    ngx_http_otpreg_language_t *language, ngx_str_t *name, ngx_str_t *text);
static const char *ngx_http_otpreg_language_line(
    ngx_http_otpreg_language_t *language, otpreg_str_t line);
static otpreg_outcome_t ngx_http_otpreg_language_outcome(otpreg_str_t code);
static void ngx_http_otpreg_language_warn(ngx_conf_t *cf,
    ngx_http_otpreg_language_t *language, ngx_str_t *name);


char *
ngx_http_otpreg_set_language(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_otpreg_loc_conf_t *olcf = conf;

    ngx_str_t                    *value;
    ngx_uint_t                    i;
    otpreg_str_t                 *tag;
    ngx_http_otpreg_language_t   *language;
    ngx_http_otpreg_languages_t  *languages;

    value = cf->args->elts;

    if (!otpreg_language_valid(ngx_http_otpreg_str(&value[1]))) {
        return ngx_http_otpreg_invalid(cf, &value[1]);
    }

    languages = olcf->languages;

    if (languages == NGX_CONF_UNSET_PTR) {

        languages = ngx_palloc(cf->pool, sizeof(ngx_http_otpreg_languages_t));

        if (languages == NULL
            || ngx_array_init(&languages->languages, cf->pool, 4,
                              sizeof(ngx_http_otpreg_language_t))
               != NGX_OK
            || ngx_array_init(&languages->tags, cf->pool, 4,
                              sizeof(otpreg_str_t))
               != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

        olcf->languages = languages;
    }

    language = languages->languages.elts;

    for (i = 0; i < languages->languages.nelts; i++) {
        if (language[i].tag.len == value[1].len
            && ngx_strncasecmp(language[i].tag.data, value[1].data,
                               value[1].len)
               == 0)
        {
            return "is duplicate";
        }
    }

    language = ngx_array_push(&languages->languages);
    tag = ngx_array_push(&languages->tags);

    if (language == NULL || tag == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(language, sizeof(ngx_http_otpreg_language_t));

    language->tag = value[1];
    *tag = ngx_http_otpreg_str(&value[1]);

    if (cf->args->nelts == 3
        && ngx_http_otpreg_language_read(cf, language, &value[2]) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_otpreg_language_read(ngx_conf_t *cf,
    ngx_http_otpreg_language_t *language, ngx_str_t *name)
{
    ngx_int_t  rc;
    ngx_str_t  text;

    if (ngx_http_otpreg_read_file(cf, name, NGX_HTTP_OTPREG_SENTENCES_MAX,
                                  &text)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_otpreg_language_parse(cf, language, name, &text);

    ngx_free(text.data);

    return rc;
}


static ngx_int_t
ngx_http_otpreg_language_parse(ngx_conf_t *cf,
    ngx_http_otpreg_language_t *language, ngx_str_t *name, ngx_str_t *text)
{
    u_char        *p;
    ngx_uint_t     n;
    const char    *error;
    otpreg_str_t   rest, line;

    /* the sentences stay where they are: in a copy that lives as long */

    p = ngx_pnalloc(cf->pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, text->data, text->len);

    rest.data = p;
    rest.len = text->len;

    for (n = 1; otpreg_str_line(&rest, &line); n++) {
        line = otpreg_str_trim(line);

        if (line.len == 0 || line.data[0] == '#') {
            continue;
        }

        error = ngx_http_otpreg_language_line(language, line);

        if (error != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s in line %ui of \"%V\"", error, n, name);
            return NGX_ERROR;
        }
    }

    ngx_http_otpreg_language_warn(cf, language, name);

    return NGX_OK;
}


/* "code sentence"; NULL, or what is wrong */

static const char *
ngx_http_otpreg_language_line(ngx_http_otpreg_language_t *language,
    otpreg_str_t line)
{
    size_t             n;
    ngx_str_t         *sentence;
    otpreg_str_t       code;
    otpreg_outcome_t   outcome;

    code = line;

    for (code.len = 0; code.len < line.len; code.len++) {
        if (line.data[code.len] == ' ' || line.data[code.len] == '\t') {
            break;
        }
    }

    line.data += code.len;
    line.len -= code.len;
    line = otpreg_str_trim(line);

    outcome = ngx_http_otpreg_language_outcome(code);

    if (outcome == OTPREG_OK) {
        return "unknown code";
    }

    if (line.len == 0) {
        return "no sentence";
    }

    if (!otpreg_unicode_count(line, &n)) {
        return "text that is not UTF-8";
    }

    sentence = &language->sentences[outcome];

    if (sentence->data != NULL) {
        return "a second sentence for a code";
    }

    sentence->data = (u_char *) line.data;
    sentence->len = line.len;

    return NULL;
}


/* OTPREG_OK when there is none */

static otpreg_outcome_t
ngx_http_otpreg_language_outcome(otpreg_str_t code)
{
    ngx_uint_t        i;
    const ngx_str_t  *name;

    for (i = OTPREG_OK + 1; i < OTPREG_OUTCOMES; i++) {
        name = ngx_http_otpreg_outcome_code(i);

        if (name->len != 0 && name->len == code.len
            && ngx_strncmp(name->data, code.data, code.len) == 0)
        {
            return i;
        }
    }

    return OTPREG_OK;
}


/* English is used for what a file lacks, so that an update breaks nothing */

static void
ngx_http_otpreg_language_warn(ngx_conf_t *cf,
    ngx_http_otpreg_language_t *language, ngx_str_t *name)
{
    ngx_uint_t        i;
    const ngx_str_t  *code;

    for (i = OTPREG_OK + 1; i < OTPREG_OUTCOMES; i++) {
        code = ngx_http_otpreg_outcome_code(i);

        if (code->len != 0 && language->sentences[i].data == NULL) {
            ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                               "\"%V\" has no sentence for \"%V\"", name,
                               code);
        }
    }
}


void
ngx_http_otpreg_language_accepted(ngx_http_request_t *r,
    ngx_http_otpreg_loc_conf_t *olcf, ngx_str_t *tag)
{
    unsigned                     i;
    otpreg_str_t                 accept;
    ngx_table_elt_t             *h;
    ngx_http_otpreg_language_t  *language;

    ngx_str_null(tag);

    if (olcf->languages == NULL) {
        return;
    }

    accept = (otpreg_str_t) { NULL, 0 };
    h = ngx_http_otpreg_find_header(r, "accept-language");

    if (h != NULL) {
        accept = ngx_http_otpreg_str(&h->value);
    }

    i = otpreg_language_choose(accept, olcf->languages->tags.elts,
                               olcf->languages->tags.nelts);

    language = olcf->languages->languages.elts;
    *tag = language[i].tag;
}


const ngx_http_otpreg_language_t *
ngx_http_otpreg_language(ngx_http_request_t *r,
    ngx_http_otpreg_loc_conf_t *olcf)
{
    ngx_uint_t                    i;
    ngx_http_variable_value_t    *vv;
    ngx_http_otpreg_language_t   *language;
    ngx_http_otpreg_main_conf_t  *omcf;

    if (olcf->languages == NULL) {
        return NULL;
    }

    omcf = ngx_http_get_module_main_conf(r, ngx_http_otpreg_module);

    vv = ngx_http_get_indexed_variable(r, omcf->lang_index);

    if (vv == NULL || vv->not_found) {
        return NULL;
    }

    language = olcf->languages->languages.elts;

    for (i = 0; i < olcf->languages->languages.nelts; i++) {
        if (language[i].tag.len == vv->len
            && ngx_strncasecmp(language[i].tag.data, vv->data, vv->len) == 0)
        {
            return &language[i];
        }
    }

    return NULL;
}
