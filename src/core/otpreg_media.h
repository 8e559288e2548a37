
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_MEDIA_H_INCLUDED_
#define _OTPREG_MEDIA_H_INCLUDED_


#include "otpreg_str.h"


/* quality values are kept as thousandths */
#define OTPREG_QUALITY_MAX       1000


/* a media type or range with what we use of its parameters */

typedef struct {
    otpreg_str_t        type;           /* "type/subtype", as it came */
    otpreg_str_t        charset;        /* unquoted; empty when not given */
    unsigned            quality;        /* 0 .. 1000 */
    bool                valid;          /* false: the rest means nothing */
} otpreg_media_t;


/*
 * Take the next element off a comma-separated list of media types (RFC 9110
 * 8.3.1, 12.5.1).  A malformed one is skipped up to the next comma outside of
 * quotes.  Returns false at the end of the list.  Thread: any.
 */
bool otpreg_media_next(otpreg_str_t *rest, otpreg_media_t *media);


/* Parse a quality value ("0.75"); false when it is none.  Thread: any. */
bool otpreg_media_quality(otpreg_str_t in, unsigned *quality);


#endif /* _OTPREG_MEDIA_H_INCLUDED_ */
