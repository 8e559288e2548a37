
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_CHALLENGE_H_INCLUDED_
#define _OTPREG_CHALLENGE_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_str.h"


#define OTPREG_SOLUTION_MAX          8192
#define OTPREG_CHALLENGE_CODES_SIZE  160


/*
 * Whether the solution of a challenge, as a browser sent it, may be one: 1 to
 * OTPREG_SOLUTION_MAX letters, digits, "-", ".", "_" and "~", so that it is the
 * same in a form, in JSON, in a URL and in a header.  Thread: any.
 */
bool otpreg_solution_is_valid(otpreg_str_t solution);


typedef enum {
    OTPREG_CHALLENGE_PASSED,
    OTPREG_CHALLENGE_REFUSED,
    OTPREG_CHALLENGE_UNCLEAR        /* no answer of such a service, or it could
                                       not check: "internal-error" */
} otpreg_challenge_rc_t;


/*
 * What a service says of a solution: an object of JSON whose member "success"
 * is true or false, as that of Turnstile, hCaptcha and reCAPTCHA.  False with
 * the code "internal-error" (Turnstile) says nothing about the solution.
 *
 * codes  [out] the strings of "error-codes", for the log: printable ASCII,
 *              with blanks between them, cut off where there is no room
 *
 * Thread: event loop.
 */
otpreg_challenge_rc_t otpreg_challenge_read(otpreg_str_t answer,
    char codes[OTPREG_CHALLENGE_CODES_SIZE]);


#endif /* _OTPREG_CHALLENGE_H_INCLUDED_ */
