
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_UNICODE_H_INCLUDED_
#define _OTPREG_UNICODE_H_INCLUDED_


#include "otpreg_outcome.h"
#include "otpreg_str.h"


/* text in memory that is wiped before it is freed */

typedef struct {
    otpreg_str_t        str;
    void               *memory;
    size_t              size;
} otpreg_text_t;


/*
 * Take the first code point off a text.  False at its end, and where no UTF-8
 * begins (overlong forms and surrogates are not).  Thread: any.
 */
bool otpreg_unicode_next(otpreg_str_t *in, int32_t *point);


/*
 * The value of a decimal digit of any script (general category Nd, so neither
 * superscripts nor numerals), 0 to 9, or -1.  Thread: any.
 */
int otpreg_unicode_digit(int32_t point);


/*
 * Count the code points of a text.  False when it is not UTF-8.
 * Thread: any.
 */
bool otpreg_unicode_count(otpreg_str_t in, size_t *count);


/*
 * Normalise to NFC.
 *
 * text   [out] freed by otpreg_text_free(), after a failure too
 *
 * Returns OTPREG_OK, OTPREG_NOT_UTF8 or OTPREG_ERROR (no memory).  Thread: any;
 * the time grows with the square of the length for hostile combining marks.
 */
otpreg_outcome_t otpreg_unicode_nfc(otpreg_str_t in, otpreg_text_t *text);


/*
 * Normalise and fold the case, so that equal results mean "the same but for
 * case".  As otpreg_unicode_nfc().
 */
otpreg_outcome_t otpreg_unicode_fold(otpreg_str_t in, otpreg_text_t *text);


/* Wipe and free.  May be called again, and for a text that is all zeros. */
void otpreg_text_free(otpreg_text_t *text);


#endif /* _OTPREG_UNICODE_H_INCLUDED_ */
