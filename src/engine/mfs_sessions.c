/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_sessions: of SESADD the last two arguments are the client's address, as a
 * number, and what it says of its mount point, in every version; the result is
 * the session.
 *
 * SESS 1.5, integers big-endian:
 *
 *   next:32 stats:16, then records: id:32 checksum:64 mount length:32
 *     address:32, 41 bytes about rights, 8 * stats bytes, the mount point
 *   a record of zeroes ends them
 *
 * Source: logs of mfsmaster 2.0.91 and 3.0.117; images of 3.0.117 beside what
 * mfsmetadump tells of them.
 */
#include "engine/mfs_sessions.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"

enum {
	MOUNT_MAX = 4096,
	SESS_MAJOR = 1,
	SESS_MINOR = 5,
	SESS_HEAD = 6,
	SESS_FIXED = 61,
	SESS_STATS_MAX = 256
};

void
mfs_sessions_init(struct mfs_sessions *s, size_t max)
{
	*s = (struct mfs_sessions){
		.max = max,
		.part = BUF_INIT(SESS_FIXED + 8 * SESS_STATS_MAX + MOUNT_MAX),
	};
}

void
mfs_sessions_fini(struct mfs_sessions *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].mount);
	free(s->v);
	buf_fini(&s->part);
	*s = (struct mfs_sessions){ 0 };
}

static bool
is_op(const struct mfs_change *c, const char *op)
{
	return c->op.len == strlen(op) && memcmp(c->op.p, op, c->op.len) == 0;
}

static uint32_t
number_of(const struct mfs_text *t)
{
	bool ok;
	uint64_t v = mfs_arg_number(t, &ok);

	return ok && v <= UINT32_MAX ? (uint32_t)v : 0;
}

uint32_t
mfs_sessions_of(const struct mfs_change *c)
{
	static const char *const first[] = { "ACQUIRE", "RELEASE", "SESCHANGED",
		"SESCONNECTED", "SESDEL", "SESDISCONNECTED" };

	if (is_op(c, "SESADD"))
		return c->n_results > 0 ? number_of(&c->results[0]) : 0;
	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		if (is_op(c, first[i]))
			return c->n_args > 0 ? number_of(&c->args[0]) : 0;
	return 0;
}

/* Where id is, or would be; sessions come with rising ids, so mostly at the
 * end. */
static size_t
place_of(const struct mfs_sessions *s, uint32_t id)
{
	size_t low = 0, high = s->n;

	if (s->n > 0 && s->v[s->n - 1].id < id)
		return s->n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->v[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static enum err
insert(struct mfs_sessions *s, size_t at, const struct mfs_session *one,
	struct error *err)
{
	void *v = array_grow(s->v, s->n, &s->cap, sizeof(*s->v), err);

	if (v == NULL)
		return err->code;
	s->v = v;
	memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof(*s->v));
	s->v[at] = *one;
	s->n++;
	return ERR_OK;
}

static enum err
keep(struct mfs_sessions *s, const struct mfs_session *one, struct error *err)
{
	size_t at = place_of(s, one->id);
	enum err rc = ERR_OK;

	if (at < s->n && s->v[at].id == one->id) {
		free(s->v[at].mount);
		s->v[at] = *one;
	} else if (s->n < s->max) {
		rc = insert(s, at, one, err);
		if (rc != ERR_OK)
			free(one->mount);
	} else {
		free(one->mount);
	}
	return rc;
}

/* Takes mount over. */
static enum err
keep_mount(struct mfs_sessions *s, struct mfs_session *one, struct buf *mount,
	struct error *err)
{
	/* It came with the NUL of the client's string. */
	while (mount->len > 0 && mount->data[mount->len - 1] == '\0')
		mount->len--;
	one->mount = (char *)mount->data;
	one->mount_len = mount->len;
	return keep(s, one, err);
}

/* ---- of an image ---- */

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

enum err
mfs_sessions_section(void *arg, const struct mfs_section *section,
	struct error *err)
{
	struct mfs_sessions *s = arg;

	(void)err;
	buf_clear(&s->part);
	s->fixed = 0;
	s->want = strcmp(section->name, "SESS") == 0 &&
				  section->major == SESS_MAJOR &&
				  section->minor == SESS_MINOR
			  ? SESS_HEAD
			  : 0;
	return ERR_OK;
}

static void
take_head(struct mfs_sessions *s)
{
	size_t stats = (size_t)s->part.data[4] << 8 | s->part.data[5];

	s->fixed = SESS_FIXED + 8 * stats;
	s->want = stats <= SESS_STATS_MAX ? s->fixed : 0;
	buf_clear(&s->part);
}

/* The whole record is at hand, or only what tells how long it is. */
static enum err
take_record(struct mfs_sessions *s, struct error *err)
{
	const uint8_t *p = s->part.data;
	struct mfs_session one = { .id = get32(p), .client = get32(p + 16) };
	struct buf mount = BUF_INIT(MOUNT_MAX);
	size_t len = get32(p + 12);
	enum err rc;

	if (one.id == 0 || len > MOUNT_MAX) {
		s->want = 0;
		return ERR_OK;
	}
	if (s->part.len < s->fixed + len) {
		s->want = s->fixed + len;
		return ERR_OK;
	}
	rc = buf_put(&mount, p + s->fixed, len, err);
	if (rc != ERR_OK)
		return rc;
	buf_clear(&s->part);
	s->want = s->fixed;
	return keep_mount(s, &one, &mount, err);
}

enum err
mfs_sessions_data(void *arg, const struct mfs_section *section, uint64_t at,
	const void *data, size_t len, struct error *err)
{
	struct mfs_sessions *s = arg;
	const uint8_t *p = data;
	enum err rc = ERR_OK;

	(void)section;
	(void)at;
	while (rc == ERR_OK && len > 0 && s->want > 0) {
		size_t n = s->want - s->part.len;

		if (n > len)
			n = len;
		rc = buf_put(&s->part, p, n, err);
		p += n;
		len -= n;
		if (rc != ERR_OK || s->part.len < s->want)
			continue;
		if (s->fixed == 0)
			take_head(s);
		else
			rc = take_record(s, err);
	}
	return rc;
}

/* ---- of a log ---- */

enum err
mfs_sessions_take(struct mfs_sessions *s, const struct mfs_change *c,
	struct error *err)
{
	struct buf mount = BUF_INIT(MOUNT_MAX);
	struct mfs_session one = { .id = mfs_sessions_of(c) };
	enum err rc;

	if (!is_op(c, "SESADD") || one.id == 0 || c->n_args < 2 ||
		c->n_args > MFS_ARGS_MAX)
		return ERR_OK;
	if (c->args[c->n_args - 1].len > MOUNT_MAX / 2)
		return ERR_OK;
	one.client = number_of(&c->args[c->n_args - 2]);
	rc = mfs_arg_name(&c->args[c->n_args - 1], &mount, err);
	if (rc != ERR_OK) {
		buf_fini(&mount);
		return rc;
	}
	return keep_mount(s, &one, &mount, err);
}

const struct mfs_session *
mfs_sessions_find(const struct mfs_sessions *s, uint32_t id)
{
	size_t at = place_of(s, id);

	return at < s->n && s->v[at].id == id ? &s->v[at] : NULL;
}
