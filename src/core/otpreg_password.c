
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>

#include <sodium.h>

#include "otpreg_password.h"
#include "otpreg_unicode.h"


/* code points that one code point in NFC may come from: U+1F82 has four */
#define OTPREG_PASSWORD_DECOMPOSED_MAX   4

_Static_assert(OTPREG_PHC_SIZE >= crypto_pwhash_STRBYTES,
               "a PHC string must fit");


/* C0, DEL and C1, in valid UTF-8 */

static bool
otpreg_password_has_control(otpreg_str_t in)
{
    size_t  i;

    for (i = 0; i < in.len; i++) {

        if (in.data[i] < 0x20 || in.data[i] == 0x7f) {
            return true;
        }

        if (in.data[i] == 0xc2 && in.data[i + 1] < 0xa0) {
            return true;
        }
    }

    return false;
}


/*
 * Length and characters, and NFC into out.  The length as it came is limited
 * first: normalising takes time that grows with its square.
 */
static otpreg_outcome_t
otpreg_password_normalize(otpreg_str_t in,
    const otpreg_password_policy_t *policy, otpreg_password_t *out)
{
    size_t            count, max;
    otpreg_text_t     nfc;
    otpreg_outcome_t  rc;

    if (!otpreg_unicode_count(in, &count)) {
        return OTPREG_NOT_UTF8;
    }

    if (otpreg_password_has_control(in)) {
        return OTPREG_PASSWORD_CONTROL;
    }

    max = policy->chars_max;

    if (max > OTPREG_PASSWORD_CHARS_MAX) {
        max = OTPREG_PASSWORD_CHARS_MAX;
    }

    if (count > max * OTPREG_PASSWORD_DECOMPOSED_MAX) {
        return OTPREG_PASSWORD_TOO_LONG;
    }

    rc = otpreg_unicode_nfc(in, &nfc);

    if (rc == OTPREG_OK) {
        (void) otpreg_unicode_count(nfc.str, &count);

        if (count < policy->chars_min) {
            rc = OTPREG_PASSWORD_TOO_SHORT;

        } else if (count > max) {
            rc = OTPREG_PASSWORD_TOO_LONG;

        } else {
            memcpy(out->data, nfc.str.data, nfc.str.len);
            out->len = nfc.str.len;
        }
    }

    otpreg_text_free(&nfc);

    return rc;
}


/* Whether a folded password equals one of the words; none when not UTF-8. */

static otpreg_outcome_t
otpreg_password_personal(otpreg_str_t folded, const otpreg_str_t *personal,
    unsigned n_personal)
{
    bool              equal;
    unsigned          i;
    otpreg_text_t     word;
    otpreg_outcome_t  rc;

    for (i = 0; i < n_personal; i++) {

        rc = otpreg_unicode_fold(personal[i], &word);

        equal = rc == OTPREG_OK
                && word.str.len == folded.len
                && sodium_memcmp(word.str.data, folded.data, folded.len) == 0;

        otpreg_text_free(&word);

        if (rc == OTPREG_ERROR) {
            return OTPREG_ERROR;
        }

        if (equal) {
            return OTPREG_PASSWORD_PERSONAL;
        }
    }

    return OTPREG_OK;
}


static otpreg_outcome_t
otpreg_password_words(const otpreg_password_t *password,
    const otpreg_password_policy_t *policy, const otpreg_str_t *personal,
    unsigned n_personal)
{
    otpreg_str_t      in;
    otpreg_text_t     folded;
    otpreg_outcome_t  rc;

    in.data = (const uint8_t *) password->data;
    in.len = password->len;

    rc = otpreg_unicode_fold(in, &folded);

    if (rc == OTPREG_OK) {
        rc = otpreg_password_personal(folded.str, personal, n_personal);
    }

    if (rc == OTPREG_OK
        && policy->blocklist != NULL
        && otpreg_blocklist_has(policy->blocklist, folded.str))
    {
        rc = OTPREG_PASSWORD_COMMON;
    }

    otpreg_text_free(&folded);

    return rc;
}


otpreg_outcome_t
otpreg_password_check(otpreg_str_t in, const otpreg_password_policy_t *policy,
    const otpreg_str_t *personal, unsigned n_personal, otpreg_password_t *out)
{
    otpreg_outcome_t  rc;

    sodium_memzero(out, sizeof(otpreg_password_t));

    if (in.len == 0) {
        return OTPREG_REQUIRED;
    }

    rc = otpreg_password_normalize(in, policy, out);

    if (rc == OTPREG_OK) {
        rc = otpreg_password_words(out, policy, personal, n_personal);
    }

    if (rc != OTPREG_OK) {
        sodium_memzero(out, sizeof(otpreg_password_t));
    }

    return rc;
}


bool
otpreg_password_hash(const otpreg_password_t *password, size_t memory,
    unsigned operations, char phc[OTPREG_PHC_SIZE])
{
    return crypto_pwhash_str_alg(phc, password->data, password->len, operations,
                                 memory, crypto_pwhash_ALG_ARGON2ID13)
           == 0;
}
