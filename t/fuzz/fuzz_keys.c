
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "fuzz.h"
#include "otpreg_seal.h"


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;

    return sodium_init() < 0;
}


static size_t
fuzz_write(const otpreg_keys_t *keys, char *out)
{
    char      base64[64], *p;
    unsigned  i;

    p = out;

    for (i = 0; i < keys->n; i++) {
        sodium_bin2base64(base64, sizeof(base64), keys->key[i].key,
                          OTPREG_KEY_LEN, sodium_base64_VARIANT_ORIGINAL);
        p += sprintf(p, "%s %s\n", keys->key[i].name, base64);
    }

    return (size_t) (p - out);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char            text[OTPREG_KEYS_MAX * 128];
    size_t          text_len, lines, i;
    uint8_t        *copy;
    unsigned        line;
    const char     *error;
    otpreg_keys_t   keys, again;

    copy = fuzz_copy(data, len);
    line = otpreg_keys_parse((otpreg_str_t) { copy, len }, &keys, &error);
    free(copy);

    if (line != 0) {

        for (lines = 1, i = 0; i < len; i++) {
            lines += data[i] == '\n';
        }

        fuzz_check(error != NULL && line <= lines + 1);
        fuzz_check(sodium_is_zero((uint8_t *) &keys, sizeof(keys)));

        return 0;
    }

    fuzz_check(error == NULL);
    fuzz_check(keys.n != 0 && keys.n <= OTPREG_KEYS_MAX);

    for (i = 0; i < keys.n; i++) {
        fuzz_check(otpreg_keys_find(&keys, keys.key[i].name) == &keys.key[i]);
    }

    text_len = fuzz_write(&keys, text);

    fuzz_check(otpreg_keys_parse((otpreg_str_t) { (uint8_t *) text, text_len },
                                 &again, &error)
               == 0);
    fuzz_check(memcmp(&keys, &again, sizeof(keys)) == 0);

    return 0;
}
