
/*
 * Copyright (C) The ngx_http_otpreg_module authors
 * SPDX-License-Identifier: BSD-2-Clause
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include <sodium.h>

#include "ngx_http_otpreg_lease.h"


/* this machine, boot and process namespace: where a pid means something */
static char        ngx_http_otpreg_node[17];

static ngx_uint_t  ngx_http_otpreg_lease_number;


void
ngx_http_otpreg_lease_init(void)
{
    int                       fd;
    u_char                    hash[16];
    char                      buf[256];
    size_t                    i;
    ssize_t                   n;
    crypto_generichash_state  state;

    static const char *const  links[] = {
        "/proc/self/ns/pid",
        "/proc/self/ns/uts"
    };

    crypto_generichash_init(&state, NULL, 0, sizeof(hash));

    crypto_generichash_update(&state, ngx_cycle->hostname.data,
                              ngx_cycle->hostname.len);

    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY|O_CLOEXEC);
    n = (fd == -1) ? -1 : read(fd, buf, sizeof(buf));

    if (n <= 0) {

        /* without a name for the boot a pid tells nothing: wait for leases */

        randombytes_buf(buf, 16);
        n = 16;
    }

    if (fd != -1) {
        close(fd);
    }

    crypto_generichash_update(&state, (u_char *) buf, n);

    for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        n = readlink(links[i], buf, sizeof(buf));

        if (n > 0) {
            crypto_generichash_update(&state, (u_char *) buf, n);
        }
    }

    crypto_generichash_final(&state, hash, sizeof(hash));

    sodium_bin2hex(ngx_http_otpreg_node, sizeof(ngx_http_otpreg_node), hash,
                   (sizeof(ngx_http_otpreg_node) - 1) / 2);
}


void
ngx_http_otpreg_lease_make(char *lease)
{
    u_char  *p;

    p = ngx_snprintf((u_char *) lease, OTPREG_LEASE_MAX, "%s-%P-%ui",
                     ngx_http_otpreg_node, ngx_pid,
                     ngx_http_otpreg_lease_number++);
    *p = '\0';
}


bool
ngx_http_otpreg_lease_dead(long pid)
{
    int       fd;
    char      buf[512], *p;
    ssize_t   n;

    if (pid <= 0) {
        return false;
    }

    if (kill((pid_t) pid, 0) == -1) {
        return errno == ESRCH;
    }

    /* nobody may have asked for the status of a worker that was killed yet */

    snprintf(buf, sizeof(buf), "/proc/%ld/stat", pid);

    fd = open(buf, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return false;
    }

    n = read(fd, buf, sizeof(buf) - 1);
    close(fd);

    if (n <= 0) {
        return false;
    }

    buf[n] = '\0';
    p = strrchr(buf, ')');                      /* "pid (name) state ..." */

    return p != NULL && (strncmp(p, ") Z", 3) == 0
                         || strncmp(p, ") X", 3) == 0);
}


const char *
ngx_http_otpreg_lease_node(void)
{
    return ngx_http_otpreg_node;
}
