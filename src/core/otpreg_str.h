
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_STR_H_INCLUDED_
#define _OTPREG_STR_H_INCLUDED_


#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>


/*
 * The room "core": bytes in, structs out: codes, tokens, addresses, passwords,
 * forms, languages, Unicode.  Not here: nginx, I/O, clocks, globals, threads
 * (but otpreg_threads.h, which the two rooms above share).
 */


/*
 * Bytes that somebody else owns: not NUL-terminated, may hold any byte.
 * data may be NULL only when len is 0.
 */
typedef struct {
    const uint8_t  *data;
    size_t          len;
} otpreg_str_t;


/* What is left without ASCII white space at both ends. */
otpreg_str_t otpreg_str_trim(otpreg_str_t in);


/*
 * Take the next line off a text, without its LF or CRLF; a last line may lack
 * it.  False at the end of the text.
 */
bool otpreg_str_line(otpreg_str_t *rest, otpreg_str_t *line);


/*
 * Whether all bytes are below 0x80.  Asked before any base64 is decoded:
 * libsodium 1.0.18 takes every byte from 0x80 on for the last letter of the
 * alphabet, and one token would have many spellings.
 */
bool otpreg_str_is_ascii(otpreg_str_t in);


/*
 * Whether a byte is an ASCII letter, a digit or one of the others, which are
 * ASCII too.  A NUL never is.
 */
bool otpreg_str_alnum_or(uint8_t ch, const char *also);


/* An ASCII letter in lower case, any other byte as it is. */
char otpreg_str_lower(uint8_t ch);


/* Whether both are the same but for the case of ASCII letters. */
bool otpreg_str_equal_nocase(otpreg_str_t in, const char *lower);


#endif /* _OTPREG_STR_H_INCLUDED_ */
