
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

#include "otpreg_message.h"


/* RFC 5322 2.1.1 allows 998 in a line; the field's name is not known here */
#define OTPREG_MESSAGE_PLAIN     900

/*
 * RFC 2047 2 allows 75 in a word and 76 in its line; 39 bytes make a word of
 * 64, which leaves room for the name of the field in the first line.
 */
#define OTPREG_MESSAGE_WORD      39
#define OTPREG_MESSAGE_ENCODED   64

#define OTPREG_MESSAGE_PREFIX    "=?UTF-8?B?"
#define OTPREG_MESSAGE_SUFFIX    "?="
#define OTPREG_MESSAGE_FOLD      "\r\n "

/* 9999-12-31 23:59:59: a later year does not fit into four digits */
#define OTPREG_MESSAGE_DATE_MAX  INT64_C(253402300799)


static bool
otpreg_message_control(utf8proc_int32_t c)
{
    /* U+2028 and U+2029 end a line for some who read mail */

    return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x2028 || c == 0x2029;
}


bool
otpreg_header_safe(otpreg_str_t value)
{
    size_t             i;
    utf8proc_int32_t   c;
    utf8proc_ssize_t   n;

    for (i = 0; i < value.len; i += (size_t) n) {
        n = utf8proc_iterate(value.data + i,
                             (utf8proc_ssize_t) (value.len - i), &c);

        if (n <= 0 || otpreg_message_control(c)) {
            return false;
        }
    }

    return true;
}


/* whether a header may carry the value as it is */

static bool
otpreg_message_plain(otpreg_str_t value)
{
    size_t  i;

    if (value.len > OTPREG_MESSAGE_PLAIN || !otpreg_str_is_ascii(value)) {
        return false;
    }

    /* "=?" would be read as the start of an encoded word */

    for (i = 1; i < value.len; i++) {
        if (value.data[i - 1] == '=' && value.data[i] == '?') {
            return false;
        }
    }

    return true;
}


/* how much of the value goes into the next encoded word: whole characters */

static size_t
otpreg_message_word(otpreg_str_t value)
{
    size_t  n;

    if (value.len <= OTPREG_MESSAGE_WORD) {
        return value.len;
    }

    n = OTPREG_MESSAGE_WORD;

    while ((value.data[n] & 0xc0) == 0x80) {
        n--;
    }

    return n;
}


size_t
otpreg_header_encode(otpreg_str_t value, char *out, size_t size)
{
    char    word[OTPREG_MESSAGE_ENCODED];
    size_t  n, len;

    if (!otpreg_header_safe(value)) {
        return 0;
    }

    if (otpreg_message_plain(value)) {
        if (value.len >= size) {
            return 0;
        }

        if (value.len != 0) {
            memcpy(out, value.data, value.len);
        }

        out[value.len] = '\0';

        return value.len;
    }

    for (len = 0; value.len != 0; value.data += n, value.len -= n) {
        n = otpreg_message_word(value);

        sodium_bin2base64(word, sizeof(word), value.data, n,
                          sodium_base64_VARIANT_ORIGINAL);

        len += (size_t) snprintf(out + len, size - len, "%s%s%s%s",
                                 len == 0 ? "" : OTPREG_MESSAGE_FOLD,
                                 OTPREG_MESSAGE_PREFIX, word,
                                 OTPREG_MESSAGE_SUFFIX);
        if (len >= size) {
            len = 0;
            break;
        }
    }

    sodium_memzero(word, sizeof(word));

    return len;
}


void
otpreg_date_format(int64_t now, char out[OTPREG_DATE_SIZE])
{
    time_t              t;
    struct tm           tm;

    /* not strftime(), which speaks the language of the locale */

    static const char   days[][4] = {
        "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"
    };

    static const char   months[][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun",
        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"
    };

    if (now < 0) {
        now = 0;

    } else if (now > OTPREG_MESSAGE_DATE_MAX) {
        now = OTPREG_MESSAGE_DATE_MAX;
    }

    t = (time_t) now;

    if (gmtime_r(&t, &tm) == NULL) {
        out[0] = '\0';
        return;
    }

    snprintf(out, OTPREG_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u +0000",
             days[tm.tm_wday % 7], (unsigned) tm.tm_mday % 100,
             months[tm.tm_mon % 12], (unsigned) (tm.tm_year + 1900) % 10000,
             (unsigned) tm.tm_hour % 100, (unsigned) tm.tm_min % 100,
             (unsigned) tm.tm_sec % 100);
}


/* take a line off, if it is "Subject: ..." */

static bool
otpreg_message_subject(otpreg_str_t *rest, otpreg_str_t *subject)
{
    otpreg_str_t       name, line;

    static const char  field[] = "subject:";

    if (!otpreg_str_line(rest, &line) || line.len < sizeof(field) - 1) {
        return false;
    }

    name.data = line.data;
    name.len = sizeof(field) - 1;

    if (!otpreg_str_equal_nocase(name, field)) {
        return false;
    }

    subject->data = line.data + name.len;
    subject->len = line.len - name.len;

    *subject = otpreg_str_trim(*subject);

    return true;
}


void
otpreg_text_split(otpreg_str_t in, otpreg_str_t *subject, otpreg_str_t *body)
{
    otpreg_str_t  line, rest, value;

    subject->data = NULL;
    subject->len = 0;

    /* a byte order mark, as some editors leave it */

    if (in.len >= 3 && memcmp(in.data, "\xef\xbb\xbf", 3) == 0) {
        in.data += 3;
        in.len -= 3;
    }

    rest = in;

    do {
        in = rest;
    } while (otpreg_str_line(&rest, &line) && otpreg_str_trim(line).len == 0);

    *body = in;

    if (!otpreg_message_subject(&in, &value)
        || (otpreg_str_line(&in, &line) && otpreg_str_trim(line).len != 0))
    {
        return;
    }

    *subject = value;
    *body = in;
}


/*
 * jansson keeps its own copy of a value, and a value may be a code: wipe it
 * before the object is freed.
 */

static void
otpreg_message_json_free(json_t *object)
{
    void        *pos;
    json_t      *value;

    for (pos = json_object_iter(object);
         pos != NULL;
         pos = json_object_iter_next(object, pos))
    {
        value = json_object_iter_value(pos);
        sodium_memzero((char *) json_string_value(value),
                       json_string_length(value));
    }

    json_decref(object);
}


static json_t *
otpreg_message_json_object(const otpreg_message_member_t *members, unsigned n)
{
    json_t        *object;
    unsigned       i;
    otpreg_str_t   value;

    object = json_object();

    for (i = 0; object != NULL && i < n; i++) {
        value = members[i].value;

        if (json_object_set_new(object, members[i].name,
                                json_stringn(value.len != 0
                                             ? (const char *) value.data : "",
                                             value.len))
            != 0)
        {
            otpreg_message_json_free(object);
            return NULL;
        }
    }

    return object;
}


char *
otpreg_message_json(const otpreg_message_member_t *members, unsigned n,
    size_t *len)
{
    char    *out;
    size_t   size;
    json_t  *object;

    *len = 0;

    object = otpreg_message_json_object(members, n);
    if (object == NULL) {
        return NULL;
    }

    /* measured first: a buffer that grows would leave copies behind */

    out = NULL;
    size = json_dumpb(object, NULL, 0, JSON_COMPACT);

    if (size != 0) {
        out = malloc(size + 1);
    }

    if (out != NULL) {
        json_dumpb(object, out, size, JSON_COMPACT);
        out[size] = '\0';
        *len = size;
    }

    otpreg_message_json_free(object);

    return out;
}
