
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_CLIENT_H_INCLUDED_
#define _OTPREG_CLIENT_H_INCLUDED_


#include "otpreg_otp.h"


/*
 * Who asked for a message, so that one client can be told from another without
 * its address being written down.
 */

#define OTPREG_CLIENT_LEN  16


/*
 * Hash a network under a subkey of key: the same on all nodes, and nobody who
 * lacks the key can find out the network by trying all of them.
 *
 * key      [in]  OTPREG_KEY_LEN bytes
 * network  [in]  len bytes that stand for it
 * id       [out] OTPREG_CLIENT_LEN bytes
 *
 * Thread: any.  Cannot fail.
 */
void otpreg_client_id(const uint8_t key[OTPREG_KEY_LEN], const void *network,
    size_t len, uint8_t id[OTPREG_CLIENT_LEN]);


/*
 * What is kept of a client beside one address: it does not tell which other
 * addresses the client asked for.
 *
 * address_key [in]  NUL-terminated
 * tag         [out] OTPREG_CLIENT_LEN bytes
 *
 * Thread: any.  Cannot fail.
 */
void otpreg_client_tag(const uint8_t id[OTPREG_CLIENT_LEN],
    otpreg_channel_t channel, const char *address_key,
    uint8_t tag[OTPREG_CLIENT_LEN]);


#endif /* _OTPREG_CLIENT_H_INCLUDED_ */
