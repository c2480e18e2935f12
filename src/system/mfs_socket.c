/* SPDX-License-Identifier: Apache-2.0 */
#include "system/mfs_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/time.h"

static enum err
resolve(struct addrinfo **out, const char *host, uint16_t port,
	struct error *err)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICSERV };
	char service[8];
	int r;

	(void)snprintf(service, sizeof(service), "%u", (unsigned)port);
	r = getaddrinfo(host, service, &hints, out);
	if (r == 0)
		return ERR_OK;
	if (r == EAI_MEMORY)
		return err_set(err, ERR_NOMEM, "no memory to resolve %s", host);
	return err_set(err,
		r == EAI_NONAME || r == EAI_NODATA ? ERR_NOTFOUND : ERR_AGAIN,
		"cannot resolve %s: %s", host, gai_strerror(r));
}

/* 0 once fd is connected, else an errno. */
static int
wait_connected(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	double end = mono_sec() + ms / 1000.0;
	socklen_t len = sizeof(int);
	int e = 0, r;

	for (;;) {
		double left = (end - mono_sec()) * 1000;

		r = poll(&p, 1, left > 0 ? (int)left + 1 : 0);
		if (r == 0)
			return ETIMEDOUT;
		if (r > 0)
			break;
		if (errno != EINTR)
			return errno;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
		return errno;
	return e;
}

/* A descriptor, or a negative errno. */
static int
connect_one(const struct addrinfo *a, int ms)
{
	int on = 1, e = 0;
	int fd = socket(a->ai_family,
		a->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, a->ai_protocol);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	if (connect(fd, a->ai_addr, a->ai_addrlen) < 0)
		e = errno == EINPROGRESS || errno == EINTR
			    ? wait_connected(fd, ms)
			    : errno;
	if (e == 0)
		return fd;
	(void)close(fd);
	return -e;
}

enum err
mfs_socket_connect(int *fd, const char *host, uint16_t port, int each_ms,
	struct error *err)
{
	struct addrinfo *list = NULL;
	int r = -EADDRNOTAVAIL;
	enum err rc;

	rc = resolve(&list, host, port, err);
	if (rc != ERR_OK)
		return rc;
	for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
		r = connect_one(a, each_ms);
		if (r >= 0)
			break;
	}
	freeaddrinfo(list);
	if (r >= 0) {
		*fd = r;
		return ERR_OK;
	}
	(void)err_sys(err, -r, "cannot connect to %s, port %u", host,
		(unsigned)port);
	if (-r != ENOMEM && -r != EMFILE && -r != ENFILE)
		err->code = ERR_AGAIN;
	return err->code;
}
