
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_STORE_FLOW_H_INCLUDED_
#define _OTPREG_STORE_FLOW_H_INCLUDED_


#include "otpreg_store_purpose.h"


/*
 * A flow under way: the newest of its OTPs, locked, and its user.  Inside
 * the caller's transaction, in the database threads.
 */


typedef struct {
    otpreg_otp_t        otp;
    char                address_key[OTPREG_OTP_ADDRESS_MAX + 1];
    char                lang[OTPREG_LANGUAGE_MAX + 1];
    uint64_t            user_id;        /* 0: there is none */
    bool                decoy;
    unsigned            attempts;
    unsigned            changes;        /* of the address */
    bool                alive;
    bool                consumed;
    int64_t             since_us;       /* the newest send */
    int64_t             expires_in;     /* seconds */

    char                username[OTPREG_USERNAME_MAX + 1];
    bool                verified;       /* all that was to be proved */
    bool                proved;         /* this address was */
    bool                unprovable;     /* nothing can be proved with it */
    otpreg_store_to_t   other;          /* yet to be proved, or empty */
} otpreg_store_flow_t;


/*
 * Lock the newest OTP of the flow that an OTP belongs to, and read both.
 *
 * attempts_max [in]  an OTP with so many attempts is not alive
 *
 * Returns OTPREG_DB_OK, OTPREG_DB_NONE (there is none) or a failure.
 */
otpreg_db_rc_t otpreg_store_flow_lock(otpreg_db_t *db,
    const uint8_t id[OTPREG_ID_LEN], otpreg_purpose_t purpose,
    unsigned attempts_max, otpreg_store_flow_t *flow);


#endif /* _OTPREG_STORE_FLOW_H_INCLUDED_ */
