
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_IDENTITY_H_INCLUDED_
#define _OTPREG_IDENTITY_H_INCLUDED_


#include "otpreg_outcome.h"
#include "otpreg_str.h"


#define OTPREG_USERNAME_MAX      150
#define OTPREG_EMAIL_MAX         254
#define OTPREG_EMAIL_LOCAL_MAX   64
#define OTPREG_PHONE_DIGITS_MIN  7
#define OTPREG_PHONE_DIGITS_MAX  15
#define OTPREG_PHONE_MAX         (1 + OTPREG_PHONE_DIGITS_MAX)


/* both NUL-terminated; key is the canonical form that uniqueness is about */

typedef struct {
    char                name[OTPREG_USERNAME_MAX + 1];  /* as typed */
    char                key[OTPREG_USERNAME_MAX + 1];   /* lower-case */
} otpreg_username_t;


typedef struct {
    char                address[OTPREG_EMAIL_MAX + 1];  /* to deliver to */
    char                key[OTPREG_EMAIL_MAX + 1];      /* lower-case */
} otpreg_email_t;


/* NUL-terminated, "+" and digits: the only form, so its own canonical one */

typedef struct {
    char                number[OTPREG_PHONE_MAX + 1];
} otpreg_phone_t;


/*
 * Parse a username: [A-Za-z0-9_.@+-]{1,150}, as Django's.  White space around
 * it is cut off.
 *
 * Returns OTPREG_OK, OTPREG_REQUIRED (nothing but white space),
 * OTPREG_USERNAME_INVALID or OTPREG_USERNAME_TOO_LONG.  Thread: any.
 */
otpreg_outcome_t otpreg_username_parse(otpreg_str_t in, otpreg_username_t *out);


/*
 * Whether a username could be taken for an address or a phone number: an "@"
 * is in it, or "+" is its first character.  Thread: any.
 */
bool otpreg_username_is_address(const otpreg_username_t *username);


/*
 * Parse an e-mail address.  White space around it is cut off.
 *
 * The local part is a dot-atom of ASCII (RFC 5321 4.1.2, no quoted string, 64
 * octets at most); the domain a host name of at least two labels, letters,
 * digits and hyphens, or an IDN (libidn2, IDNA2008 with UTS 46 non-transitional
 * mapping), no address literal, no trailing dot, top label not all digits; 254
 * octets in all, after the domain became A-labels.  Anything that normalises
 * to another syntax (full-width at sign, ideographic full stop) and anything
 * invisible (zero-width characters, joiners too) is refused; full-width
 * letters are mapped.
 *
 * out->address keeps the case of the local part, its domain is lower-case
 * A-labels; out->key is lower-case throughout.
 *
 * Returns OTPREG_OK, OTPREG_REQUIRED, OTPREG_EMAIL_INVALID,
 * OTPREG_EMAIL_TOO_LONG or OTPREG_ERROR (no memory).  Thread: any.
 */
otpreg_outcome_t otpreg_email_parse(otpreg_str_t in, otpreg_email_t *out);


/*
 * Mask an e-mail address for a page: the first character of the local part,
 * three asterisks whatever its length, and the domain.
 *
 * out    [out] at least OTPREG_EMAIL_MAX + 4 bytes, NUL-terminated
 *
 * Returns the length.  Thread: any.
 */
size_t otpreg_email_mask(const char *address, char *out);


/*
 * Who reads what is sent to an address: its key without the sub-address
 * (RFC 5233), "ann+a" and "ann+b" are both "ann"; a phone number as it is.
 *
 * key      [in]  canonical, of an e-mail address or a phone number
 * mailbox  [out] OTPREG_EMAIL_MAX + 1 bytes, NUL-terminated
 *
 * OTPREG_SQL_MAILBOX() is the same in SQL.  Thread: any.
 */
void otpreg_email_mailbox(const char *key, char *mailbox);


/*
 * Parse a phone number with its country code: "+", then 7 to 15 digits of which
 * the first is not 0 (ITU-T E.164); plus and digits of any script (Unicode's
 * Nd).  Spaces (U+00A0 and U+202F, too), dots, hyphens and brackets between
 * them are skipped, also the full-width ones; nothing else is.  A zero in
 * brackets behind the country code, as in "+44 (0)20", is dropped; with more
 * digits in the same brackets, "+44 (020)", the number is refused.  Italy's
 * ("+39") are kept in both.
 *
 * Returns OTPREG_OK, OTPREG_REQUIRED or OTPREG_PHONE_INVALID.  Thread: any.
 */
otpreg_outcome_t otpreg_phone_parse(otpreg_str_t in, otpreg_phone_t *out);


/*
 * Mask a number for a page: country code's first digit, three asterisks
 * whatever its length, and the last two digits.
 *
 * out    [out] at least OTPREG_PHONE_MAX + 1 bytes, NUL-terminated
 *
 * Returns the length.  Thread: any.
 */
size_t otpreg_phone_mask(const char *number, char *out);


#endif /* _OTPREG_IDENTITY_H_INCLUDED_ */
