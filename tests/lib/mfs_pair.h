/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_pair: a client of a MooseFS master, and the master's end of its
 * connection, both in one thread; what the client tells is kept as text.  On
 * loopback what is sent is there at once.
 */
#ifndef TESTS_LIB_MFS_PAIR_H
#define TESTS_LIB_MFS_PAIR_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crc32.h"
#include "system/mfs_master.h"
#include "tests/lib/must.h"

enum { MFS_STREAM_MAX = 1 << 24, MFS_NEVER = INT32_MAX };

static const enum mfs_file mfs_files[] = { MFS_IMAGE, MFS_LOG_PREVIOUS,
	MFS_LOG_CURRENT };

/* Both ends of a connection, and what was told at ours. */
struct pair {
	int listen_fd, fd;
	struct mfs_master *m;
	struct buf told;
	size_t n_files; /* of mfs_files[], begun */
	int events,
		fail_at; /* the event of this number fails; MFS_NEVER: none */
	struct error err;
};

static inline void
put(struct buf *b, const void *data, size_t len)
{
	struct error err = ERROR_INIT;

	must(buf_put(b, data, len, &err), &err);
}

__attribute__((format(printf, 2, 3))) static inline void
say(struct buf *b, const char *fmt, ...)
{
	char text[200];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	assert_true(n >= 0 && (size_t)n < sizeof(text));
	put(b, text, (size_t)n);
}

/* The events as text: told by the client, or expected of it. */
static inline void
say_change(struct buf *b, uint64_t id, const char *text, size_t len)
{
	say(b, "change %llu %zu %08x\n", (unsigned long long)id, len,
		(unsigned)crc32_add(0, text, len));
}

static inline void
say_data(struct buf *b, enum mfs_file file, uint64_t off, const void *data,
	size_t len)
{
	say(b, "data %d %llu %zu %08x\n", file, (unsigned long long)off, len,
		(unsigned)crc32_add(0, data, len));
}

static inline void
say_begin(struct buf *b, enum mfs_file file, bool exists, uint64_t size)
{
	say(b, "begin %d %d %llu\n", file, exists, (unsigned long long)size);
}

static inline enum err
counted(struct pair *p, struct error *err)
{
	if (p->events++ == p->fail_at)
		return err_set(err, ERR_CANCELLED, "event %d", p->fail_at);
	return ERR_OK;
}

static inline enum err
fetch_next(struct pair *p, struct error *err)
{
	if (p->n_files == ARRAY_LEN(mfs_files))
		return ERR_OK;
	return mfs_fetch(p->m, mfs_files[p->n_files++], err);
}

static inline enum err
on_change(void *arg, uint64_t id, const char *text, size_t len,
	struct error *err)
{
	struct pair *p = arg;

	say_change(&p->told, id, text, len);
	return counted(p, err);
}

static inline enum err
on_rotate(void *arg, struct error *err)
{
	struct pair *p = arg;

	say(&p->told, "rotate\n");
	return counted(p, err);
}

static inline enum err
on_begin(void *arg, enum mfs_file file, bool exists, uint64_t size,
	struct error *err)
{
	struct pair *p = arg;
	enum err rc = exists ? ERR_OK : fetch_next(p, err);

	say_begin(&p->told, file, exists, size);
	return rc == ERR_OK ? counted(p, err) : rc;
}

static inline enum err
on_data(void *arg, enum mfs_file file, uint64_t off, const void *data,
	size_t len, struct error *err)
{
	struct pair *p = arg;

	say_data(&p->told, file, off, data, len);
	return counted(p, err);
}

static inline enum err
on_end(void *arg, enum mfs_file file, struct error *err)
{
	struct pair *p = arg;
	enum err rc = fetch_next(p, err);

	say(&p->told, "end %d\n", file);
	return rc == ERR_OK ? counted(p, err) : rc;
}

static inline void
pair_init(struct pair *p)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	struct mfs_connect_conf conf = { .host = "127.0.0.1",
		.events = { p, on_change, on_rotate, on_begin, on_data,
			on_end } };
	socklen_t len = sizeof(a);
	int on = 1;

	memset(p, 0, sizeof(*p));
	p->fail_at = MFS_NEVER;
	buf_init(&p->told, MFS_STREAM_MAX);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(p->listen_fd >= 0);
	assert_int_equal(bind(p->listen_fd, (struct sockaddr *)&a, sizeof(a)),
		0);
	assert_int_equal(listen(p->listen_fd, 1), 0);
	assert_int_equal(getsockname(p->listen_fd, (struct sockaddr *)&a, &len),
		0);
	conf.port = ntohs(a.sin_port);
	must(mfs_connect(&p->m, &conf, &p->err), &p->err);
	p->fd = accept(p->listen_fd, NULL, NULL);
	assert_true(p->fd >= 0);
	(void)setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static inline void
pair_fini(struct pair *p)
{
	mfs_close(p->m);
	buf_fini(&p->told);
	if (p->fd >= 0)
		(void)close(p->fd);
	(void)close(p->listen_fd);
}

/* Registered, and the image asked for. */
static inline void
pair_start(struct pair *p)
{
	pair_init(p);
	must(mfs_register(p->m, 5, &p->err), &p->err);
	must(fetch_next(p, &p->err), &p->err);
	must(mfs_step(p->m, 0, &p->err), &p->err);
}

/* Send all of it; what the client has not taken yet waits in the kernel, so
 * it has to take some where that is full. */
static inline enum err
feed(struct pair *p, const uint8_t *data, size_t len)
{
	enum err rc = ERR_OK;

	while (len > 0 && rc == ERR_OK) {
		ssize_t n = send(p->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
		rc = mfs_step(p->m, 0, &p->err);
	}
	return rc;
}

/* Until it has told as much as want, or fails. */
static inline enum err
settle(struct pair *p, const struct buf *want)
{
	enum err rc = ERR_OK;

	for (int i = 0; i < 6000 && rc == ERR_OK; i++) {
		if (p->told.len >= want->len)
			break;
		rc = mfs_step(p->m, 10, &p->err);
	}
	return rc;
}

static inline void
same_told(const struct pair *p, const struct buf *want)
{
	size_t len = want->len < p->told.len ? want->len : p->told.len;
	size_t line = 0;

	if (want->len == p->told.len &&
		(len == 0 || memcmp(want->data, p->told.data, len) == 0))
		return;
	for (size_t i = 0; i < len && want->data[i] == p->told.data[i]; i++)
		line = want->data[i] == '\n' ? i + 1 : line;
	fail_msg("told \"%.*s\", expected \"%.*s\"",
		(int)(p->told.len - line < 80 ? p->told.len - line : 80),
		(const char *)p->told.data + line,
		(int)(want->len - line < 80 ? want->len - line : 80),
		(const char *)want->data + line);
}

static inline void
put_int(struct buf *b, uint64_t v, unsigned bytes)
{
	for (unsigned i = bytes; i > 0; i--)
		put(b, &(uint8_t){ (uint8_t)(v >> (8 * (i - 1))) }, 1);
}

static inline void
put_head(struct buf *b, uint32_t type, size_t len)
{
	put_int(b, type, 4);
	put_int(b, len, 4);
}

static inline size_t
int_at(const uint8_t *p)
{
	return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 |
	       p[3];
}

/* Without the signs of life, which come where the machine stands still. */
static inline void
leave_out_nops(struct buf *b)
{
	size_t at = 0, out = 0;

	while (b->len - at >= 8) {
		size_t n = 8 + int_at(b->data + at + 4);

		if (n > b->len - at)
			break;
		if (n > 8 || int_at(b->data + at) != 0) {
			memmove(b->data + out, b->data + at, n);
			out += n;
		}
		at += n;
	}
	memmove(b->data + out, b->data + at, b->len - at);
	b->len -= at - out;
}

/* The master's side of it. */
static inline void
same_asked(struct pair *p, const struct buf *want)
{
	struct buf got = BUF_INIT(MFS_STREAM_MAX);
	uint8_t part[4096];
	ssize_t n = 1;

	while (n > 0) {
		struct pollfd ready = { .fd = p->fd, .events = POLLIN };

		if (poll(&ready, 1, got.len < want->len ? 60000 : 0) != 1)
			break;
		n = recv(p->fd, part, sizeof(part), MSG_DONTWAIT);
		put(&got, part, n > 0 ? (size_t)n : 0);
		leave_out_nops(&got);
	}
	assert_int_equal(got.len, want->len);
	if (want->len > 0)
		assert_memory_equal(got.data, want->data, want->len);
	buf_fini(&got);
}

#endif /* TESTS_LIB_MFS_PAIR_H */
