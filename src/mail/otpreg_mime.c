
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "otpreg_message.h"
#include "otpreg_mime.h"


static otpreg_str_t
otpreg_mime_str(const char *s, size_t len)
{
    otpreg_str_t  str;

    str.data = (const uint8_t *) s;
    str.len = len;

    return str;
}


/* a copy may hold a code: wiped whenever it goes */

static void
otpreg_mime_free(char *s)
{
    if (s != NULL) {
        sodium_memzero(s, strlen(s));
        free(s);
    }
}


static bool
otpreg_mime_safe_address(const char *s, size_t len)
{
    size_t       i;
    const char  *at;

    at = memchr(s, '@', len);

    if (at == NULL || at == s || at == s + len - 1) {
        return false;
    }

    for (i = 0; i < len; i++) {
        if ((unsigned char) s[i] <= ' ' || s[i] == 0x7f
            || memchr("<>,;", s[i], 4) != NULL)
        {
            return false;
        }
    }

    return otpreg_header_safe(otpreg_mime_str(s, len));
}


/* "address" or "display name <address>" */

static bool
otpreg_mime_safe_mailbox(const char *s)
{
    size_t       len;
    const char  *lt;

    len = strlen(s);
    lt = strrchr(s, '<');

    if (lt == NULL) {
        return otpreg_mime_safe_address(s, len);
    }

    return s[len - 1] == '>'
           && otpreg_header_safe(otpreg_mime_str(s, len))
           && otpreg_mime_safe_address(lt + 1,
                                       len - 1 - (size_t) (lt + 1 - s));
}


bool
otpreg_mime_safe(const char *from, const char *from_address,
    const otpreg_mail_t *mail)
{
    return otpreg_mime_safe_mailbox(from)
           && otpreg_mime_safe_address(from_address, strlen(from_address))
           && otpreg_mime_safe_address(mail->to, strlen(mail->to))
           && otpreg_mime_safe_address(mail->message_id,
                                       strlen(mail->message_id))
           && otpreg_header_safe(otpreg_mime_str(mail->subject,
                                                 strlen(mail->subject)));
}


/* whether a display name needs quotes: RFC 5322 3.2.3, a space is no harm */

static bool
otpreg_mime_special(const char *name, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (memchr("()<>[]:;@\\,.\"", name[i], 13) != NULL) {
            return true;
        }
    }

    return false;
}


/* out has room for 2 * len + 3 */

static void
otpreg_mime_quote(const char *name, size_t len, char *out)
{
    size_t  i;

    *out++ = '"';

    for (i = 0; i < len; i++) {
        if (name[i] == '"' || name[i] == '\\') {
            *out++ = '\\';
        }

        *out++ = name[i];
    }

    *out++ = '"';
    *out = '\0';
}


/* write the display name down as RFC 5322 3.4 and RFC 2047 want it */

static void
otpreg_mime_name(const char *name, size_t len, char *out, size_t size)
{
    bool  quoted;

    quoted = (len >= 2 && name[0] == '"' && name[len - 1] == '"');

    if (!otpreg_str_is_ascii(otpreg_mime_str(name, len))) {
        if (quoted) {
            name++;
            len -= 2;
        }

        otpreg_header_encode(otpreg_mime_str(name, len), out, size);

    } else if (!quoted && otpreg_mime_special(name, len)) {
        otpreg_mime_quote(name, len, out);

    } else {
        snprintf(out, size, "%.*s", (int) len, name);
    }
}


/* Returns what is to be freed by the caller, NULL: no memory */

static char *
otpreg_mime_from(const char *from)
{
    char        *out;
    size_t       len, size;
    const char  *lt;

    lt = strrchr(from, '<');
    len = (lt == NULL) ? 0 : (size_t) (lt - from);

    while (len != 0 && *from == ' ') {
        from++;
        len--;
    }

    while (len != 0 && from[len - 1] == ' ') {
        len--;
    }

    if (len == 0) {
        return strdup(lt == NULL ? from : lt);
    }

    size = 4 * len + 64 + strlen(lt) + sizeof("\r\n ");

    out = malloc(size);
    if (out == NULL) {
        return NULL;
    }

    /* nothing, should there be no way to encode it */

    out[0] = '\0';

    otpreg_mime_name(from, len, out, size);

    /* folded, so that a line with an encoded word stays within 76 */

    len = strlen(out);
    snprintf(out + len, size - len, "%s %s",
             strncmp(out, "=?", 2) == 0 ? "\r\n" : "", lt);

    return out;
}


static bool
otpreg_mime_add(struct curl_slist **list, const char *name,
    const char *before, const char *value, const char *after)
{
    char               *line;
    size_t              size;
    struct curl_slist  *last;

    if (value == NULL) {
        return false;
    }

    size = strlen(name) + strlen(before) + strlen(value) + strlen(after)
           + sizeof(": ");

    line = malloc(size);
    if (line == NULL) {
        return false;
    }

    snprintf(line, size, "%s: %s%s%s", name, before, value, after);

    last = curl_slist_append(*list, line);

    otpreg_mime_free(line);

    if (last == NULL) {
        return false;
    }

    *list = last;

    return true;
}


static bool
otpreg_mime_add_subject(struct curl_slist **list, const char *subject)
{
    bool     ok;
    char    *value;
    size_t   size;

    if (subject[0] == '\0') {
        return true;
    }

    size = 4 * strlen(subject) + 64;

    value = malloc(size);
    if (value == NULL) {
        return false;
    }

    ok = otpreg_header_encode(otpreg_mime_str(subject, strlen(subject)),
                              value, size)
         != 0
         && otpreg_mime_add(list, "Subject", "", value, "");

    sodium_memzero(value, size);
    free(value);

    return ok;
}


struct curl_slist *
otpreg_mime_headers(const char *from, const otpreg_mail_t *mail)
{
    bool                ok;
    char                date[OTPREG_DATE_SIZE], *value;
    struct curl_slist  *list;

    list = NULL;

    otpreg_date_format(mail->date, date);
    value = otpreg_mime_from(from);

    /*
     * libcurl adds MIME-Version and the boundary; a Content-Type given here
     * is what its outermost part gets
     */

    ok = otpreg_mime_add(&list, "Date", "", date, "")
         && otpreg_mime_add(&list, "From", "", value, "")
         && otpreg_mime_add(&list, "To", "", mail->to, "")
         && otpreg_mime_add_subject(&list, mail->subject)
         && otpreg_mime_add(&list, "Message-ID", "<", mail->message_id, ">")
         && otpreg_mime_add(&list, "Auto-Submitted", "", "auto-generated", "")
         && otpreg_mime_add(&list, "Content-Type", "",
                            mail->html != NULL ? "multipart/alternative"
                                               : "multipart/mixed",
                            "");

    free(value);

    if (!ok) {
        curl_slist_free_all(list);
        return NULL;
    }

    return list;
}


/* CR, LF and CRLF become CRLF; Returns what otpreg_mime_free() takes */

static char *
otpreg_mime_crlf(const char *in)
{
    char  *out, *p;

    out = malloc(2 * strlen(in) + 1);
    if (out == NULL) {
        return NULL;
    }

    for (p = out; *in != '\0'; in++) {

        if (*in != '\r' && *in != '\n') {
            *p++ = *in;
            continue;
        }

        if (in[0] == '\r' && in[1] == '\n') {
            in++;
        }

        *p++ = '\r';
        *p++ = '\n';
    }

    *p = '\0';

    return out;
}


static bool
otpreg_mime_part(curl_mime *mime, const char *type, const char *text)
{
    bool           ok;
    char          *crlf;
    curl_mimepart *part;

    crlf = otpreg_mime_crlf(text);
    if (crlf == NULL) {
        return false;
    }

    part = curl_mime_addpart(mime);

    ok = part != NULL
         && curl_mime_data(part, crlf, CURL_ZERO_TERMINATED) == CURLE_OK
         && curl_mime_type(part, type) == CURLE_OK
         && curl_mime_encoder(part, "quoted-printable") == CURLE_OK;

    otpreg_mime_free(crlf);

    return ok;
}


curl_mime *
otpreg_mime_body(CURL *easy, const otpreg_mail_t *mail)
{
    curl_mime  *mime;

    mime = curl_mime_init(easy);
    if (mime == NULL) {
        return NULL;
    }

    if (!otpreg_mime_part(mime, "text/plain; charset=utf-8", mail->text)
        || (mail->html != NULL
            && !otpreg_mime_part(mime, "text/html; charset=utf-8",
                                 mail->html)))
    {
        curl_mime_free(mime);
        return NULL;
    }

    return mime;
}
