
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


static otpreg_binding_t
binding_parts(const uint8_t *id, const char *address, const char *code)
{
    otpreg_binding_t  parts;

    parts.id = id;
    parts.purpose = OTPREG_PURPOSE_SIGNUP;
    parts.channel = OTPREG_CHANNEL_EMAIL;
    parts.template = "otp";
    parts.address = address;
    parts.code = code;

    return parts;
}


static bool
binding_holds(const uint8_t *id, const char *address, const char *code,
    const char *text, const uint8_t *tag)
{
    otpreg_binding_t  parts;

    parts = binding_parts(id, address, code);

    return otpreg_binding_verify(binding_key, &parts, text, tag);
}


int
main(void)
{
    uint8_t           tag[OTPREG_BINDING_LEN], none[OTPREG_BINDING_LEN];
    uint8_t           key[OTPREG_BINDING_KEY_LEN];
    otpreg_binding_t  parts;

    if (sodium_init() == -1) {
        return 1;
    }

    parts = binding_parts(binding_a, "a@example.com", "");
    otpreg_binding_tag(binding_key, &parts, none);

    parts = binding_parts(binding_a, "a@example.com", "123456");
    otpreg_binding_tag(binding_key, &parts, tag);

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

    parts.purpose = (otpreg_purpose_t) (OTPREG_PURPOSE_SIGNUP + 1);
    tap_ok(!otpreg_binding_verify(binding_key, &parts, NULL, tag),
           "another purpose");

    parts = binding_parts(binding_a, "a@example.com", "123456");
    parts.channel = OTPREG_CHANNEL_SMS;
    tap_ok(!otpreg_binding_verify(binding_key, &parts, NULL, tag),
           "another channel");

    parts = binding_parts(binding_a, "a@example.com", "123456");
    parts.template = "taken";
    tap_ok(!otpreg_binding_verify(binding_key, &parts, NULL, tag),
           "another template");

    parts = binding_parts(binding_a, "a@example.com", "123456");
    memcpy(key, binding_key, sizeof(key));
    key[0] ^= 1;

    tap_ok(!otpreg_binding_verify(key, &parts, NULL, tag), "another process");

    return tap_done();
}
