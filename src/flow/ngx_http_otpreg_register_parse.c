
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_challenge.h"
#include "ngx_http_otpreg_ctx.h"
#include "ngx_http_otpreg_fields.h"
#include "ngx_http_otpreg_loc_conf.h"
#include "ngx_http_otpreg_register.h"
#include "ngx_http_otpreg_request.h"
#include "ngx_http_otpreg_robot.h"


/* the form: fields with a message of their own, then those against robots */

#define NGX_HTTP_OTPREG_ROBOT          (NGX_HTTP_OTPREG_CONFIRM + 1)
#define NGX_HTTP_OTPREG_SOLUTION                                              \
    (NGX_HTTP_OTPREG_ROBOT + NGX_HTTP_OTPREG_ROBOT_FIELDS)
#define NGX_HTTP_OTPREG_FORM_FIELDS                                           \
    (NGX_HTTP_OTPREG_SOLUTION + NGX_HTTP_OTPREG_CHALLENGE_FIELDS)


static void ngx_http_otpreg_register_check(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_signup_t *s,
    otpreg_form_field_t *fields);
static bool ngx_http_otpreg_register_same(otpreg_str_t password,
    otpreg_str_t confirm, ngx_http_otpreg_signup_t *s);


ngx_int_t
ngx_http_otpreg_register_parse(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_signup_t *s)
{
    otpreg_form_field_t  fields[NGX_HTTP_OTPREG_FORM_FIELDS];

    ngx_memzero(fields, sizeof(fields));
    ngx_http_otpreg_name_fields(fields, NGX_HTTP_OTPREG_USERNAME,
                                NGX_HTTP_OTPREG_CONFIRM);
    ngx_http_otpreg_robot_fields(ctx->conf, &fields[NGX_HTTP_OTPREG_ROBOT]);
    ngx_http_otpreg_challenge_fields(&fields[NGX_HTTP_OTPREG_SOLUTION]);

    ctx->outcome = ngx_http_otpreg_parse_form(r, fields,
                                              NGX_HTTP_OTPREG_FORM_FIELDS);

    if (ctx->outcome != OTPREG_OK) {
        return NGX_OK;
    }

    if (ngx_http_otpreg_keep_typed(r, ctx, fields) != NGX_OK
        || ngx_http_otpreg_challenge_keep(r, ctx,
                                          &fields[NGX_HTTP_OTPREG_SOLUTION])
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_otpreg_register_check(r, ctx, s, fields);

    if (ngx_http_otpreg_judge_fields(ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_otpreg_robot_check(r, ctx, &fields[NGX_HTTP_OTPREG_ROBOT],
                                &s->password, &s->in, &s->form);

    return NGX_OK;
}


/* every field, so that all errors are told at once */

static void
ngx_http_otpreg_register_check(ngx_http_request_t *r,
    ngx_http_otpreg_ctx_t *ctx, ngx_http_otpreg_signup_t *s,
    otpreg_form_field_t *fields)
{
    char                        *at;
    otpreg_str_t                 personal[4], *password, *confirm;
    otpreg_password_policy_t     policy;
    ngx_http_otpreg_loc_conf_t  *olcf;

    olcf = ngx_http_get_module_loc_conf(r, ngx_http_otpreg_module);

    ngx_http_otpreg_check_identity(r, ctx, fields, &s->in);

    at = strchr(s->in.email.key, '@');

    personal[0].data = (u_char *) s->in.username.key;
    personal[0].len = ngx_strlen(s->in.username.key);
    personal[1].data = (u_char *) s->in.email.key;
    personal[1].len = ngx_strlen(s->in.email.key);
    personal[2].data = (u_char *) s->in.email.key;
    personal[2].len = at ? (size_t) (at - s->in.email.key) : 0;
    personal[3].data = (u_char *) s->in.phone.number;
    personal[3].len = ngx_strlen(s->in.phone.number);

    policy.chars_min = olcf->password_min;
    policy.chars_max = olcf->password_max;
    policy.blocklist = olcf->blocklist;

    password = &fields[NGX_HTTP_OTPREG_PASSWORD].value;
    confirm = &fields[NGX_HTTP_OTPREG_CONFIRM].value;

    ctx->fields[NGX_HTTP_OTPREG_PASSWORD] =
            otpreg_password_check(*password, &policy, personal, 4,
                                  &s->password);

    if (confirm->len == 0) {
        ctx->fields[NGX_HTTP_OTPREG_CONFIRM] = OTPREG_REQUIRED;

    } else if (!ngx_http_otpreg_register_same(*password, *confirm, s)) {
        ctx->fields[NGX_HTTP_OTPREG_CONFIRM] = OTPREG_PASSWORD_MISMATCH;
    }
}


/* byte for byte, or in their normal form */

static bool
ngx_http_otpreg_register_same(otpreg_str_t password, otpreg_str_t confirm,
    ngx_http_otpreg_signup_t *s)
{
    bool                      same;
    otpreg_password_t         other;
    otpreg_password_policy_t  any;

    if (password.len == confirm.len
        && sodium_memcmp(password.data, confirm.data, confirm.len) == 0)
    {
        return true;
    }

    any.chars_min = 1;
    any.chars_max = OTPREG_PASSWORD_CHARS_MAX;
    any.blocklist = NULL;

    same = otpreg_password_check(confirm, &any, NULL, 0, &other) == OTPREG_OK
           && other.len == s->password.len
           && sodium_memcmp(other.data, s->password.data, other.len) == 0;

    sodium_memzero(&other, sizeof(otpreg_password_t));

    return same;
}
