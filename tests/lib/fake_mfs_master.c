/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_mfs_master: one thread, one lock.  The thread holds the lock except
 * while it waits; a test's call changes the state and wakes it.
 */
#include "tests/lib/fake_mfs_master.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/array.h"
#include "base/buf.h"
#include "base/crc32.h"
#include "base/time.h"
#include "tests/lib/prng.h"

enum { CONNS = 4, IN_MAX = 4096, OUT_MAX = 1 << 28, NEW_ID = 0x6b013a55 };

/* Between signs of life of one that stalls. */
static const double NOP_SEC = 0.3;

struct line {
	uint64_t id;
	char *text; /* with the id, as in a file */
	unsigned hour;
};

struct conn {
	int fd; /* -1: free */
	struct buf in, out, file; /* file: that is being downloaded */
	uint64_t sent;
	bool registered, opened; /* START of the image came */
	bool image; /* it is what is being downloaded */
	unsigned timeout_sec, hour; /* hour: of the opened logs */
	unsigned blocks;
	double heard_at, sent_at, next_at;
};

struct fake_mfs {
	pthread_t thread;
	pthread_mutex_t lock;
	int listen_fd, wake_fd;
	uint16_t port;
	bool stop;
	struct fake_mfs_faults faults;
	struct prng prng;
	struct fake_mfs_seen seen;
	struct line *lines;
	size_t n_lines, cap_lines;
	uint64_t next, metaid;
	unsigned hour;
	struct buf image;
	struct conn conns[CONNS];
};

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
add(struct buf *b, const void *data, size_t len)
{
	struct error err = ERROR_INIT;

	must(buf_put(b, data, len, &err) == ERR_OK);
}

static void
add_int(struct buf *b, uint64_t v, unsigned bytes)
{
	uint8_t raw[8];

	for (unsigned i = 0; i < bytes; i++)
		raw[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
	add(b, raw, bytes);
}

static uint64_t
get_int(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v = v << 8 | p[i];
	return v;
}

static void
add_head(struct conn *c, uint32_t type, size_t len)
{
	add_int(&c->out, type, 4);
	add_int(&c->out, len, 4);
}

static void
hang_up(struct conn *c)
{
	(void)close(c->fd);
	c->fd = -1;
}

__attribute__((format(printf, 3, 4))) static void
trouble(struct fake_mfs *f, struct conn *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (f->seen.trouble[0] == '\0')
		(void)vsnprintf(f->seen.trouble, sizeof(f->seen.trouble), fmt,
			args);
	va_end(args);
	hang_up(c);
}

static void
add_change(struct conn *c, const struct line *l)
{
	const char *text = strchr(l->text, ' ') + 1;
	size_t len = strlen(text) + 1;

	add_head(c, 51, 9 + len);
	add_int(&c->out, 0xff, 1);
	add_int(&c->out, l->id, 8);
	add(&c->out, text, len);
}

static void
on_register(struct fake_mfs *f, struct conn *c, const uint8_t *p, size_t len)
{
	bool since = len == 15 && p[0] == 2;

	if (c->registered || !(since || (len == 7 && p[0] == 1))) {
		trouble(f, c, "a registration of %zu bytes, type %d%s", len,
			len > 0 ? p[0] : -1, c->registered ? ", again" : "");
		return;
	}
	c->registered = true;
	c->timeout_sec = (unsigned)get_int(p + 5, 2);
	if (c->timeout_sec < 3)
		c->timeout_sec = 3;
	f->seen.registrations++;
	f->seen.version = (uint32_t)get_int(p + 1, 4);
	f->seen.timeout_sec = (unsigned)get_int(p + 5, 2);
	f->seen.since = since ? get_int(p + 7, 8) : 0;
	if (!since || f->seen.since < f->faults.remembers)
		return;
	for (size_t i = 0; i < f->n_lines; i++)
		if (f->lines[i].id >= f->seen.since)
			add_change(c, &f->lines[i]);
}

static void
add_log(const struct fake_mfs *f, struct buf *b, unsigned hour)
{
	for (size_t i = 0; i < f->n_lines; i++) {
		if (f->lines[i].hour != hour ||
			(f->faults.logged > 0 &&
				f->lines[i].id >= f->faults.logged))
			continue;
		add(b, f->lines[i].text, strlen(f->lines[i].text));
		add(b, "\n", 1);
	}
}

static void
on_start(struct fake_mfs *f, struct conn *c, const uint8_t *p, size_t len)
{
	if (len != 1 || (p[0] != 1 && p[0] != 11 && p[0] != 12) ||
		(p[0] != 1 && !c->opened)) {
		trouble(f, c, "a download of file %d", len > 0 ? p[0] : -1);
		return;
	}
	f->seen.starts++;
	c->image = p[0] == 1;
	c->blocks = 0;
	buf_clear(&c->file);
	if (f->faults.stall == 1)
		return;
	c->opened |= p[0] == 1;
	if (p[0] == 1 && f->faults.no_image) {
		c->hour = f->hour;
		add_head(c, 61, 1);
		add_int(&c->out, 0xff, 1);
		return;
	}
	if (p[0] == 1) {
		add(&c->file, f->image.data, f->image.len);
		c->hour = f->hour;
	} else {
		add_log(f, &c->file, p[0] == 11 ? c->hour : c->hour - 1);
	}
	add_head(c, 61, 8);
	add_int(&c->out, c->file.len, 8);
}

/* What a damaged block has instead of what was asked for. */
static void
add_block(struct fake_mfs *f, struct conn *c, uint64_t off, size_t len)
{
	bool bad = ++c->blocks == f->faults.damaged_block;
	enum fake_mfs_damage damage = f->faults.damage;
	size_t says = len, at;

	if (bad && damage == FAKE_MFS_SHORT)
		says = --len;
	if (bad && damage == FAKE_MFS_LONG)
		says++;
	add_head(c, 63, 16 + len);
	add_int(&c->out, off + (bad && damage == FAKE_MFS_OFF), 8);
	add_int(&c->out, says, 4);
	add_int(&c->out, crc32_add(0, c->file.data + off, len), 4);
	at = c->out.len;
	add(&c->out, c->file.data + off, len);
	if (bad && damage == FAKE_MFS_CRC)
		c->out.data[at + prng_below(&f->prng, len)] ^= 1;
}

static void
on_request(struct fake_mfs *f, struct conn *c, const uint8_t *p, size_t len)
{
	uint64_t off = len == 12 ? get_int(p, 8) : 0;
	uint64_t n = len == 12 ? get_int(p + 8, 4) : 0;

	if (n == 0 || n > 1000000 || off > c->file.len ||
		n > c->file.len - off) {
		trouble(f, c, "a request of %llu bytes at %llu of %zu",
			(unsigned long long)n, (unsigned long long)off,
			c->file.len);
		return;
	}
	if (f->faults.stall > 0 && c->blocks + 2 >= f->faults.stall)
		return;
	if (c->image)
		f->seen.image_bytes += n;
	add_block(f, c, off, (size_t)n);
}

static void
on_version(struct fake_mfs *f, struct conn *c)
{
	static const char text[] = "3.0.117-1";

	if (f->faults.no_version) {
		hang_up(c);
		return;
	}
	add_head(c, 11, 4 + strlen(text));
	add_int(&c->out, 0x000300ea, 4);
	add(&c->out, text, strlen(text));
}

static void
on_packet(struct fake_mfs *f, struct conn *c, uint32_t type, const uint8_t *p,
	size_t len)
{
	if (type == 0 && len == 0)
		f->seen.nops++;
	else if (type == 10 && len == 0)
		on_version(f, c);
	else if (type == 50)
		on_register(f, c, p, len);
	else if (type == 60)
		on_start(f, c, p, len);
	else if (type == 62)
		on_request(f, c, p, len);
	else if (type == 64 && len == 0)
		f->seen.ends++;
	else
		trouble(f, c, "a packet of type %u, %zu bytes", (unsigned)type,
			len);
}

static void
read_conn(struct fake_mfs *f, struct conn *c)
{
	struct error err = ERROR_INIT;
	size_t off = 0, len;
	ssize_t n;

	must(buf_reserve(&c->in, IN_MAX / 2, &err) == ERR_OK);
	n = recv(c->fd, c->in.data + c->in.len, IN_MAX / 2, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		hang_up(c);
		return;
	}
	if (n > 0) {
		c->in.len += (size_t)n;
		c->heard_at = mono_sec();
	}
	while (c->fd >= 0 && c->in.len - off >= 8) {
		const uint8_t *p = c->in.data + off;

		len = (size_t)get_int(p + 4, 4);
		if (len > 100) {
			trouble(f, c, "a packet of %zu bytes", len);
			return;
		}
		if (c->in.len - off - 8 < len)
			break;
		on_packet(f, c, (uint32_t)get_int(p, 4), p + 8, len);
		off += 8 + len;
	}
	c->in.len -= off;
	memmove(c->in.data, c->in.data + off, c->in.len);
}

/* As much as a piece has.  False: no more for now. */
static bool
send_piece(struct fake_mfs *f, struct conn *c, size_t *off)
{
	const struct fake_mfs_faults *t = &f->faults;
	size_t n = c->out.len - *off;
	double now = mono_sec();
	ssize_t did;

	if (n == 0 || (t->piece_ms > 0 && now < c->next_at))
		return false;
	if (t->piece_max > 0 && n > t->piece_max)
		n = 1 + (size_t)prng_below(&f->prng, t->piece_max);
	if (t->close_after > 0 && n > t->close_after - c->sent)
		n = (size_t)(t->close_after - c->sent);
	did = send(c->fd, c->out.data + *off, n, MSG_NOSIGNAL);
	if (did < 0) {
		if (errno != EAGAIN && errno != EINTR)
			hang_up(c);
		return false;
	}
	*off += (size_t)did;
	c->sent += (uint64_t)did;
	c->sent_at = now;
	c->next_at = now + t->piece_ms / 1000.0;
	if (t->close_after > 0 && c->sent >= t->close_after)
		hang_up(c);
	return c->fd >= 0;
}

static void
send_conn(struct fake_mfs *f, struct conn *c)
{
	size_t off = 0;

	if (f->faults.mute)
		return;
	while (send_piece(f, c, &off))
		;
	c->out.len -= off;
	if (off > 0 && c->out.len > 0)
		memmove(c->out.data, c->out.data + off, c->out.len);
}

static void
keep_alive(struct fake_mfs *f, struct conn *c)
{
	double now = mono_sec();
	double nop_sec = f->faults.stall == 0 ? c->timeout_sec / 3.0 : NOP_SEC;

	if (!c->registered && f->faults.stall == 0)
		return;
	if (c->registered && now - c->heard_at > c->timeout_sec) {
		trouble(f, c, "silence for %u seconds", c->timeout_sec);
		return;
	}
	if (!f->faults.no_nops && c->out.len == 0 &&
		now - c->sent_at >= nop_sec)
		add_head(c, 0, 0);
}

static void
accept_conn(struct fake_mfs *f)
{
	int on = 1, fd = accept4(f->listen_fd, NULL, NULL, SOCK_NONBLOCK);
	size_t i = 0;

	if (fd < 0)
		return;
	f->seen.connections++;
	while (i < CONNS && f->conns[i].fd >= 0)
		i++;
	if (f->faults.refuse || i == CONNS) {
		(void)close(fd);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	buf_fini(&f->conns[i].in);
	buf_fini(&f->conns[i].out);
	buf_fini(&f->conns[i].file);
	f->conns[i] = (struct conn){ .fd = fd,
		.in = BUF_INIT(IN_MAX),
		.out = BUF_INIT(OUT_MAX),
		.file = BUF_INIT(OUT_MAX),
		.heard_at = mono_sec(),
		.sent_at = mono_sec() };
}

static void
wait_all(struct fake_mfs *f)
{
	struct pollfd p[CONNS + 2] = { { f->listen_fd, POLLIN, 0 },
		{ f->wake_fd, POLLIN, 0 } };
	int ms = f->faults.piece_ms > 0 ? f->faults.piece_ms : 100;
	uint64_t woken;

	for (size_t i = 0; i < CONNS; i++) {
		const struct conn *c = &f->conns[i];

		p[i + 2].fd = c->fd;
		p[i + 2].events = POLLIN;
		if (c->out.len > 0 && f->faults.piece_ms == 0 &&
			!f->faults.mute)
			p[i + 2].events |= POLLOUT;
	}
	(void)pthread_mutex_unlock(&f->lock);
	(void)poll(p, CONNS + 2, ms);
	(void)pthread_mutex_lock(&f->lock);
	if (p[0].revents != 0)
		accept_conn(f);
	if (p[1].revents != 0)
		(void)!read(f->wake_fd, &woken, sizeof(woken));
}

static void *
serve(void *arg)
{
	struct fake_mfs *f = arg;

	(void)pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		wait_all(f);
		for (size_t i = 0; i < CONNS; i++) {
			struct conn *c = &f->conns[i];

			if (c->fd >= 0)
				read_conn(f, c);
			if (c->fd >= 0)
				keep_alive(f, c);
			if (c->fd >= 0)
				send_conn(f, c);
		}
	}
	(void)pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void
forget(struct fake_mfs *f)
{
	for (size_t i = 0; i < f->n_lines; i++)
		free(f->lines[i].text);
	f->n_lines = 0;
	f->next = 1;
	f->hour = 1;
	buf_clear(&f->image);
	add(&f->image, "MFSM NEW", 8);
}

static struct fake_mfs *
start_at(const struct sockaddr *at, socklen_t len)
{
	struct fake_mfs *f = calloc(1, sizeof(*f));
	struct sockaddr_storage got;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&got;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&got;
	socklen_t room = sizeof(got);

	must(f != NULL);
	f->listen_fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (f->listen_fd < 0 || bind(f->listen_fd, at, len) != 0) {
		(void)close(f->listen_fd);
		free(f);
		return NULL;
	}
	(void)pthread_mutex_init(&f->lock, NULL);
	f->image = BUF_INIT(OUT_MAX);
	f->metaid = NEW_ID;
	forget(f);
	for (size_t i = 0; i < CONNS; i++)
		f->conns[i].fd = -1;
	f->wake_fd = eventfd(0, EFD_NONBLOCK);
	must(f->wake_fd >= 0);
	must(listen(f->listen_fd, CONNS) == 0);
	must(getsockname(f->listen_fd, (struct sockaddr *)&got, &room) == 0);
	f->port = ntohs(
		at->sa_family == AF_INET ? in4->sin_port : in6->sin6_port);
	must(pthread_create(&f->thread, NULL, serve, f) == 0);
	return f;
}

struct fake_mfs *
fake_mfs_start(void)
{
	const struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct fake_mfs *f = start_at((const struct sockaddr *)&a, sizeof(a));

	must(f != NULL);
	return f;
}

struct fake_mfs *
fake_mfs_start6(void)
{
	const struct sockaddr_in6 a = { .sin6_family = AF_INET6,
		.sin6_addr = IN6ADDR_LOOPBACK_INIT };

	return start_at((const struct sockaddr *)&a, sizeof(a));
}

static void
lock(struct fake_mfs *f)
{
	(void)pthread_mutex_lock(&f->lock);
}

static void
unlock(struct fake_mfs *f)
{
	uint64_t one = 1;

	must(write(f->wake_fd, &one, sizeof(one)) == sizeof(one));
	(void)pthread_mutex_unlock(&f->lock);
}

void
fake_mfs_stop(struct fake_mfs *f)
{
	lock(f);
	f->stop = true;
	unlock(f);
	(void)pthread_join(f->thread, NULL);
	for (size_t i = 0; i < CONNS; i++) {
		struct conn *c = &f->conns[i];

		if (c->fd >= 0)
			hang_up(c);
		buf_fini(&c->in);
		buf_fini(&c->out);
		buf_fini(&c->file);
	}
	forget(f);
	free(f->lines);
	buf_fini(&f->image);
	(void)close(f->listen_fd);
	(void)close(f->wake_fd);
	(void)pthread_mutex_destroy(&f->lock);
	free(f);
}

uint16_t
fake_mfs_port(const struct fake_mfs *f)
{
	return f->port;
}

void
fake_mfs_fault(struct fake_mfs *f, const struct fake_mfs_faults *faults)
{
	lock(f);
	f->faults = *faults;
	prng_init(&f->prng, faults->seed);
	unlock(f);
}

void
fake_mfs_seen(struct fake_mfs *f, struct fake_mfs_seen *out)
{
	lock(f);
	*out = f->seen;
	for (size_t i = 0; i < CONNS; i++)
		if (f->conns[i].fd >= 0)
			out->unsent += f->conns[i].out.len;
	unlock(f);
}

static uint64_t
change(struct fake_mfs *f, const char *text)
{
	struct error err = ERROR_INIT;
	uint64_t id = f->next++;
	struct line *l;

	l = array_grow(f->lines, f->n_lines, &f->cap_lines, sizeof(*l), &err);
	must(l != NULL);
	f->lines = l;
	l += f->n_lines++;
	l->id = id;
	l->hour = f->hour;
	if (text == NULL)
		must(asprintf(&l->text,
			     "%llu: "
			     "%llu|CREATE(1,file%llu,1,420,18,0,0,0):%llu",
			     (unsigned long long)id,
			     1795242580 + (unsigned long long)id / 10,
			     (unsigned long long)id,
			     (unsigned long long)id + 1) > 0);
	else
		must(asprintf(&l->text, "%llu: %s", (unsigned long long)id,
			     text) > 0);
	for (size_t i = 0; i < CONNS; i++)
		if (f->conns[i].fd >= 0 && f->conns[i].registered)
			add_change(&f->conns[i], l);
	return id;
}

uint64_t
fake_mfs_change(struct fake_mfs *f, const char *text)
{
	uint64_t id;

	lock(f);
	id = change(f, text);
	unlock(f);
	return id;
}

uint64_t
fake_mfs_changes(struct fake_mfs *f, unsigned n)
{
	uint64_t id = 0;

	lock(f);
	for (unsigned i = 0; i < n; i++)
		id = change(f, NULL);
	unlock(f);
	return id;
}

const char *
fake_mfs_text(struct fake_mfs *f, uint64_t id)
{
	const char *text = NULL;

	lock(f);
	for (size_t i = f->n_lines; i > 0 && text == NULL; i--)
		if (f->lines[i - 1].id == id)
			text = f->lines[i - 1].text;
	unlock(f);
	return text;
}

void
fake_mfs_renumber(struct fake_mfs *f, uint64_t next)
{
	lock(f);
	while (f->n_lines > 0 && f->lines[f->n_lines - 1].id >= next)
		free(f->lines[--f->n_lines].text);
	f->next = next;
	unlock(f);
}

void
fake_mfs_rotate(struct fake_mfs *f)
{
	lock(f);
	f->hour++;
	for (size_t i = 0; i < CONNS; i++) {
		if (f->conns[i].fd < 0 || !f->conns[i].registered)
			continue;
		add_head(&f->conns[i], 51, 1);
		add_int(&f->conns[i].out, 0x55, 1);
	}
	unlock(f);
}

void
fake_mfs_save(struct fake_mfs *f, size_t bytes)
{
	struct buf *b = &f->image;

	lock(f);
	buf_clear(b);
	add(b, "MFSM 2.0", 8);
	add_int(b, f->next, 8);
	add_int(b, f->metaid, 8);
	add(b, "NODE 1.4", 8);
	add_int(b, bytes, 8);
	for (uint64_t i = 0; i < bytes; i++)
		add_int(b, (i * 2654435761u) >> 24 & 0xff, 1);
	add(b, "[MFS EOF MARKER]", 16);
	unlock(f);
}

void
fake_mfs_image(struct fake_mfs *f, const void *data, size_t len)
{
	lock(f);
	buf_clear(&f->image);
	add(&f->image, data, len);
	unlock(f);
}

void
fake_mfs_replace(struct fake_mfs *f, uint64_t metaid)
{
	lock(f);
	forget(f);
	f->metaid = metaid;
	unlock(f);
}

void
fake_mfs_raw(struct fake_mfs *f, const void *data, size_t len)
{
	lock(f);
	for (size_t i = 0; i < CONNS; i++)
		if (f->conns[i].fd >= 0)
			add(&f->conns[i].out, data, len);
	unlock(f);
}

void
fake_mfs_hang_up(struct fake_mfs *f)
{
	lock(f);
	for (size_t i = 0; i < CONNS; i++)
		if (f->conns[i].fd >= 0)
			(void)shutdown(f->conns[i].fd, SHUT_RDWR);
	unlock(f);
}
