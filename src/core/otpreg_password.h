
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_PASSWORD_H_INCLUDED_
#define _OTPREG_PASSWORD_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_outcome.h"
#include "otpreg_str.h"


#define OTPREG_PASSWORD_CHARS_MAX   1024    /* what the maximum may be set to */
#define OTPREG_PASSWORD_SIZE        (OTPREG_PASSWORD_CHARS_MAX * 4 + 1)
#define OTPREG_PHC_SIZE             128


typedef struct otpreg_blocklist_s  otpreg_blocklist_t;


typedef struct {
    unsigned                     chars_min;     /* code points after NFC */
    unsigned                     chars_max;
    const otpreg_blocklist_t    *blocklist;     /* or NULL */
} otpreg_password_policy_t;


/* NFC of a password; the owner wipes it */

typedef struct {
    size_t                       len;           /* bytes */
    char                         data[OTPREG_PASSWORD_SIZE];
} otpreg_password_t;


/*
 * Normalise a password (UTF-8, to NFC, by utf8proc; its memory is wiped) and
 * check it.  Length is counted in code points after NFC; no composition
 * rules; white space is kept as it is.  The blocklist and the personal words
 * are compared with the whole password, after case folding.
 *
 * in        [in]  as it came
 * personal  [in]  n_personal values that the password must not equal: the
 *                 username, the address, its local part; may be empty strings
 * out       [out] wiped unless OTPREG_OK is returned
 *
 * Returns OTPREG_OK, OTPREG_REQUIRED (empty), OTPREG_NOT_UTF8,
 * OTPREG_PASSWORD_CONTROL (C0, DEL, C1, NUL), OTPREG_PASSWORD_TOO_SHORT,
 * _TOO_LONG, _COMMON, _PERSONAL or OTPREG_ERROR (no memory).  Thread: any;
 * takes microseconds.  Source: NIST SP 800-63B-4 3.1.1.2.
 */
otpreg_outcome_t otpreg_password_check(otpreg_str_t in,
    const otpreg_password_policy_t *policy, const otpreg_str_t *personal,
    unsigned n_personal, otpreg_password_t *out);


/*
 * Hash with Argon2id into a PHC string.  Blocks for about 90 ms and needs
 * memory bytes while it runs: hash thread only.
 *
 * password   [in]  normalised
 * memory     [in]  bytes, 8192 at least
 * operations [in]  passes, 1 at least
 *
 * Returns whether it worked; false means no memory.
 */
bool otpreg_password_hash(const otpreg_password_t *password, size_t memory,
    unsigned operations, char phc[OTPREG_PHC_SIZE]);


/*
 * Read a blocklist: one password a line, UTF-8 (a byte order mark is skipped),
 * CRLF accepted, empty lines skipped.  Entries are normalised and case-folded,
 * and kept as sorted 64-bit SipHash values under a random key (a false hit has
 * probability n/2^64).  An entry too long to equal any password is dropped.
 *
 * Returns NULL when there is no memory, or at a line that is not UTF-8, whose
 * number is then in *line (else 0).  Freed by otpreg_blocklist_free().
 * Thread: configuration.
 */
otpreg_blocklist_t *otpreg_blocklist_parse(otpreg_str_t text, unsigned *line);
void otpreg_blocklist_free(otpreg_blocklist_t *list);


/* How many different entries it has. */
size_t otpreg_blocklist_count(const otpreg_blocklist_t *list);


/*
 * Whether a password is on the list.
 *
 * folded [in]  as otpreg_unicode_fold() made it
 *
 * Thread: any.
 */
bool otpreg_blocklist_has(const otpreg_blocklist_t *list, otpreg_str_t folded);


#endif /* _OTPREG_PASSWORD_H_INCLUDED_ */
