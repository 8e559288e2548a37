
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_FORM_H_INCLUDED_
#define _OTPREG_FORM_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_outcome.h"
#include "otpreg_str.h"


#define OTPREG_FORM_PAIRS_MAX    64


typedef enum {
    OTPREG_FORM_URLENCODED,
    OTPREG_FORM_JSON,
    OTPREG_FORM_UNKNOWN
} otpreg_form_type_t;


/* a field that the caller wants; value points into the body */

typedef struct {
    const char         *name;
    otpreg_str_t        value;
    bool                present;
} otpreg_form_field_t;


/*
 * The type of a body by its Content-Type: application/x-www-form-urlencoded or
 * application/json, any parameter, any case; a charset parameter other than
 * utf-8 or us-ascii gives OTPREG_FORM_UNKNOWN.  Thread: any.
 */
otpreg_form_type_t otpreg_form_type(otpreg_str_t content_type);


/*
 * Parse a body into the fields that are wanted.
 *
 * body   [in]  is overwritten: values are decoded in place (a JSON string is
 *              never longer than its source) and the caller wipes it
 * fields [in, out]  name set by the caller; value and present by this
 *
 * Unknown names are ignored.  Refused as OTPREG_BODY_MALFORMED: a bad percent
 * escape, a wanted field given twice, more than OTPREG_FORM_PAIRS_MAX pairs;
 * for JSON anything but one object (RFC 8259, by jansson, no duplicate names,
 * no array or object in it, under unknown names neither), a wanted field that
 * is neither a string nor null (null is absent), trailing bytes.  All names
 * and values must be UTF-8 and hold no NUL.  A refusal leaves no field present.
 *
 * All of jansson's memory is wiped when it is freed, see otpreg_form_init().
 *
 * Returns OTPREG_OK, OTPREG_BODY_MALFORMED or OTPREG_ERROR (no memory).
 * Thread: event loop.
 */
otpreg_outcome_t otpreg_form_parse(otpreg_form_type_t type, uint8_t *body,
    size_t len, otpreg_form_field_t *fields, unsigned n);


/*
 * Give jansson a free() that wipes, and a seed for its hash tables.  Once in a
 * process, after sodium_init() and before any parsing.  The memory is plain
 * malloc()'s, so that other users of jansson in the process are not disturbed.
 */
void otpreg_form_init(void);


/*
 * Whether an Accept header prefers JSON (application/json,
 * application/problem+json) to HTML (RFC 9110 12.5.1: quality values, the more
 * specific range counts).  Equal qualities: JSON only when HTML is not named
 * itself.  Any range with a wildcard only: false.  Thread: any.
 */
bool otpreg_accept_json(otpreg_str_t accept);


#endif /* _OTPREG_FORM_H_INCLUDED_ */
