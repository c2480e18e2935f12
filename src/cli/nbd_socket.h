/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_socket: the Unix socket that is served, before and after it has a name.
 *
 *   nbd_socket_init (chooses the name, creates nothing)
 *     -> the descriptor goes to nbdkit -> nbd_socket_bind -> nbd_socket_remove
 *
 * One thread.
 */
#ifndef CLI_NBD_SOCKET_H
#define CLI_NBD_SOCKET_H

#include "base/compiler.h"
#include "base/err.h"

enum { NBD_SOCKET_PATH = 108, NBD_SOCKET_URI = 4 * NBD_SOCKET_PATH };

struct nbd_socket {
	int fd;
	char path[NBD_SOCKET_PATH];
	char dir[NBD_SOCKET_PATH]; /* made for it alone; else "" */
	char uri[NBD_SOCKET_URI]; /* nbd+unix:///?socket=PATH */
};

/* wanted: a path, or NULL for a fresh one in a directory of its own, below
 * $XDG_RUNTIME_DIR, else $TMPDIR, else /tmp.  ERR_USAGE where a path is too
 * long for a socket.  A failure leaves nothing to close. */
enum err nbd_socket_init(struct nbd_socket *s, const char *wanted,
	struct error *err) MUST_CHECK;

/*
 * Create it, with mode 0600, and listen.  A socket of that name that nobody
 * listens on is replaced, as one that was left behind; anything else is
 * ERR_EXISTS.
 */
enum err nbd_socket_bind(struct nbd_socket *s, struct error *err) MUST_CHECK;

/* Close our descriptor of it. */
void nbd_socket_close(struct nbd_socket *s);

/* Remove what nbd_socket_bind made, where it is still there. */
void nbd_socket_remove(const struct nbd_socket *s);

#endif /* CLI_NBD_SOCKET_H */
