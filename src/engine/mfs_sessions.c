/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_sessions: of SESADD the last two arguments are the client's address, as a
 * number, and what it says of its mount point, in every version; the result is
 * the session.
 *
 * Source: logs of mfsmaster 2.0.91 and 3.0.117.
 */
#include "engine/mfs_sessions.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/buf.h"

enum { MOUNT_MAX = 4096 };

void
mfs_sessions_init(struct mfs_sessions *s, size_t max)
{
	*s = (struct mfs_sessions){ .max = max };
}

void
mfs_sessions_fini(struct mfs_sessions *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i].mount);
	free(s->v);
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
	/* It came with the NUL of the client's string. */
	while (mount.len > 0 && mount.data[mount.len - 1] == '\0')
		mount.len--;
	one.mount = (char *)mount.data;
	one.mount_len = mount.len;
	return keep(s, &one, err);
}

const struct mfs_session *
mfs_sessions_find(const struct mfs_sessions *s, uint32_t id)
{
	size_t at = place_of(s, id);

	return at < s->n && s->v[at].id == id ? &s->v[at] : NULL;
}
