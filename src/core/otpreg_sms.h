
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_SMS_H_INCLUDED_
#define _OTPREG_SMS_H_INCLUDED_


#include "otpreg_str.h"


#define OTPREG_SMS_HOST_MAX      253


/*
 * Put the text of a message together: the text without white space at its end,
 * and, when there is a code and a host, the domain-bound line that lets a
 * browser fill in the code for that site only, "@host #code", as the last line
 * (WICG sms-one-time-codes).
 *
 * out    [out] NUL-terminated
 *
 * Returns the length, 0 when size is too small (text.len + host.len + 16 is
 * enough).  Thread: any.
 */
size_t otpreg_sms_compose(otpreg_str_t text, otpreg_str_t host,
    const char *code, char *out, size_t size);


/*
 * In how many parts a text goes over the air: GSM 7-bit (3GPP TS 23.038, 160
 * septets, or 153 in each of several) when every character is in its default
 * alphabet or extension table, else UCS-2 (70 units, or 67).
 *
 * text   [in]  UTF-8
 *
 * Returns the number, 0 when the text is not UTF-8.  Thread: any.
 */
unsigned otpreg_sms_segments(otpreg_str_t text);


#endif /* _OTPREG_SMS_H_INCLUDED_ */
