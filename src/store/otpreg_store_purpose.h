
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_STORE_PURPOSE_H_INCLUDED_
#define _OTPREG_STORE_PURPOSE_H_INCLUDED_


#include "otpreg_store_run.h"


/*
 * What a code is for: one row a purpose.  Inside the store.
 */


/* what a placeholder of the statement is, in the order of the statement */

typedef enum {
    OTPREG_STORE_VERIFY_END = 0,
    OTPREG_STORE_VERIFY_ATTEMPT,    /* the id of this attempt */
    OTPREG_STORE_VERIFY_MATCH,      /* whether the codes are equal */
    OTPREG_STORE_VERIFY_ALL,        /* whether all addresses are to be proved */
    OTPREG_STORE_VERIFY_ID,         /* of the OTP */
    OTPREG_STORE_VERIFY_PURPOSE,
    OTPREG_STORE_VERIFY_MAX         /* attempts */
} otpreg_store_verify_param_t;

#define OTPREG_STORE_VERIFY_PARAMS  16


typedef struct {
    otpreg_purpose_t                    purpose;

    /*
     * The statement that counts an attempt and, when the codes match, consumes
     * the OTP and has the effect.  Rows that it changes: 0, the attempt was not
     * admitted; 1, it was counted; more, it was right.
     */
    unsigned                            verify;
    const otpreg_store_verify_param_t  *params;

    /*
     * true:  it proves an address that is yet to get an owner; where there is
     *        one, the OTP is a decoy, and the owner gets the notice.  It is
     *        over when the user is verified.
     * false: it is for the owner of an address; where there is none, the OTP
     *        is a decoy without a user, and no message is sent.
     */
    bool                                proves;

    const char                         *template;   /* of the code's message */
    const char                         *notice;     /* to the owner, or NULL */
} otpreg_store_purpose_t;


/* The row; of one that is not known, that of a sign-up.  Thread: any. */
const otpreg_store_purpose_t *otpreg_store_purpose(otpreg_purpose_t purpose);


/* Whether an OTP for an address with or without an owner is a decoy. */
bool otpreg_store_purpose_is_decoy(otpreg_purpose_t purpose, bool owned);


#endif /* _OTPREG_STORE_PURPOSE_H_INCLUDED_ */
