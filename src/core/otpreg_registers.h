
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#ifndef _OTPREG_REGISTERS_H_INCLUDED_
#define _OTPREG_REGISTERS_H_INCLUDED_


/*
 * Wipes the calling thread's vector registers, which no call has to keep.
 * memcpy() goes through them, and what it copied last stays there while the
 * thread waits: the kernel writes it into a core dump.  On x86-64 and arm64;
 * elsewhere it does nothing.
 */
void otpreg_registers_wipe(void);


#endif /* _OTPREG_REGISTERS_H_INCLUDED_ */
