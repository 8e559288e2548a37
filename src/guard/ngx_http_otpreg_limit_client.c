
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_http_otpreg_limit.h"
#include "ngx_http_otpreg_loc_conf.h"


#if (NGX_HAVE_INET6)

/* an IPv6 address that stands for an IPv4 address: its prefix, and where */

typedef struct {
    size_t                      len;            /* of the prefix, bytes */
    u_char                      prefix[12];
    u_char                      offset;
    u_char                      mask;           /* what it is XORed with */
} ngx_http_otpreg_limit_embedded_t;


static const ngx_http_otpreg_limit_embedded_t
    ngx_http_otpreg_limit_embedded[] =
{
    /* mapped (RFC 4291) */
    { 12, { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff }, 12, 0 },

    /* translated by the well-known prefix (RFC 6052) */
    { 12, { 0, 0x64, 0xff, 0x9b }, 12, 0 },

    /* 6to4 (RFC 3056): each IPv4 address has a /48 */
    { 2, { 0x20, 0x02 }, 2, 0 },

    /* Teredo (RFC 4380): the address of the NAT, inverted */
    { 4, { 0x20, 0x01, 0, 0 }, 12, 0xff }
};


/* translated by a local-use prefix (RFC 8215), whose length nobody says */

static const u_char  ngx_http_otpreg_limit_local[] = {
    0, 0x64, 0xff, 0x9b, 0, 1
};


static void ngx_http_otpreg_limit_client6(const u_char *p,
    ngx_http_otpreg_limit_key_t *key);

#endif


void
ngx_http_otpreg_limit_client(const struct sockaddr *sa,
    ngx_http_otpreg_limit_key_t *key)
{
    switch (sa->sa_family) {

#if (NGX_HAVE_INET6)
    case AF_INET6:
        ngx_http_otpreg_limit_client6(
            ((const struct sockaddr_in6 *) sa)->sin6_addr.s6_addr, key);
        return;
#endif

    case AF_INET:
        key->family = NGX_HTTP_OTPREG_LIMIT_INET;
        ngx_memcpy(key->block,
                   &((const struct sockaddr_in *) sa)->sin_addr.s_addr, 4);
        return;

    default:
        key->family = NGX_HTTP_OTPREG_LIMIT_UNIX;
    }
}


#if (NGX_HAVE_INET6)

static void
ngx_http_otpreg_limit_client6(const u_char *p,
    ngx_http_otpreg_limit_key_t *key)
{
    ngx_uint_t                               i, k;
    const ngx_http_otpreg_limit_embedded_t  *e;

    for (i = 0; i < sizeof(ngx_http_otpreg_limit_embedded)
                    / sizeof(ngx_http_otpreg_limit_embedded[0]); i++)
    {
        e = &ngx_http_otpreg_limit_embedded[i];

        if (ngx_memcmp(p, e->prefix, e->len) == 0) {

            key->family = NGX_HTTP_OTPREG_LIMIT_INET;

            for (k = 0; k < 4; k++) {
                key->block[k] = p[e->offset + k] ^ e->mask;
            }

            return;
        }
    }

    if (ngx_memcmp(p, ngx_http_otpreg_limit_local,
                   sizeof(ngx_http_otpreg_limit_local))
        == 0)
    {
        /* wherever the IPv4 address is in it, each has one such address */

        key->family = NGX_HTTP_OTPREG_LIMIT_INET;
        ngx_memcpy(key->block, p + 4, 12);
        return;
    }

    /* who has an IPv6 address has a /64 of them */

    key->family = NGX_HTTP_OTPREG_LIMIT_INET6;
    ngx_memcpy(key->block, p, 8);
}

#endif


void
ngx_http_otpreg_limit_network(const ngx_http_otpreg_limit_key_t *client,
    ngx_uint_t bits, ngx_http_otpreg_limit_key_t *key)
{
    *key = *client;
    key->network = bits;

    ngx_memzero(key->block + (bits + 7) / 8,
                sizeof(key->block) - (bits + 7) / 8);

    if (bits % 8 != 0) {
        key->block[bits / 8] &= 0xff << (8 - bits % 8);
    }
}
