
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "otpreg_template.h"

#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_locate.h"
#include "ngx_http_otpreg_missing.h"
#include "ngx_http_otpreg_page.h"
#include "ngx_http_otpreg_realm.h"


typedef struct {
    ngx_http_otpreg_loc_conf_t   *conf;
    ngx_http_core_srv_conf_t     *server;
} ngx_http_otpreg_site_t;


typedef struct {
    ngx_conf_t                   *cf;
    ngx_http_core_srv_conf_t     *server;
    ngx_http_otpreg_loc_conf_t   *conf;
    const char                   *directive;
    ngx_uint_t                    file;     /* it may be one */
} ngx_http_otpreg_missing_t;


static void ngx_http_otpreg_missing_shared(ngx_http_otpreg_missing_t *m);
static void ngx_http_otpreg_missing_couriers(ngx_http_otpreg_missing_t *m,
    const char *directive, ngx_array_t *couriers);
static void ngx_http_otpreg_missing_value(ngx_http_otpreg_missing_t *m,
    const char *directive, ngx_http_complex_value_t *value);
static void ngx_http_otpreg_missing_links(ngx_http_otpreg_missing_t *m);
static void ngx_http_otpreg_missing_link(ngx_http_otpreg_missing_t *m,
    const char *directive, ngx_http_complex_value_t *value);
static void ngx_http_otpreg_missing_ask(ngx_http_otpreg_missing_t *m,
    const char *directive, ngx_http_otpreg_callout_conf_t *callout);
static void ngx_http_otpreg_missing_uri(ngx_http_otpreg_missing_t *m,
    ngx_str_t *uri);
static ngx_uint_t ngx_http_otpreg_missing_is_named(
    ngx_http_core_srv_conf_t *server, ngx_str_t *name);
static ngx_uint_t ngx_http_otpreg_missing_is_served(
    ngx_http_otpreg_missing_t *m, ngx_str_t *uri);
static ngx_uint_t ngx_http_otpreg_missing_is_led(ngx_conf_t *cf,
    void **loc_conf, const char *name);
static ngx_uint_t ngx_http_otpreg_missing_has_file(
    ngx_http_otpreg_missing_t *m, ngx_http_core_loc_conf_t *clcf,
    ngx_str_t *uri);
static void ngx_http_otpreg_missing_ssi(ngx_http_otpreg_missing_t *m,
    ngx_http_core_loc_conf_t *clcf, u_char *path);


ngx_int_t
ngx_http_otpreg_missing_note(ngx_conf_t *cf, ngx_http_otpreg_loc_conf_t *olcf)
{
    ngx_http_otpreg_site_t       *site;
    ngx_http_core_loc_conf_t     *clcf;
    ngx_http_otpreg_main_conf_t  *omcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname) {
        return NGX_OK;                  /* "if": as the location around it */
    }

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_otpreg_module);

    if (omcf->sites == NULL) {
        omcf->sites = ngx_array_create(cf->temp_pool, 8,
                                       sizeof(ngx_http_otpreg_site_t));
        if (omcf->sites == NULL) {
            return NGX_ERROR;
        }
    }

    site = ngx_array_push(omcf->sites);
    if (site == NULL) {
        return NGX_ERROR;
    }

    site->conf = olcf;
    site->server = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    return NGX_OK;
}


ngx_int_t
ngx_http_otpreg_missing_warn(ngx_conf_t *cf)
{
    ngx_uint_t                    i;
    ngx_http_otpreg_site_t       *site;
    ngx_http_otpreg_missing_t     m;
    ngx_http_otpreg_main_conf_t  *omcf;

    omcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_otpreg_module);

    if (omcf->sites == NULL) {
        return NGX_OK;
    }

    site = omcf->sites->elts;

    for (i = 0; i < omcf->sites->nelts; i++) {
        m.cf = cf;
        m.conf = site[i].conf;
        m.server = site[i].server;

        ngx_http_otpreg_missing_value(&m, m.conf->page->directive,
                                      m.conf->page_uri);
        ngx_http_otpreg_missing_links(&m);

        if (m.conf->page->begins) {
            ngx_http_otpreg_missing_shared(&m);
            ngx_http_otpreg_missing_ask(&m, "otpreg_challenge",
                                        m.conf->challenge);
            ngx_http_otpreg_missing_ask(&m, "otpreg_password_breach_check",
                                        m.conf->breach);
        }

        /* messages are sent in the server of the first location of a site */

        if (m.conf->realm->conf != m.conf) {
            continue;
        }

        ngx_http_otpreg_missing_couriers(&m, "otpreg_mail",
                              m.conf->couriers[OTPREG_CHANNEL_EMAIL - 1]);
        ngx_http_otpreg_missing_couriers(&m, "otpreg_sms",
                              m.conf->couriers[OTPREG_CHANNEL_SMS - 1]);
        ngx_http_otpreg_missing_value(&m, "otpreg_mail_text",
                                      m.conf->mail_text);
        ngx_http_otpreg_missing_value(&m, "otpreg_mail_html",
                                      m.conf->mail_html);
        ngx_http_otpreg_missing_value(&m, "otpreg_sms_text",
                                      m.conf->sms_text);
    }

    omcf->sites = NULL;

    return NGX_OK;
}


/* who has named the site knows that it is shared */

static void
ngx_http_otpreg_missing_shared(ngx_http_otpreg_missing_t *m)
{
    ngx_http_otpreg_loc_conf_t  *first;

    first = m->conf->realm->conf;

    if (m->conf->realm->conf_ctx == m->server->ctx
        || ngx_strcmp(m->conf->site.data, "default") != 0)
    {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, m->cf->log, 0,
                  "the messages of the location in %s:%ui are sent by the "
                  "couriers of the server of that in %s:%ui: they share a "
                  "database and have no \"otpreg_site\"",
                  m->conf->file, m->conf->line, first->file, first->line);
}


static void
ngx_http_otpreg_missing_couriers(ngx_http_otpreg_missing_t *m,
    const char *directive, ngx_array_t *couriers)
{
    ngx_str_t   *uri;
    ngx_uint_t   i;

    if (couriers == NULL) {
        return;
    }

    m->directive = directive;
    m->file = 0;
    uri = couriers->elts;

    for (i = 0; i < couriers->nelts; i++) {
        ngx_http_otpreg_missing_uri(m, &uri[i]);
    }
}


static void
ngx_http_otpreg_missing_value(ngx_http_otpreg_missing_t *m,
    const char *directive, ngx_http_complex_value_t *value)
{
    if (value == NULL || value->lengths != NULL) {
        return;
    }

    m->directive = directive;
    m->file = 1;

    ngx_http_otpreg_missing_uri(m, &value->value);
}


/* where people are led from here, and what the page posts to */

static void
ngx_http_otpreg_missing_links(ngx_http_otpreg_missing_t *m)
{
    if (m->conf->page->begins) {
        ngx_http_otpreg_missing_link(m, "otpreg_verify_uri",
                                     m->conf->verify_uri);

    } else if (m->conf->page_uri != NULL) {
        ngx_http_otpreg_missing_link(m, "otpreg_register_uri",
                                     m->conf->register_uri);
        ngx_http_otpreg_missing_link(m, "otpreg_resend_uri",
                                     m->conf->resend_uri);
        ngx_http_otpreg_missing_link(m, "otpreg_login_uri",
                                     m->conf->login_uri);
    }
}


/* it may be on another host */

static void
ngx_http_otpreg_missing_link(ngx_http_otpreg_missing_t *m,
    const char *directive, ngx_http_complex_value_t *value)
{
    if (value != NULL && value->lengths == NULL
        && value->value.len > 1
        && value->value.data[0] == '/' && value->value.data[1] != '/')
    {
        ngx_http_otpreg_missing_value(m, directive, value);
    }
}


static void
ngx_http_otpreg_missing_ask(ngx_http_otpreg_missing_t *m,
    const char *directive, ngx_http_otpreg_callout_conf_t *callout)
{
    if (callout == NULL) {
        return;
    }

    m->directive = directive;
    m->file = 0;

    ngx_http_otpreg_missing_uri(m, &callout->uri);
}


static void
ngx_http_otpreg_missing_uri(ngx_http_otpreg_missing_t *m, ngx_str_t *uri)
{
    u_char      *p;
    ngx_str_t    path;
    ngx_uint_t   is_there;

    if (uri->len == 0) {
        return;
    }

    path = *uri;

    if (path.data[0] == '@') {
        is_there = ngx_http_otpreg_missing_is_named(m->server, &path);

    } else {
        p = ngx_strlchr(path.data, path.data + path.len, '?');

        if (p != NULL) {
            path.len = p - path.data;
        }

        is_there = ngx_http_otpreg_missing_is_served(m, &path);
    }

    if (!is_there) {
        ngx_log_error(NGX_LOG_WARN, m->cf->log, 0,
                      "\"%s\" of the location in %s:%ui leads nowhere: "
                      "there is no location%s for \"%V\"",
                      m->directive, m->conf->file, m->conf->line,
                      m->file ? " and no file" : "", uri);
    }
}


static ngx_uint_t
ngx_http_otpreg_missing_is_named(ngx_http_core_srv_conf_t *server,
    ngx_str_t *name)
{
    ngx_http_core_loc_conf_t  **clcf;

    for (clcf = server->named_locations; clcf && *clcf; clcf++) {

        if ((*clcf)->name.len == name->len
            && ngx_strncmp((*clcf)->name.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* when in doubt it is */

static ngx_uint_t
ngx_http_otpreg_missing_is_served(ngx_http_otpreg_missing_t *m, ngx_str_t *uri)
{
    void                     **loc_conf;
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf, *server;

    server = m->server->ctx->loc_conf[ngx_http_core_module.ctx_index];

    clcf = ngx_http_otpreg_locate(server, uri);

    if (clcf == NULL) {
        clcf = server;
    }

    loc_conf = (clcf == server) ? m->server->ctx->loc_conf : clcf->loc_conf;

    if (clcf->handler != NULL
        || ngx_http_otpreg_missing_is_led(m->cf, m->server->ctx->loc_conf,
                                          "ngx_http_rewrite_module")
        || ngx_http_otpreg_missing_is_led(m->cf, loc_conf,
                                          "ngx_http_rewrite_module")
        || ngx_http_otpreg_missing_is_led(m->cf, loc_conf,
                                          "ngx_http_try_files_module"))
    {
        return 1;
    }

    if (!m->file) {
        return clcf != server
               && !(clcf->name.len == 1 && clcf->name.data[0] == '/');
    }

    if (clcf->error_pages != NULL) {
        page = clcf->error_pages->elts;

        for (i = 0; i < clcf->error_pages->nelts; i++) {
            if (page[i].status == NGX_HTTP_NOT_FOUND && page[i].overwrite >= 0)
            {
                return 1;
            }
        }
    }

    return ngx_http_otpreg_missing_has_file(m, clcf, uri);
}


/*
 * Whether a location has "rewrite", "return", "if", "set" or "try_files".  Both
 * modules keep their configuration to themselves; it begins with a pointer that
 * is NULL where there is none of these, as that of SSI begins with its flag.
 */

static ngx_uint_t
ngx_http_otpreg_missing_is_led(ngx_conf_t *cf, void **loc_conf,
    const char *name)
{
    void        **conf;
    ngx_uint_t    i;

    for (i = 0; cf->cycle->modules[i]; i++) {

        if (ngx_strcmp(cf->cycle->modules[i]->name, name) == 0) {
            conf = loc_conf[cf->cycle->modules[i]->ctx_index];

            return conf != NULL && *conf != NULL;
        }
    }

    return 0;
}


static ngx_uint_t
ngx_http_otpreg_missing_has_file(ngx_http_otpreg_missing_t *m,
    ngx_http_core_loc_conf_t *clcf, ngx_str_t *uri)
{
    u_char           *path;
    size_t            alias;
    ngx_file_info_t   info;

    alias = clcf->alias;

    if (clcf->root_lengths != NULL || alias > uri->len
        || uri->data[uri->len - 1] == '/'
        || ngx_strlchr(uri->data, uri->data + uri->len, '%') != NULL)
    {
        return 1;
    }

    path = ngx_pnalloc(m->cf->temp_pool, clcf->root.len + uri->len + 1);
    if (path == NULL) {
        return 1;
    }

    ngx_sprintf(path, "%V%*s%Z", &clcf->root, uri->len - alias,
                uri->data + alias);

    if (ngx_file_info(path, &info) == NGX_FILE_ERROR) {
        return ngx_errno != NGX_ENOENT && ngx_errno != NGX_ENOTDIR;
    }

    if (ngx_is_file(&info)
        && !ngx_http_otpreg_missing_is_led(m->cf, clcf->loc_conf
                                           ? clcf->loc_conf
                                           : m->server->ctx->loc_conf,
                                           "ngx_http_ssi_filter_module"))
    {
        ngx_http_otpreg_missing_ssi(m, clcf, path);
    }

    return 1;
}


/* a file of which people would see the commands */

static void
ngx_http_otpreg_missing_ssi(ngx_http_otpreg_missing_t *m,
    ngx_http_core_loc_conf_t *clcf, u_char *path)
{
    u_char        buf[4096];
    ssize_t       n;
    ngx_fd_t      fd;
    otpreg_str_t  part;

    fd = ngx_open_file(path, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        return;
    }

    n = ngx_read_fd(fd, buf, sizeof(buf));
    (void) ngx_close_file(fd);

    part.data = buf;
    part.len = (n > 0) ? n : 0;

    if (otpreg_template_is_raw(part)) {
        ngx_log_error(NGX_LOG_WARN, m->cf->log, 0,
                      "\"%s\" of the location in %s:%ui: \"%s\" has SSI "
                      "commands, but SSI is off in the location \"%V\"",
                      m->directive, m->conf->file, m->conf->line, path,
                      &clcf->name);
    }
}
