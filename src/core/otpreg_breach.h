
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_BREACH_H_INCLUDED_
#define _OTPREG_BREACH_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_str.h"


/*
 * A list of breached passwords, asked by k-anonymity: the question is the first
 * 20 bits of the SHA-1 of a password, the answer is the rest of all hashes that
 * begin so, a line each: 35 hexadecimal digits, ":", how often it was seen.
 * Source: the range API of Have I Been Pwned, Pwned Passwords.
 */


#define OTPREG_BREACH_HASH_LEN    20
#define OTPREG_BREACH_PREFIX_LEN  5
#define OTPREG_BREACH_SUFFIX_LEN  35


/* where an answer was read up to; the owner wipes it */

typedef struct {
    char                prefix[OTPREG_BREACH_PREFIX_LEN + 1];   /* A-F */
    char                suffix[OTPREG_BREACH_SUFFIX_LEN + 1];   /* a-f */
    size_t              column;
    bool                match;          /* the line so far */
    bool                wrong;          /* the line is no entry */
    bool                seen;           /* its number is not zero */
    bool                known;          /* there was an entry */
    bool                found;          /* ours */
} otpreg_breach_t;


/* Begin, with the SHA-1 of a password.  Thread: any. */
void otpreg_breach_init(otpreg_breach_t *breach,
    const uint8_t hash[OTPREG_BREACH_HASH_LEN]);

/*
 * Read on, and at the end of the answer end.  It is one if breach->known is
 * true then, and holds the password if breach->found is.  Entries that were
 * seen zero times are padding.  Thread: any; needs no memory.
 */
void otpreg_breach_read(otpreg_breach_t *breach, otpreg_str_t piece);
void otpreg_breach_end(otpreg_breach_t *breach);


#endif /* _OTPREG_BREACH_H_INCLUDED_ */
