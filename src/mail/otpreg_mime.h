
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_MIME_H_INCLUDED_
#define _OTPREG_MIME_H_INCLUDED_


#include <curl/curl.h>
#include <stdbool.h>

#include "otpreg_smtp.h"


/*
 * Whether the mail can be written down and has one sender and one recipient
 * only: no line end, control byte, space, "<", ">", "," or ";" in an address
 * or the message id, no control character in another header.
 * Thread: any, no I/O.
 */
bool otpreg_mime_safe(const char *from, const char *from_address,
    const otpreg_mail_t *mail);


/*
 * The header of a mail that otpreg_mime_safe() accepted.
 *
 * Returns a list to be freed by curl_slist_free_all(), NULL: no memory.
 */
struct curl_slist *otpreg_mime_headers(const char *from,
    const otpreg_mail_t *mail);


/*
 * The body: a part of text and, if there is any, one of HTML, both
 * quoted-printable; line ends become CRLF.
 *
 * Returns what is to be freed by curl_mime_free(), NULL: no memory.
 */
curl_mime *otpreg_mime_body(CURL *easy, const otpreg_mail_t *mail);


#endif /* _OTPREG_MIME_H_INCLUDED_ */
