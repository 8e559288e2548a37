
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>
#include <string.h>

#include "otpreg_binding.h"
#include "tap.h"


static const uint8_t  binding_key[OTPREG_BINDING_KEY_LEN] = { 1, 2, 3 };
static const uint8_t  binding_a[OTPREG_ID_LEN] = { 10 };
static const uint8_t  binding_b[OTPREG_ID_LEN] = { 11 };


static bool
binding_holds(const uint8_t *id, const char *address, const char *code,
    const char *text, const uint8_t *tag)
{
    return otpreg_binding_verify(binding_key, id, address, code, text, tag);
}


int
main(void)
{
    uint8_t  tag[OTPREG_BINDING_LEN], none[OTPREG_BINDING_LEN];
    uint8_t  key[OTPREG_BINDING_KEY_LEN];

    if (sodium_init() == -1) {
        return 1;
    }

    otpreg_binding_tag(binding_key, binding_a, "a@example.com", "123456", tag);
    otpreg_binding_tag(binding_key, binding_a, "a@example.com", "", none);

    tap_ok(binding_holds(binding_a, "a@example.com", "123456", NULL, tag),
           "what belongs together");
    tap_ok(binding_holds(binding_a, "a@example.com", "123456",
                         "Your code is 123456.", tag), "and its text");
    tap_ok(binding_holds(binding_a, "a@example.com", "123456",
                         "Your code is 123 456.", tag), "and in two groups");
    tap_ok(binding_holds(binding_a, "a@example.com", "", "No code.", none),
           "a message without a code");

    tap_ok(!binding_holds(binding_b, "a@example.com", "123456", NULL, tag),
           "another message");
    tap_ok(!binding_holds(binding_a, "b@example.com", "123456", NULL, tag),
           "another recipient");
    tap_ok(!binding_holds(binding_a, "a@example.com", "123457", NULL, tag),
           "another code");
    tap_ok(!binding_holds(binding_a, "a@example.com", "123456",
                          "Your code is 123457.", tag), "another text");
    tap_ok(!binding_holds(binding_a, "a@example.com", "", NULL, tag),
           "no code where there was one");
    tap_ok(!binding_holds(binding_a, "a@example.com1", "23456", NULL, tag),
           "a byte that moves from the code to the address");

    memcpy(key, binding_key, sizeof(key));
    key[0] ^= 1;

    tap_ok(!otpreg_binding_verify(key, binding_a, "a@example.com", "123456",
                                  NULL, tag), "another process");

    return tap_done();
}
