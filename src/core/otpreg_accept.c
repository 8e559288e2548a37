
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_form.h"
#include "otpreg_media.h"


/* the answer to "how much is this type wanted": the most specific range */

typedef struct {
    unsigned            quality;
    unsigned            specificity;    /* 0: no range fits; 3: named itself */
} otpreg_accept_t;


static void
otpreg_accept_range(otpreg_accept_t *accept, const otpreg_media_t *media,
    unsigned specificity)
{
    if (specificity > accept->specificity
        || (specificity == accept->specificity
            && media->quality > accept->quality))
    {
        accept->specificity = specificity;
        accept->quality = media->quality;
    }
}


static void
otpreg_accept_media(otpreg_accept_t *accept, const otpreg_media_t *media,
    const char *type, const char *range)
{
    if (otpreg_str_equal_nocase(media->type, type)) {
        otpreg_accept_range(accept, media, 3);

    } else if (otpreg_str_equal_nocase(media->type, range)) {
        otpreg_accept_range(accept, media, 2);

    } else if (otpreg_str_equal_nocase(media->type, "*/*")) {
        otpreg_accept_range(accept, media, 1);
    }
}


static bool
otpreg_accept_prefers(const otpreg_accept_t *json, const otpreg_accept_t *html)
{
    if (json->specificity != 3 || json->quality == 0) {
        return false;
    }

    if (json->quality == html->quality) {
        return html->specificity != 3;
    }

    return json->quality > html->quality;
}


bool
otpreg_accept_json(otpreg_str_t accept)
{
    otpreg_media_t   media;
    otpreg_accept_t  html, json, problem;

    html = (otpreg_accept_t) { 0, 0 };
    json = html;
    problem = html;

    while (otpreg_media_next(&accept, &media)) {

        if (!media.valid) {
            continue;
        }

        otpreg_accept_media(&html, &media, "text/html", "text/*");
        otpreg_accept_media(&json, &media, "application/json",
                            "application/*");
        otpreg_accept_media(&problem, &media, "application/problem+json",
                            "application/*");
    }

    return otpreg_accept_prefers(&json, &html)
           || otpreg_accept_prefers(&problem, &html);
}
