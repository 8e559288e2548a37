
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_LANGUAGE_H_INCLUDED_
#define _OTPREG_LANGUAGE_H_INCLUDED_


#include "otpreg_str.h"


#define OTPREG_LANGUAGE_MAX      35     /* RFC 5646 4.4.1 */


/*
 * Whether a tag is letters, digits and hyphens, 1 to OTPREG_LANGUAGE_MAX bytes,
 * and may so be part of a file name.  Thread: any.
 */
bool otpreg_language_valid(otpreg_str_t tag);


/*
 * Choose a language for an Accept-Language header (RFC 9110 12.5.4): the range
 * with the highest quality that fits one of the tags.  It fits a tag that is
 * the same, else the longest that is its prefix ("de-CH" fits "de"), else the
 * first that it is a prefix of ("zh" fits "zh-Hans"); "*" fits the first.
 *
 * tags   [in]  n of them, n > 0; the first is the default
 *
 * Returns the index of the tag, 0 when no range fits.  Thread: any.
 */
unsigned otpreg_language_choose(otpreg_str_t accept, const otpreg_str_t *tags,
    unsigned n);


#endif /* _OTPREG_LANGUAGE_H_INCLUDED_ */
