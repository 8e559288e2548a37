
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <idn2.h>
#include <utf8proc.h>

#include "otpreg_identity.h"


#define OTPREG_EMAIL_LABEL_MAX   63

/* no address within 254 octets of A-labels needs more in UTF-8 */
#define OTPREG_EMAIL_INPUT_MAX   (OTPREG_EMAIL_MAX * 4)


/* RFC 5321 4.1.2, Dot-string */

static otpreg_outcome_t
otpreg_email_check_local(otpreg_str_t local)
{
    size_t   i;
    uint8_t  ch, previous;

    previous = '.';

    for (i = 0; i < local.len; i++) {
        ch = local.data[i];

        if (!otpreg_str_alnum_or(ch, "!#$%&'*+-/=?^_`{|}~.")
            || (ch == '.' && previous == '.'))
        {
            return OTPREG_EMAIL_INVALID;
        }

        previous = ch;
    }

    if (previous == '.') {
        return OTPREG_EMAIL_INVALID;
    }

    return local.len > OTPREG_EMAIL_LOCAL_MAX ? OTPREG_EMAIL_TOO_LONG
                                              : OTPREG_OK;
}


/* One label of a host name: letters, digits, and hyphens inside. */

static bool
otpreg_email_check_label(const char *label, size_t len)
{
    size_t  i;

    if (len == 0 || len > OTPREG_EMAIL_LABEL_MAX
        || label[0] == '-' || label[len - 1] == '-')
    {
        return false;
    }

    for (i = 0; i < len; i++) {

        if (!otpreg_str_alnum_or((uint8_t) label[i], "-")) {
            return false;
        }
    }

    return true;
}


static bool
otpreg_email_check_host(const char *host)
{
    size_t       len;
    unsigned     labels;
    const char  *label;

    label = host;

    for (labels = 1; /* void */; labels++) {
        len = strcspn(label, ".");

        if (!otpreg_email_check_label(label, len)) {
            return false;
        }

        if (label[len] == '\0') {
            break;
        }

        label += len + 1;
    }

    /* a name, not an IPv4 address: RFC 3696 2 */

    return labels >= 2 && strspn(label, "0123456789") != len;
}


static unsigned
otpreg_email_dots(const char *host)
{
    unsigned  n;

    for (n = 0; *host != '\0'; host++) {
        n += *host == '.';
    }

    return n;
}


/*
 * Whether a domain holds nothing that is invisible: libidn2's mapping drops
 * such characters, and two addresses that look alike would be one.
 */
static bool
otpreg_email_visible(otpreg_str_t domain)
{
    utf8proc_int32_t            point;
    utf8proc_ssize_t            n;
    const utf8proc_property_t  *property;

    while (domain.len != 0) {
        n = utf8proc_iterate(domain.data, (utf8proc_ssize_t) domain.len,
                             &point);

        if (n <= 0) {
            return false;
        }

        property = utf8proc_get_property(point);

        if (property->ignorable
            || property->category == UTF8PROC_CATEGORY_CC
            || property->category == UTF8PROC_CATEGORY_CF)
        {
            return false;
        }

        domain.data += n;
        domain.len -= (size_t) n;
    }

    return true;
}


static bool
otpreg_email_needs_idn(const char *domain)
{
    for ( /* void */ ; *domain != '\0'; domain++) {

        if ((uint8_t) *domain >= 0x80
            || strncasecmp(domain, "xn--", 4) == 0)
        {
            return true;
        }
    }

    return false;
}


/*
 * Turn the domain into a host name of lower-case A-labels.  All checks are
 * made on what libidn2 gives, not only on what it was given.
 *
 * IDN2_USE_STD3_ASCII_RULES would not refuse "a_b" and "a(full-width at)b":
 * libidn2 then drops the character (2.3.3), and the address is another one's.
 */
static otpreg_outcome_t
otpreg_email_map_domain(const char *domain, char **host)
{
    int  rc;

    rc = idn2_lookup_u8((const uint8_t *) domain, (uint8_t **) host,
                        IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT);

    switch (rc) {

    case IDN2_OK:
        break;

    case IDN2_MALLOC:
        return OTPREG_ERROR;

    case IDN2_TOO_BIG_DOMAIN:
        return OTPREG_EMAIL_TOO_LONG;

    default:
        return OTPREG_EMAIL_INVALID;
    }

    /* a mapped dot, as U+3002, is another syntax */

    if (otpreg_email_dots(*host) != otpreg_email_dots(domain)) {
        free(*host);
        return OTPREG_EMAIL_INVALID;
    }

    return OTPREG_OK;
}


static otpreg_outcome_t
otpreg_email_domain(otpreg_str_t in, char **host)
{
    char              domain[OTPREG_EMAIL_INPUT_MAX + 1];
    otpreg_outcome_t  rc;

    if (!otpreg_email_visible(in)) {
        return OTPREG_EMAIL_INVALID;
    }

    memcpy(domain, in.data, in.len);
    domain[in.len] = '\0';

    if (otpreg_email_needs_idn(domain)) {
        rc = otpreg_email_map_domain(domain, host);

    } else {
        *host = strdup(domain);
        rc = *host != NULL ? OTPREG_OK : OTPREG_ERROR;
    }

    if (rc == OTPREG_OK && !otpreg_email_check_host(*host)) {
        free(*host);
        rc = OTPREG_EMAIL_INVALID;
    }

    return rc;
}


static otpreg_outcome_t
otpreg_email_write(otpreg_str_t local, const char *host, otpreg_email_t *out)
{
    size_t  i, len;

    len = local.len + 1 + strlen(host);

    if (len > OTPREG_EMAIL_MAX) {
        return OTPREG_EMAIL_TOO_LONG;
    }

    memcpy(out->address, local.data, local.len);
    out->address[local.len] = '@';

    for (i = local.len + 1; i < len; i++) {
        out->address[i] = otpreg_str_lower((uint8_t) *host++);
    }

    for (i = 0; i < len; i++) {
        out->key[i] = otpreg_str_lower((uint8_t) out->address[i]);
    }

    return OTPREG_OK;
}


otpreg_outcome_t
otpreg_email_parse(otpreg_str_t in, otpreg_email_t *out)
{
    char              *host;
    otpreg_str_t       local, domain;
    const uint8_t     *at;
    otpreg_outcome_t   rc;

    memset(out, 0, sizeof(otpreg_email_t));

    in = otpreg_str_trim(in);

    if (in.len == 0) {
        return OTPREG_REQUIRED;
    }

    at = memchr(in.data, '@', in.len);

    if (at == NULL) {
        return OTPREG_EMAIL_INVALID;
    }

    if (in.len > OTPREG_EMAIL_INPUT_MAX) {
        return OTPREG_EMAIL_TOO_LONG;
    }

    local.data = in.data;
    local.len = (size_t) (at - in.data);
    domain.data = at + 1;
    domain.len = in.len - local.len - 1;

    rc = otpreg_email_check_local(local);

    if (rc != OTPREG_OK) {
        return rc;
    }

    rc = otpreg_email_domain(domain, &host);

    if (rc != OTPREG_OK) {
        return rc;
    }

    rc = otpreg_email_write(local, host, out);

    free(host);

    return rc;
}


size_t
otpreg_email_mask(const char *address, char *out)
{
    size_t       len;
    const char  *at;

    len = 0;
    at = strchr(address, '@');

    if (at != NULL && at != address) {
        out[len++] = address[0];
    }

    memcpy(out + len, "***", 3);
    len += 3;

    if (at != NULL) {
        memcpy(out + len, at, strlen(at));
        len += strlen(at);
    }

    out[len] = '\0';

    return len;
}


void
otpreg_email_mailbox(const char *key, char *mailbox)
{
    size_t       len;
    const char  *at, *plus;

    at = strchr(key, '@');
    plus = strchr(key, '+');

    len = (at != NULL && plus != NULL && plus != key && plus < at)
          ? (size_t) (plus - key) : 0;

    memcpy(mailbox, key, len);
    snprintf(mailbox + len, OTPREG_EMAIL_MAX + 1 - len, "%s",
             (len != 0) ? at : key);
}
