
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_MESSAGE_H_INCLUDED_
#define _OTPREG_MESSAGE_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_str.h"


#define OTPREG_DATE_SIZE         32


/*
 * Whether a value may stand in a header: UTF-8, no control character.
 * Thread: any.
 */
bool otpreg_header_safe(otpreg_str_t value);


/*
 * Encode a header value that is not plain ASCII as RFC 2047 encoded words
 * (UTF-8, base64), 75 characters each at most, never splitting a character,
 * folded by CRLF and a space; plain ASCII is copied, unless it would be read
 * as an encoded word ("=?") or is too long for a line.
 *
 * out    [out] NUL-terminated
 *
 * Returns the length, or 0 when it is not header-safe or size is too small
 * (4 * len + 64 always is enough).  Thread: any.
 */
size_t otpreg_header_encode(otpreg_str_t value, char *out, size_t size);


/*
 * Write a date as RFC 5322 3.3 wants it, in UTC:
 * "Sun, 22 Nov 2026 21:22:48 +0000".
 *
 * now    [in]  Unix seconds
 */
void otpreg_date_format(int64_t now, char out[OTPREG_DATE_SIZE]);


/*
 * Split a rendered text template: a first line "Subject: ..." and the blank
 * line after it are taken off; CRLF or LF.  Without them subject is empty and
 * body the whole.  Leading blank lines (left by SSI commands) are skipped.
 */
void otpreg_text_split(otpreg_str_t in, otpreg_str_t *subject,
    otpreg_str_t *body);


/*
 * The JSON body that a courier's subrequest carries: one object with the
 * given names and string values, in order.
 *
 * Returns a malloc()ed NUL-terminated string whose owner wipes and frees it,
 * its length in *len; NULL when there is no memory or a value is not UTF-8.
 */
typedef struct {
    const char         *name;
    otpreg_str_t        value;
} otpreg_message_member_t;

char *otpreg_message_json(const otpreg_message_member_t *members, unsigned n,
    size_t *len);


#endif /* _OTPREG_MESSAGE_H_INCLUDED_ */
