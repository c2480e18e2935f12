/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/mfs_history.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/mfs_paths.h"
#include "engine/mfs_sessions.h"
#include "format/mfs_edges.h"
#include "format/mfs_records.h"

enum { PATH_ROOM = MFS_PATH_MAX + 64 };

struct telling {
	const struct mfs_history_conf *conf;
	mfs_event_fn *fn;
	void *arg;
	struct mfs_history_result *result;
	struct mfs_edges *edges; /* NULL: no paths */
	struct mfs_sessions sessions;
	struct mfs_change change;
	struct buf path, path_to, name;
	bool deleted, begun;
};

/* ---- which changes ---- */

static bool
is_early(struct telling *t, const struct mfs_set_line *line)
{
	const struct mfs_moment *from = &t->conf->from;

	/* Once begun it goes on: clocks step. */
	if (!t->begun && from->kind == MFS_MOMENT_ID)
		t->begun = line->id >= from->id;
	else if (!t->begun && from->kind == MFS_MOMENT_TIME)
		t->begun =
			from->sec < 0 || line->seconds >= (uint64_t)from->sec;
	else
		t->begun = true;
	return !t->begun;
}

/* Whether nothing behind this line is asked for, and so need not be right. */
static bool
is_last(const struct telling *t, const struct mfs_set_line *line)
{
	return t->conf->to.kind == MFS_MOMENT_ID && line->id == t->conf->to.id;
}

static bool
has_op(const struct telling *t, const char *op)
{
	const struct mfs_text *have = &t->change.op;

	return have->len == strlen(op) && memcmp(have->p, op, have->len) == 0;
}

static enum err
parse(struct telling *t, const struct mfs_set_line *line, struct error *err)
{
	return mfs_change_parse(&t->change, line->p, line->len, err);
}

/* ---- first pass ---- */

static enum err
want_line(void *arg, const struct mfs_set_line *line, bool *enough,
	struct error *err)
{
	struct telling *t = arg;
	uint32_t inodes[MFS_MENTIONS_MAX];
	size_t n;
	enum err rc;

	if (line->surplus)
		return ERR_OK;
	*enough = mfs_moment_is_before(&t->conf->to, line->id, line->seconds);
	if (*enough)
		return ERR_OK;
	*enough = is_last(t, line);
	if (is_early(t, line))
		return ERR_OK;
	rc = parse(t, line, err);
	if (rc != ERR_OK)
		return rc;
	n = mfs_edges_mentions(&t->change, inodes);
	for (size_t i = 0; i < n && rc == ERR_OK; i++)
		rc = mfs_edges_want(t->edges, inodes[i], err);
	return rc;
}

static enum err
on_section(void *arg, const struct mfs_section *s, struct error *err)
{
	struct telling *t = arg;
	enum err rc = mfs_sessions_section(&t->sessions, s, err);

	return rc == ERR_OK ? mfs_edges_section(t->edges, s, err) : rc;
}

static enum err
on_data(void *arg, const struct mfs_section *s, uint64_t at, const void *data,
	size_t len, struct error *err)
{
	struct telling *t = arg;
	enum err rc = mfs_sessions_data(&t->sessions, s, at, data, len, err);

	return rc == ERR_OK ? mfs_edges_data(t->edges, s, at, data, len, err)
			    : rc;
}

/* An image of a kind that is not read leaves the changes without paths. */
static enum err
load_names(struct telling *t, struct mfs_set *set, struct error *err)
{
	const struct mfs_edges_conf conf = {
		.memory_max = t->conf->memory_max > 0 ? t->conf->memory_max
						      : HISTORY_MEMORY
	};
	enum err rc = mfs_edges_new(&t->edges, &conf, err);

	if (rc == ERR_OK)
		rc = mfs_set_lines(set, want_line, t, err);
	if (rc == ERR_OK && !mfs_set_facts(set)->is_new) {
		const struct mfs_image_fn fn = { .section = on_section,
			.data = on_data,
			.arg = t };

		rc = mfs_set_image(set, &fn, NULL, NULL, err);
		if (rc == ERR_OK)
			rc = mfs_edges_loaded(t->edges, err);
	}
	if (rc == ERR_NOMEM)
		return err_set(err, rc,
			"the names between those moments do not fit into %zu "
			"MiB: choose moments that are nearer to each other",
			conf.memory_max >> 20);
	if (rc != ERR_VERSION)
		return rc;
	mfs_edges_free(t->edges);
	t->edges = NULL;
	t->result->no_paths = true;
	return ERR_OK;
}

/* ---- paths ---- */

static enum err
put_path(struct buf *out, const struct mfs_path *p, struct error *err)
{
	buf_clear(out);
	return mfs_paths_put_text(out, p, err);
}

/* Arguments i and i + 1 are a directory and a name in it. */
static enum err
join(struct telling *t, size_t i, struct buf *out, struct error *err)
{
	const struct mfs_change *c = &t->change;
	struct mfs_path p;
	uint64_t parent;
	bool ok;
	enum err rc;

	if (i + 1 >= c->n_args || c->n_args > MFS_ARGS_MAX)
		return ERR_OK;
	parent = mfs_arg_number(&c->args[i], &ok);
	if (!ok || parent == 0 || parent > UINT32_MAX)
		return ERR_OK;
	buf_clear(&t->name);
	rc = mfs_arg_name(&c->args[i + 1], &t->name, err);
	if (rc == ERR_OK && t->name.len > 0 && t->name.len <= MFS_NAME_MAX)
		rc = mfs_edges_join(t->edges, (uint32_t)parent,
			(const char *)t->name.data, t->name.len, &p, err);
	else
		return rc;
	if (rc == ERR_OK)
		rc = put_path(out, &p, err);
	return rc;
}

/* Of several names one that is there, and always the same one. */
static enum err
take_path(void *arg, uint32_t inode, const struct mfs_path *p,
	struct error *err)
{
	struct telling *t = arg;
	bool deleted = p->kind != MFS_NAMED;
	enum err rc;

	(void)inode;
	if (t->path.len > 0 && deleted && !t->deleted)
		return ERR_OK;
	buf_clear(&t->name);
	rc = put_path(&t->name, p, err);
	if (rc != ERR_OK)
		return rc;
	if (t->path.len > 0 && deleted == t->deleted) {
		size_t len =
			t->path.len < t->name.len ? t->path.len : t->name.len;
		int cmp = memcmp(t->path.data, t->name.data, len);

		if (cmp < 0 || (cmp == 0 && t->path.len <= t->name.len))
			return ERR_OK;
	}
	t->deleted = deleted;
	buf_clear(&t->path);
	return buf_put(&t->path, t->name.data, t->name.len, err);
}

static enum err
find_paths(struct telling *t, uint32_t inode, struct error *err)
{
	enum err rc = ERR_OK;

	t->deleted = false;
	buf_clear(&t->path);
	buf_clear(&t->path_to);
	if (t->edges == NULL)
		return ERR_OK;
	if (has_op(t, "CREATE") || has_op(t, "SYMLINK") || has_op(t, "UNLINK"))
		return join(t, 0, &t->path, err);
	if (has_op(t, "MOVE")) {
		rc = join(t, 0, &t->path, err);
		return rc == ERR_OK ? join(t, 2, &t->path_to, err) : rc;
	}
	if (inode != 0)
		rc = mfs_edges_paths(t->edges, inode, take_path, t, err);
	if (rc == ERR_OK && has_op(t, "LINK"))
		rc = join(t, 1, &t->path_to, err);
	return rc;
}

static bool
is_below(const struct buf *path, const char *prefix)
{
	size_t len = strlen(prefix);

	while (len > 1 && prefix[len - 1] == '/')
		len--;
	if (len == 1 && prefix[0] == '/')
		return path->len > 0 && path->data[0] == '/';
	return path->len >= len && memcmp(path->data, prefix, len) == 0 &&
	       (path->len == len || path->data[len] == '/');
}

/* ---- second pass ---- */

static bool
is_asked_for(const struct telling *t)
{
	const struct mfs_history_conf *c = t->conf;

	if (c->op != NULL && !has_op(t, c->op))
		return false;
	return c->path == NULL || is_below(&t->path, c->path) ||
	       is_below(&t->path_to, c->path);
}

static struct mfs_text
text_of(const struct buf *b)
{
	return (struct mfs_text){ (const char *)b->data, b->len };
}

/* "seconds|OP(...)": what is behind the bar. */
static struct mfs_text
operation(const struct mfs_set_line *line)
{
	struct mfs_text t = mfs_change_text(line->p, line->len);
	const char *bar = memchr(t.p, '|', t.len);
	size_t skip = bar != NULL ? (size_t)(bar + 1 - t.p) : 0;

	return (struct mfs_text){ t.p + skip, t.len - skip };
}

static void
add_session(const struct telling *t, struct mfs_event *e)
{
	const struct mfs_session *s;

	e->session = mfs_sessions_of(&t->change);
	s = e->session != 0 ? mfs_sessions_find(&t->sessions, e->session)
			    : NULL;
	if (s == NULL)
		return;
	e->has_client = true;
	e->client = s->client;
	e->mount = (struct mfs_text){ s->mount, s->mount_len };
}

static enum err
tell(struct telling *t, const struct mfs_set_line *line, struct error *err)
{
	uint32_t inodes[MFS_MENTIONS_MAX];
	size_t n = mfs_edges_mentions(&t->change, inodes);
	struct mfs_event e = { .change = &t->change,
		.text = operation(line),
		.inode = n > 0 ? inodes[0] : 0 };
	enum err rc = find_paths(t, e.inode, err);

	if (rc != ERR_OK || !is_asked_for(t))
		return rc;
	e.path = text_of(&t->path);
	e.path_to = text_of(&t->path_to);
	e.deleted = t->deleted;
	add_session(t, &e);
	t->result->told++;
	return t->fn(t->arg, &e, err);
}

static enum err
tell_line(void *arg, const struct mfs_set_line *line, bool *enough,
	struct error *err)
{
	struct telling *t = arg;
	enum err rc;

	if (line->surplus)
		return ERR_OK;
	*enough = mfs_moment_is_before(&t->conf->to, line->id, line->seconds);
	if (*enough)
		return ERR_OK;
	*enough = is_last(t, line);
	t->result->last = line->id;
	rc = parse(t, line, err);
	if (rc == ERR_OK)
		rc = mfs_sessions_take(&t->sessions, &t->change, err);
	if (rc == ERR_OK && !is_early(t, line))
		rc = tell(t, line, err);
	if (rc == ERR_OK && t->edges != NULL)
		rc = mfs_edges_apply(t->edges, &t->change, err);
	return rc;
}

enum err
mfs_history_run(struct mfs_set *set, const struct mfs_history_conf *conf,
	mfs_event_fn *fn, void *arg, struct mfs_history_result *result,
	struct error *err)
{
	struct telling *t = calloc(1, sizeof(*t));
	enum err rc;

	if (t == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	*t = (struct telling){ .conf = conf,
		.fn = fn,
		.arg = arg,
		.result = result,
		.path = BUF_INIT(PATH_ROOM),
		.path_to = BUF_INIT(PATH_ROOM),
		.name = BUF_INIT(MFS_TEXT_MAX) };
	*result = (struct mfs_history_result){
		.first = mfs_set_facts(set)->version,
		.last = mfs_set_facts(set)->version - 1,
	};
	mfs_sessions_init(&t->sessions, HISTORY_SESSIONS);
	rc = load_names(t, set, err);
	t->begun = false;
	if (rc == ERR_OK)
		rc = mfs_set_lines(set, tell_line, t, err);
	if (t->edges != NULL)
		result->gaps = mfs_edges_gaps(t->edges);
	mfs_edges_free(t->edges);
	mfs_sessions_fini(&t->sessions);
	buf_fini(&t->path);
	buf_fini(&t->path_to);
	buf_fini(&t->name);
	free(t);
	return rc;
}
