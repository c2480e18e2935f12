/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mfs_ended.h"

#include <string.h>

/* Of a cluster there are some thousands at a time. */
enum { SESSIONS_MAX = 1 << 20 };

void
mfs_ended_init(struct mfs_ended *e, bool is_new)
{
	*e = (struct mfs_ended){ .known = is_new };
	mfs_sessions_init(&e->sessions, SESSIONS_MAX);
}

void
mfs_ended_fini(struct mfs_ended *e)
{
	mfs_sessions_fini(&e->sessions);
}

/* ---- the image ---- */

enum err
mfs_ended_section(void *arg, const struct mfs_section *section,
	struct error *err)
{
	struct mfs_ended *e = arg;

	e->in_sessions = strcmp(section->name, "SESS") == 0;
	return mfs_sessions_section(&e->sessions, section, err);
}

/* They end with a record of zeroes, behind which nothing more is wanted. */
enum err
mfs_ended_data(void *arg, const struct mfs_section *section, uint64_t at,
	const void *data, size_t len, struct error *err)
{
	struct mfs_ended *e = arg;
	struct mfs_sessions *s = &e->sessions;
	enum err rc;

	if (!e->in_sessions)
		return ERR_OK;
	rc = mfs_sessions_data(s, section, at, data, len, err);
	e->known = s->fixed > 0 && s->want == 0 && at + len == section->len;
	return rc;
}

/* ---- the log ---- */

static bool
is_of_sessions(const char *line, size_t len)
{
	const char *op = memchr(line, '|', len);

	return op != NULL && (size_t)(line + len - op) > 4 &&
	       memcmp(op, "|SES", 4) == 0;
}

static bool
is_op(const struct mfs_change *c, const char *name)
{
	return c->op.len == strlen(name) &&
	       memcmp(c->op.p, name, c->op.len) == 0;
}

static bool
is_over(const struct mfs_ended *e, const struct mfs_change *c)
{
	return e->known && e->sessions.n < SESSIONS_MAX &&
	       (is_op(c, "SESDEL") || is_op(c, "SESDISCONNECTED")) &&
	       mfs_sessions_find(&e->sessions, mfs_sessions_of(c)) == NULL;
}

enum err
mfs_ended_line(struct mfs_ended *e, const char *line, size_t len,
	struct buf *out, struct error *err)
{
	static const char idle[] = "IDLE()";
	struct mfs_change c;
	enum err rc = ERR_OK;

	if (is_of_sessions(line, len)) {
		rc = mfs_change_parse(&c, line, len, err);
		if (rc == ERR_OK)
			rc = mfs_sessions_take(&e->sessions, &c, err);
		if (rc == ERR_OK && is_over(e, &c)) {
			e->n++;
			rc = buf_put(out, line, (size_t)(c.op.p - line), err);
			line = idle;
			len = sizeof(idle) - 1;
		}
	}
	if (rc == ERR_OK)
		rc = buf_put(out, line, len, err);
	return rc == ERR_OK ? buf_put_u8(out, '\n', err) : rc;
}
