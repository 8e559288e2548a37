
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _NGX_HTTP_OTPREG_LEASE_H_INCLUDED_
#define _NGX_HTTP_OTPREG_LEASE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include "otpreg_store.h"


/*
 * Who holds a message: "node-pid-number".  The node is this machine, in this
 * boot and in this process namespace, so that the next worker can see that
 * a holder is dead, and need not wait until its lease runs out.
 */


/* Once in a worker, before the others. */
void ngx_http_otpreg_lease_init(void);

const char *ngx_http_otpreg_lease_node(void);

/* A new lease of this worker, OTPREG_LEASE_MAX + 1 bytes. */
void ngx_http_otpreg_lease_make(char *lease);

/* Whether no process of this node has that pid.  Thread: any. */
bool ngx_http_otpreg_lease_dead(long pid);


#endif /* _NGX_HTTP_OTPREG_LEASE_H_INCLUDED_ */
