
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_OUTCOME_H_INCLUDED_
#define _OTPREG_OUTCOME_H_INCLUDED_


/*
 * Everything that can happen to a request, and all that passes from the lower
 * floors to the reply.  The reply's table (ngx_http_otpreg_reply.c) gives each
 * outcome its HTTP status, its stable code name and its sentence; what follows
 * OTPREG_FIELD_FIRST is said of one field, the rest of the whole request.
 */
typedef enum {
    OTPREG_OK = 0,

    /* the request */
    OTPREG_BODY_MALFORMED,          /* not what its content type says */
    OTPREG_BODY_TOO_LARGE,
    OTPREG_BODY_TYPE,               /* neither urlencoded nor JSON */
    OTPREG_CROSS_SITE,              /* posted by another site's page */
    OTPREG_PLAIN_HTTP,              /* where no browser keeps the cookie */
    OTPREG_INVALID_FIELDS,          /* see the fields' own outcomes */
    OTPREG_FORM_EXPIRED,            /* shown too long ago, or no token */
    OTPREG_CHALLENGE_REQUIRED,      /* there is no solution */
    OTPREG_CHALLENGE_FAILED,        /* it is none, or was used */
    OTPREG_NO_SIGNUP,               /* no cookie, or one that does not open */

    /* the code */
    OTPREG_CODE_WRONG,
    OTPREG_CODE_SPENT,              /* no attempts are left */
    OTPREG_CODE_EXPIRED,
    OTPREG_CODE_USED,               /* was accepted before */
    OTPREG_ADDRESS_PROVED,          /* another sign-up proved it first */
    OTPREG_USERNAME_PROVED,         /* another sign-up took the name first */
    OTPREG_RESEND_TOO_SOON,
    OTPREG_ADDRESS_LIMIT,           /* too many messages to this address */
    OTPREG_CLIENT_LIMIT,            /* too many requests of this client */
    OTPREG_SMS_LIMIT,               /* too many SMS to all, or to a prefix */
    OTPREG_MAIL_LIMIT,              /* too many mails to all, or to a domain */
    OTPREG_CHANGE_LIMIT,            /* the address was changed too often */
    OTPREG_UNDELIVERABLE,           /* the message was given up */

    /* our side */
    OTPREG_BUSY,                    /* a queue is full */
    OTPREG_DATABASE_DOWN,           /* away, read-only, or wrong schema */
    OTPREG_CHALLENGE_DOWN,          /* nobody could check the solution */
    OTPREG_BREACH_DOWN,             /* the password was not looked up */
    OTPREG_ERROR,                   /* no memory, a bug: see the log */

    /* one field */
    OTPREG_FIELD_FIRST,
    OTPREG_REQUIRED = OTPREG_FIELD_FIRST,
    OTPREG_NOT_UTF8,
    OTPREG_USERNAME_INVALID,        /* other than [A-Za-z0-9_.@+-] */
    OTPREG_USERNAME_ADDRESS,        /* could be an address or a number */
    OTPREG_USERNAME_TOO_LONG,
    OTPREG_USERNAME_TAKEN,
    OTPREG_EMAIL_INVALID,
    OTPREG_EMAIL_TOO_LONG,
    OTPREG_PHONE_INVALID,           /* not E.164 */
    OTPREG_PHONE_COUNTRY,           /* of a country that gets no messages */
    OTPREG_CHANNEL_INVALID,         /* one that has no address */
    OTPREG_PASSWORD_TOO_SHORT,
    OTPREG_PASSWORD_TOO_LONG,
    OTPREG_PASSWORD_COMMON,         /* on the blocklist */
    OTPREG_PASSWORD_BREACHED,       /* on a list that was asked */
    OTPREG_PASSWORD_PERSONAL,       /* equals the name or the address */
    OTPREG_PASSWORD_CONTROL,        /* holds a control character */
    OTPREG_PASSWORD_MISMATCH,
    OTPREG_CODE_FORMAT,             /* not the right number of digits */

    OTPREG_OUTCOMES
} otpreg_outcome_t;


#endif /* _OTPREG_OUTCOME_H_INCLUDED_ */
