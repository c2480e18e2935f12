/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nbd_server: nbdkit with our plugin, as a child that is looked after.
 *
 *   nbd_server_start -> (clients) -> nbd_server_wait -> nbd_server_end
 *
 * The child gets the passphrase through a pipe; its command line and its
 * environment hold nothing that is secret.  It dies with this process, and
 * removes the socket when it ends; where it was killed, nbd_server_end does.
 * The sockets are created when it is ready to serve and to be ended, so that
 * killing either process, at any time, leaves nothing behind.
 *
 * Signals that end a program (SIGINT, SIGTERM, SIGHUP) and SIGCHLD are
 * blocked from nbd_server_start on and waited for.  One thread, and no other
 * in the process.
 */
#ifndef CLI_NBD_SERVER_H
#define CLI_NBD_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "cli/nbd_socket.h"

struct nbd_conf {
	const char *plugin; /* its file */
	const char *repository, *snapshot, *path;
	const char *cache_dir, *key_hint; /* or NULL */
	const struct buf *pass;
	unsigned threads;
	uint32_t cache_size; /* of chunks that were read, in bytes */
	bool cow; /* writes go to a layer that is thrown away */
	bool syslog; /* messages go there; else to standard error */
	bool verbose;
};

struct nbd_server {
	struct nbd_socket *socket;
	pid_t pid, command; /* 0: none */
	int signals;
	bool bound;
};

/* Until clients can connect.  After a failure nothing runs and nothing has
 * to be ended; ERR_CANCELLED where a signal came. */
enum err nbd_server_start(struct nbd_server *s, const struct nbd_conf *conf,
	struct nbd_socket *socket, struct error *err) MUST_CHECK;

/* Run a command, with the address in its environment as $uri and $unixsocket,
 * and without COFFER_PASSWORD. */
enum err nbd_server_run(struct nbd_server *s, char *const argv[],
	struct error *err) MUST_CHECK;

/*
 * Until a signal comes, or, where there is one, the command has ended, whose
 * status (128 + N where signal N ended it) is then in *status.  A failure
 * where nbdkit ended by itself.
 */
enum err nbd_server_wait(struct nbd_server *s, int *status,
	struct error *err) MUST_CHECK;

/* End what runs, and remove the socket. */
void nbd_server_end(struct nbd_server *s);

#endif /* CLI_NBD_SERVER_H */
