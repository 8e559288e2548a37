
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include "otpreg_store_purpose.h"


static const otpreg_store_verify_param_t  otpreg_store_signup_params[] = {
    OTPREG_STORE_VERIFY_ATTEMPT,
    OTPREG_STORE_VERIFY_MATCH,
    OTPREG_STORE_VERIFY_MATCH,
    OTPREG_STORE_VERIFY_ALL,
    OTPREG_STORE_VERIFY_MATCH,
    OTPREG_STORE_VERIFY_MATCH,
    OTPREG_STORE_VERIFY_MATCH,
    OTPREG_STORE_VERIFY_ALL,
    OTPREG_STORE_VERIFY_ID,
    OTPREG_STORE_VERIFY_PURPOSE,
    OTPREG_STORE_VERIFY_MAX,
    OTPREG_STORE_VERIFY_ATTEMPT,
    OTPREG_STORE_VERIFY_END
};


/* the first one is a sign-up */

static const otpreg_store_purpose_t  otpreg_store_purposes[] = {

    { OTPREG_PURPOSE_SIGNUP,
      OTPREG_SQL_VERIFY_SIGNUP, otpreg_store_signup_params,
      true, OTPREG_TEMPLATE_OTP, OTPREG_TEMPLATE_TAKEN }
};


const otpreg_store_purpose_t *
otpreg_store_purpose(otpreg_purpose_t purpose)
{
    size_t  i, n;

    n = sizeof(otpreg_store_purposes) / sizeof(otpreg_store_purposes[0]);

    for (i = 0; i < n; i++) {
        if (otpreg_store_purposes[i].purpose == purpose) {
            return &otpreg_store_purposes[i];
        }
    }

    return &otpreg_store_purposes[0];
}


bool
otpreg_store_purpose_is_decoy(otpreg_purpose_t purpose, bool owned)
{
    return otpreg_store_purpose(purpose)->proves ? owned : !owned;
}
