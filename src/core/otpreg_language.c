
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <string.h>
#include <strings.h>

#include "otpreg_language.h"
#include "otpreg_media.h"


bool
otpreg_language_valid(otpreg_str_t tag)
{
    size_t  i;

    if (tag.len == 0 || tag.len > OTPREG_LANGUAGE_MAX) {
        return false;
    }

    for (i = 0; i < tag.len; i++) {
        if (!otpreg_str_alnum_or(tag.data[i], "-")) {
            return false;
        }
    }

    return true;
}


/* whether a is b, or b goes on after it with a hyphen */

static bool
otpreg_language_begins(otpreg_str_t a, otpreg_str_t b)
{
    return a.len != 0 && a.len <= b.len
           && strncasecmp((const char *) a.data, (const char *) b.data, a.len)
              == 0
           && (a.len == b.len || b.data[a.len] == '-');
}


/* the tag that a range fits, n when it fits none */

static unsigned
otpreg_language_fit(otpreg_str_t range, const otpreg_str_t *tags, unsigned n)
{
    unsigned  i, best;

    if (range.len == 1 && range.data[0] == '*') {
        return 0;
    }

    best = n;

    for (i = 0; i < n; i++) {
        if (otpreg_language_begins(tags[i], range)
            && (best == n || tags[i].len > tags[best].len))
        {
            best = i;
        }
    }

    for (i = 0; best == n && i < n; i++) {
        if (otpreg_language_begins(range, tags[i])) {
            best = i;
        }
    }

    return best;
}


/* take "range;q=0.5" off the list; false at its end */

static bool
otpreg_language_next(otpreg_str_t *rest, otpreg_str_t *range,
    unsigned *quality)
{
    otpreg_str_t    element;
    const uint8_t  *comma, *semicolon;

    if (rest->len == 0) {
        return false;
    }

    element = *rest;
    comma = memchr(rest->data, ',', rest->len);

    if (comma != NULL) {
        element.len = (size_t) (comma - rest->data);
        rest->data += element.len + 1;
        rest->len -= element.len + 1;

    } else {
        rest->len = 0;
    }

    *range = element;
    *quality = OTPREG_QUALITY_MAX;

    semicolon = element.len ? memchr(element.data, ';', element.len) : NULL;

    if (semicolon != NULL) {
        range->len = (size_t) (semicolon - element.data);
        element.data += range->len + 1;
        element.len -= range->len + 1;
        element = otpreg_str_trim(element);

        if (element.len < 2
            || (element.data[0] != 'q' && element.data[0] != 'Q')
            || element.data[1] != '='
            || !otpreg_media_quality((otpreg_str_t) { element.data + 2,
                                                      element.len - 2 },
                                     quality))
        {
            *quality = 0;
        }
    }

    *range = otpreg_str_trim(*range);

    return true;
}


unsigned
otpreg_language_choose(otpreg_str_t accept, const otpreg_str_t *tags,
    unsigned n)
{
    unsigned      quality, best_quality, fit, best;
    otpreg_str_t  range;

    best = 0;
    best_quality = 0;

    while (otpreg_language_next(&accept, &range, &quality)) {

        if (quality <= best_quality) {
            continue;
        }

        fit = otpreg_language_fit(range, tags, n);

        if (fit != n) {
            best = fit;
            best_quality = quality;
        }
    }

    return best;
}
