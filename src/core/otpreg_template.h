
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_TEMPLATE_H_INCLUDED_
#define _OTPREG_TEMPLATE_H_INCLUDED_


#include <stdbool.h>

#include "otpreg_str.h"


/* Whether SSI commands are left in what was rendered.  Thread: any. */
bool otpreg_template_is_raw(otpreg_str_t part);


/*
 * Whether a code stands in a part of a message.  Its digits may stand apart,
 * with anything but ASCII letters and digits between them; tags and character
 * references do not count.
 *
 * code   [in]  NUL-terminated digits; "" stands everywhere
 *
 * Thread: any.
 */
bool otpreg_template_has_code(otpreg_str_t part, const char *code);


/*
 * What is wrong with a part of a message that a template has rendered: SSI
 * commands that nobody has carried out, or the code is not in it.
 *
 * code   [in]  NUL-terminated digits; "" when none belongs into the message
 *
 * Returns NULL, or a phrase for the log that goes on after the part's name.
 * Thread: any.
 */
const char *otpreg_template_fault(otpreg_str_t part, const char *code);


#endif /* _OTPREG_TEMPLATE_H_INCLUDED_ */
