/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_master: one buffer for what comes, at most a packet long, one for what
 * goes, and a state machine for everything that a master interleaves.
 *
 * A packet is consumed before its event is told, so an owner whose event
 * fails may step again.  What the master or the network did wrong stays: the
 * connection is over, and each later call says so again.
 *
 * Silence counts only where something is due: a master sends no signs of life
 * to those who did not register.  And it counts only once the socket was
 * found empty, as it may be us who were away.  A master that speaks and does
 * not go on with a download is no better: what gets on is a block, or a part
 * of one.
 *
 * Changes that come one by one, thousands a second, would each wake us; so
 * those that follow within two milliseconds are taken together.
 */
#include "system/mfs_master.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/time.h"
#include "system/mfs_download.h"
#include "system/mfs_packet.h"
#include "system/mfs_socket.h"

enum {
	READ_MIN = 1 << 16, /* room for a read, at least */
	STEP_MAX = 1 << 20, /* bytes taken by a step: others want their turn */
	OUT_MAX = 16 * MFS_PACKET_ASK_MAX,
	CONNECT_SEC = 3, /* for an address */
	GATHER_MS = 2,
	TIMEOUT_MAX = UINT16_MAX,
	NOPS = 3 /* signs of life in a timeout */
};

struct mfs_master {
	int fd;
	struct mfs_events events;
	char name[300]; /* HOST:PORT, for messages */
	unsigned timeout_sec;
	double nop_sec; /* of our silence, until a sign of life */
	double silence_sec; /* of the master's */
	double sent_at;
	double heard_at; /* or since when something is due */
	double got_on_at; /* the download */
	bool registered;
	bool version_asked;
	bool version_told;
	bool closed; /* by the master */
	uint32_t version; /* as on the wire */
	struct mfs_download download;
	bool end_due; /* the download's end is to be told */
	struct buf in;
	size_t in_off; /* what is before it was told */
	uint8_t out[OUT_MAX];
	size_t out_len;
	int send_errno; /* nothing can be sent any more */
	struct error dead; /* why the connection is over */
};

static enum err
die(struct mfs_master *m, const struct error *err)
{
	m->dead = *err;
	return err->code;
}

static enum err
corrupt(struct mfs_master *m, struct error *err)
{
	(void)err_wrap(err, "master %s", m->name);
	return die(m, err);
}

static enum err
broken(struct mfs_master *m, int e, struct error *err)
{
	(void)err_sys(err, e, "master %s: the connection broke", m->name);
	err->code = ERR_AGAIN;
	return die(m, err);
}

static enum err
check_alive(const struct mfs_master *m, struct error *err)
{
	if (m->dead.code != ERR_OK)
		*err = m->dead;
	return m->dead.code;
}

/* Something of the master's is due, so that its silence counts. */
static bool
is_due(const struct mfs_master *m)
{
	return m->registered || m->version_asked ||
	       m->download.state != MFS_DOWNLOAD_NONE;
}

static void
due_from_now(struct mfs_master *m)
{
	if (!is_due(m))
		m->heard_at = mono_sec();
}

/* What cannot be sent is no reason not to read what came before. */
static void
flush(struct mfs_master *m)
{
	ssize_t n;

	while (m->out_len > 0 && m->send_errno == 0) {
		n = send(m->fd, m->out, m->out_len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n < 0) {
			m->send_errno = errno;
			return;
		}
		m->out_len -= (size_t)n;
		memmove(m->out, m->out + n, m->out_len);
		m->sent_at = mono_sec();
	}
}

static enum err
queue(struct mfs_master *m, const uint8_t *data, size_t len, struct error *err)
{
	if (len > OUT_MAX - m->out_len)
		flush(m);
	if (len > OUT_MAX - m->out_len) {
		(void)err_set(err, ERR_AGAIN,
			"master %s does not read what it is sent", m->name);
		return die(m, err);
	}
	memcpy(m->out + m->out_len, data, len);
	m->out_len += len;
	return ERR_OK;
}

static enum err
keep_alive(struct mfs_master *m, struct error *err)
{
	uint8_t nop[MFS_PACKET_ASK_MAX];

	if (m->out_len > 0 || mono_sec() - m->sent_at < m->nop_sec)
		return ERR_OK;
	return queue(m, nop, mfs_packet_nop(nop), err);
}

/* The next block, or the end. */
static enum err
ask_block(struct mfs_master *m, struct error *err)
{
	struct mfs_download *d = &m->download;
	uint8_t ask[MFS_PACKET_ASK_MAX];
	uint32_t len = mfs_download_next(d);
	size_t n = len > 0 ? mfs_packet_request(ask, d->off, len)
			   : mfs_packet_end(ask);

	m->end_due = len == 0;
	return queue(m, ask, n, err);
}

static enum err
on_info(struct mfs_master *m, const struct mfs_packet *p, struct error *err)
{
	const struct mfs_events *e = &m->events;
	enum err rc;

	rc = mfs_download_info(&m->download, p, err);
	if (rc != ERR_OK)
		return corrupt(m, err);
	if (p->info.exists)
		rc = ask_block(m, err);
	if (rc == ERR_OK && e->begin != NULL)
		rc = e->begin(e->arg, m->download.file, p->info.exists,
			p->info.size, err);
	m->got_on_at = mono_sec();
	return rc;
}

static enum err
on_data(struct mfs_master *m, const struct mfs_packet *p, struct error *err)
{
	const struct mfs_events *e = &m->events;
	enum err rc;

	rc = mfs_download_data(&m->download, p, err);
	if (rc != ERR_OK)
		return corrupt(m, err);
	rc = ask_block(m, err);
	flush(m);
	if (rc == ERR_OK && e->data != NULL)
		rc = e->data(e->arg, m->download.file, p->data.off,
			p->data.data, p->data.len, err);
	m->got_on_at = mono_sec();
	return rc;
}

/* On its own, as the event before it may have failed. */
static enum err
tell_end(struct mfs_master *m, struct error *err)
{
	const struct mfs_events *e = &m->events;

	m->end_due = false;
	return e->end != NULL ? e->end(e->arg, m->download.file, err) : ERR_OK;
}

static enum err
on_log(struct mfs_master *m, const struct mfs_packet *p, struct error *err)
{
	const struct mfs_events *e = &m->events;

	if (!m->registered) {
		(void)err_set(err, ERR_CORRUPT,
			"changes that were not asked for");
		return corrupt(m, err);
	}
	if (p->kind == MFS_IS_ROTATE)
		return e->rotate != NULL ? e->rotate(e->arg, err) : ERR_OK;
	return e->change != NULL ? e->change(e->arg, p->change.id,
					   p->change.text, p->change.len, err)
				 : ERR_OK;
}

/* 0: replays, 1: goes on from now; what else there is refuses us. */
static enum err
on_ack(struct mfs_master *m, const struct mfs_packet *p, struct error *err)
{
	if (p->ack <= 1)
		return ERR_OK;
	(void)err_set(err, ERR_AGAIN, "master %s refuses us (answer %u)",
		m->name, p->ack);
	return die(m, err);
}

/* The master's idea of a timeout, from now on: we speak as often as the
 * shorter one wants it, and wait as long as the longer one allows. */
static void
on_timeout(struct mfs_master *m, unsigned seconds)
{
	double nop = (seconds > 0 ? seconds : 1) / (double)NOPS;

	if (nop < m->nop_sec)
		m->nop_sec = nop;
	if (seconds > m->silence_sec)
		m->silence_sec = seconds;
}

static enum err
on_version(struct mfs_master *m, const struct mfs_packet *p, struct error *err)
{
	if (!m->version_asked) {
		(void)err_set(err, ERR_CORRUPT,
			"a version that was not asked for");
		return corrupt(m, err);
	}
	m->version = p->version;
	m->version_told = true;
	return ERR_OK;
}

static enum err
on_packet(struct mfs_master *m, const struct mfs_packet *p, struct error *err)
{
	switch (p->kind) {
	case MFS_IS_CHANGE:
	case MFS_IS_ROTATE:
		return on_log(m, p, err);
	case MFS_IS_INFO:
		return on_info(m, p, err);
	case MFS_IS_DATA:
		return on_data(m, p, err);
	case MFS_IS_VERSION:
		return on_version(m, p, err);
	case MFS_IS_ACK:
		return on_ack(m, p, err);
	case MFS_IS_TIMEOUT:
		on_timeout(m, p->seconds);
		return ERR_OK;
	case MFS_IS_IDLE:
		return ERR_OK;
	}
	return ERR_OK;
}

/* Tell the packets that are whole.  *need: bytes of the next, as far as its
 * head is known. */
static enum err
deliver(struct mfs_master *m, size_t *need, struct error *err)
{
	struct mfs_packet p;
	const uint8_t *data;
	enum err rc;

	for (;;) {
		rc = m->end_due ? tell_end(m, err) : ERR_OK;
		if (rc != ERR_OK)
			return rc;
		data = m->in.data + m->in_off;
		rc = mfs_packet_size(need, data, m->in.len - m->in_off, err);
		if (rc != ERR_OK)
			return corrupt(m, err);
		if (*need > m->in.len - m->in_off)
			return ERR_OK;
		rc = mfs_packet_parse(&p, data, *need, err);
		if (rc != ERR_OK)
			return corrupt(m, err);
		m->in_off += *need;
		rc = on_packet(m, &p, err);
		if (rc != ERR_OK)
			return rc;
	}
}

static enum err
make_room(struct mfs_master *m, size_t need, struct error *err)
{
	size_t have = m->in.len - m->in_off;

	if (m->in_off > 0) {
		memmove(m->in.data, m->in.data + m->in_off, have);
		m->in.len = have;
		m->in_off = 0;
	}
	if (need < READ_MIN)
		need = READ_MIN;
	return buf_reserve(&m->in, need - have, err);
}

/* *more: as much came as there was room for. */
static enum err
receive(struct mfs_master *m, size_t need, bool *more, struct error *err)
{
	size_t room;
	ssize_t n;

	*more = false;
	if (make_room(m, need, err) != ERR_OK)
		return die(m, err);
	room = m->in.cap - m->in.len;
	do
		n = recv(m->fd, m->in.data + m->in.len, room, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return ERR_OK;
	m->closed = n <= 0;
	if (n < 0)
		return broken(m, errno, err);
	if (n == 0) {
		(void)err_set(err, ERR_AGAIN,
			"master %s closed the connection%s", m->name,
			m->in.len > 0 ? " amid a packet" : "");
		return die(m, err);
	}
	m->in.len += (size_t)n;
	m->heard_at = mono_sec();
	if (mfs_packet_is_data(m->in.data, m->in.len))
		m->got_on_at = m->heard_at;
	*more = (size_t)n == room;
	return ERR_OK;
}

/* *more: there may be more than a step takes. */
static enum err
take(struct mfs_master *m, bool *more, struct error *err)
{
	size_t need = 0, taken = 0, before;
	enum err rc;

	rc = deliver(m, &need, err);
	while (rc == ERR_OK && *more && taken < STEP_MAX) {
		before = m->in.len - m->in_off;
		rc = receive(m, need, more, err);
		if (rc != ERR_OK)
			break;
		taken += m->in.len - before;
		rc = deliver(m, &need, err);
	}
	return rc;
}

static double
stall_sec(const struct mfs_master *m)
{
	return m->silence_sec * MFS_STALL_TIMES;
}

/* For how long nothing is due of us, nor of the master. */
static int
wait_for(const struct mfs_master *m, int wait_ms)
{
	double now = mono_sec(), until = now + m->timeout_sec, ms;

	if (m->out_len == 0)
		until = m->sent_at + m->nop_sec;
	if (is_due(m) && m->heard_at + m->silence_sec < until)
		until = m->heard_at + m->silence_sec;
	if (mfs_is_fetching(m) && m->got_on_at + stall_sec(m) < until)
		until = m->got_on_at + stall_sec(m);
	ms = until > now ? (until - now) * 1000 : 0;
	return wait_ms >= 0 && wait_ms < ms ? wait_ms : (int)ms + 1;
}

/* There is something to tell already. */
static bool
has_news(const struct mfs_master *m)
{
	struct error err = ERROR_INIT;
	size_t have = m->in.len - m->in_off, need;

	if (have == 0 || m->end_due)
		return m->end_due;
	return mfs_packet_size(&need, m->in.data + m->in_off, have, &err) !=
		       ERR_OK ||
	       need <= have;
}

static enum err
check_stall(struct mfs_master *m, struct error *err)
{
	double sec = mono_sec() - m->got_on_at;

	if (!mfs_is_fetching(m) || sec <= stall_sec(m))
		return ERR_OK;
	(void)err_set(err, ERR_AGAIN,
		"master %s is there, but nothing of its file %d has come for "
		"%.0f seconds",
		m->name, m->download.file, sec);
	return die(m, err);
}

static enum err
check_silence(struct mfs_master *m, struct error *err)
{
	double sec = mono_sec() - m->heard_at;

	if (m->send_errno != 0)
		return broken(m, m->send_errno, err);
	if (!is_due(m) || sec <= m->silence_sec)
		return check_stall(m, err);
	(void)err_set(err, ERR_AGAIN,
		"master %s has been silent for %.0f seconds", m->name, sec);
	return die(m, err);
}

static void
gather(const struct mfs_master *m, int wait_ms)
{
	double ms = (mono_sec() - m->heard_at) * 1000;

	if (m->registered && !mfs_is_fetching(m) && ms < GATHER_MS &&
		wait_ms != 0)
		(void)poll(NULL, 0, GATHER_MS - (int)ms);
}

enum err
mfs_step(struct mfs_master *m, int wait_ms, struct error *err)
{
	struct pollfd p = { .fd = m->fd, .events = POLLIN };
	enum err rc = check_alive(m, err);
	bool more;

	if (rc == ERR_OK)
		rc = keep_alive(m, err);
	if (rc != ERR_OK)
		return rc;
	flush(m);
	if (m->out_len > 0 && m->send_errno == 0)
		p.events |= POLLOUT;
	if (poll(&p, 1, has_news(m) ? 0 : wait_for(m, wait_ms)) < 0)
		return errno == EINTR ? ERR_OK : broken(m, errno, err);
	more = (p.revents & ~POLLOUT) != 0;
	if (more)
		gather(m, wait_ms);
	rc = take(m, &more, err);
	if (rc != ERR_OK)
		return rc;
	flush(m);
	return more ? ERR_OK : check_silence(m, err);
}

enum err
mfs_fetch(struct mfs_master *m, enum mfs_file file, struct error *err)
{
	return mfs_fetch_part(m, file, UINT64_MAX, err);
}

enum err
mfs_fetch_part(struct mfs_master *m, enum mfs_file file, uint64_t max,
	struct error *err)
{
	uint8_t ask[MFS_PACKET_ASK_MAX];
	enum err rc = check_alive(m, err);

	if (rc != ERR_OK)
		return rc;
	if (mfs_is_fetching(m))
		return err_set(err, ERR_USAGE,
			"master %s: file %d is being fetched", m->name,
			m->download.file);
	due_from_now(m);
	m->got_on_at = mono_sec();
	mfs_download_start(&m->download, file, max);
	return queue(m, ask, mfs_packet_start(ask, (uint8_t)file), err);
}

bool
mfs_is_fetching(const struct mfs_master *m)
{
	return m->end_due || m->download.state != MFS_DOWNLOAD_NONE;
}

enum err
mfs_register(struct mfs_master *m, uint64_t since, struct error *err)
{
	uint8_t ask[MFS_PACKET_ASK_MAX];
	enum err rc = check_alive(m, err);

	if (rc != ERR_OK)
		return rc;
	if (m->registered)
		return err_set(err, ERR_USAGE, "master %s: registered already",
			m->name);
	due_from_now(m);
	m->registered = true;
	return queue(m, ask, mfs_packet_register(ask, m->timeout_sec, since),
		err);
}

double
mfs_silent_sec(const struct mfs_master *m)
{
	return mono_sec() - m->heard_at;
}

static void
set_times(struct mfs_master *m, unsigned timeout_sec)
{
	if (timeout_sec == 0)
		timeout_sec = MFS_TIMEOUT_SEC;
	if (timeout_sec > TIMEOUT_MAX)
		timeout_sec = TIMEOUT_MAX;
	m->timeout_sec = timeout_sec;
	m->silence_sec = timeout_sec;
	m->nop_sec = timeout_sec / (double)NOPS;
	m->sent_at = m->heard_at = mono_sec();
}

enum err
mfs_connect(struct mfs_master **out, const struct mfs_connect_conf *conf,
	struct error *err)
{
	struct mfs_master *m = calloc(1, sizeof(*m));
	bool colon = strchr(conf->host, ':') != NULL;
	int ms = CONNECT_SEC * 1000;
	enum err rc;

	if (m == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a connection");
	m->fd = -1;
	m->events = conf->events;
	buf_init(&m->in, MFS_PACKET_HEAD + MFS_PACKET_MAX);
	(void)snprintf(m->name, sizeof(m->name), colon ? "[%s]:%u" : "%s:%u",
		conf->host, (unsigned)conf->port);
	rc = buf_reserve(&m->in, READ_MIN, err);
	if (rc == ERR_OK)
		rc = mfs_socket_connect(&m->fd, conf->host, conf->port, ms,
			err);
	if (rc != ERR_OK) {
		mfs_close(m);
		return rc;
	}
	set_times(m, conf->timeout_sec);
	*out = m;
	return ERR_OK;
}

void
mfs_close(struct mfs_master *m)
{
	if (m == NULL)
		return;
	if (m->fd >= 0)
		(void)close(m->fd);
	buf_fini(&m->in);
	free(m);
}

enum err
mfs_version(const struct mfs_connect_conf *conf, uint32_t *version,
	struct error *err)
{
	struct mfs_connect_conf ours = *conf;
	uint8_t ask[MFS_PACKET_ASK_MAX];
	struct mfs_master *m = NULL;
	enum err rc;

	memset(&ours.events, 0, sizeof(ours.events));
	rc = mfs_connect(&m, &ours, err);
	if (rc != ERR_OK)
		return rc;
	m->version_asked = true;
	rc = queue(m, ask, mfs_packet_get_version(ask), err);
	while (rc == ERR_OK && !m->version_told)
		rc = mfs_step(m, -1, err);
	/* Those who do not know the question hang up. */
	if (m->version_told || m->closed) {
		*version =
			(m->version & 0xffffff00u) | (m->version & 0xffu) / 2;
		rc = ERR_OK;
	}
	mfs_close(m);
	return rc;
}
