
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include <sodium.h>

#include "otpreg_client.h"

#include "tap.h"


static void
client_test_id(void)
{
    uint8_t  key[OTPREG_KEY_LEN], other[OTPREG_KEY_LEN];
    uint8_t  a[OTPREG_CLIENT_LEN], b[OTPREG_CLIENT_LEN];

    memset(key, 1, sizeof(key));
    memset(other, 2, sizeof(other));

    otpreg_client_id(key, "network", 7, a);
    otpreg_client_id(key, "network", 7, b);
    tap_ok(memcmp(a, b, sizeof(a)) == 0, "a network has one id");

    otpreg_client_id(key, "networl", 7, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "another one has another");

    otpreg_client_id(other, "network", 7, b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "it needs the key");

    (void) crypto_generichash(b, sizeof(b), (const uint8_t *) "network", 7,
                              key, sizeof(key));
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "a key of its own");
}


static void
client_test_tag(void)
{
    uint8_t  id[OTPREG_CLIENT_LEN], other[OTPREG_CLIENT_LEN];
    uint8_t  a[OTPREG_CLIENT_LEN], b[OTPREG_CLIENT_LEN];

    memset(id, 1, sizeof(id));
    memset(other, 2, sizeof(other));

    otpreg_client_tag(id, OTPREG_CHANNEL_EMAIL, "a@example.com", a);
    otpreg_client_tag(id, OTPREG_CHANNEL_EMAIL, "a@example.com", b);
    tap_ok(memcmp(a, b, sizeof(a)) == 0, "one tag for one address");

    otpreg_client_tag(other, OTPREG_CHANNEL_EMAIL, "a@example.com", b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "another client has another tag");

    otpreg_client_tag(id, OTPREG_CHANNEL_EMAIL, "b@example.com", b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0,
           "two addresses do not tell that one client asked");

    otpreg_client_tag(id, OTPREG_CHANNEL_SMS, "a@example.com", b);
    tap_ok(memcmp(a, b, sizeof(a)) != 0, "nor do two channels");
}


int
main(void)
{
    if (sodium_init() == -1) {
        return 2;
    }

    client_test_id();
    client_test_tag();

    return tap_done();
}
