/* SPDX-License-Identifier: Apache-2.0 */
/* mfs_socket: a TCP connection to HOST:PORT that nothing waits on. */
#ifndef SYSTEM_MFS_SOCKET_H
#define SYSTEM_MFS_SOCKET_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

/*
 * Resolve the host now and try each of its addresses, IPv6 and IPv4, for at
 * most each_ms.  *fd: non-blocking, closed by exec, without Nagle's delay,
 * with keep-alive of TCP.
 * ERR_NOTFOUND: there is no such name.  ERR_AGAIN: no address answers, or the
 * name could not be asked for.
 */
enum err mfs_socket_connect(int *fd, const char *host, uint16_t port,
	int each_ms, struct error *err) MUST_CHECK;

#endif /* SYSTEM_MFS_SOCKET_H */
