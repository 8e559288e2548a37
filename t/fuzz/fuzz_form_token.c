
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <sodium.h>

#include "fuzz.h"
#include "otpreg_form_token.h"


static otpreg_keys_t  fuzz_keys;


int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void) argc;
    (void) argv;

    if (sodium_init() < 0) {
        return 1;
    }

    fuzz_keys.n = 1;
    strcpy(fuzz_keys.key[0].name, "k0");
    memset(fuzz_keys.key[0].key, 0x11, OTPREG_KEY_LEN);

    return 0;
}


/* no token but one that was sealed opens; and not when a byte of it is new */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char                  token[OTPREG_FORM_TOKEN_SIZE];
    size_t                n, at;
    int64_t               shown_at;
    uint8_t              *copy;
    otpreg_form_token_t   form;

    copy = fuzz_copy(data, len);

    fuzz_check(!otpreg_form_token_open(&fuzz_keys,
                                       (otpreg_str_t) { copy, len }, &form));
    fuzz_check(sodium_is_zero((uint8_t *) &form, sizeof(form)));

    free(copy);

    if (len < 10) {
        return 0;
    }

    memcpy(&shown_at, data, 8);

    n = otpreg_form_token_seal(&fuzz_keys, shown_at, token);
    fuzz_check(n == OTPREG_FORM_TOKEN_SIZE - 1 && strlen(token) == n);
    fuzz_check(otpreg_form_token_open(&fuzz_keys, fuzz_str(token), &form));
    fuzz_check(form.shown_at == shown_at);

    at = data[8] % n;

    if (token[at] != (char) data[9]) {
        token[at] = (char) data[9];
        fuzz_check(!otpreg_form_token_open(&fuzz_keys,
                                  (otpreg_str_t) { (uint8_t *) token, n },
                                  &form));
    }

    return 0;
}
