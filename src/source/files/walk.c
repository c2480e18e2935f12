/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk: depth first, with the directories it is in as a list instead of a
 * recursion.  What the threads of ahead.c know is used, what they do not is
 * found out here.
 *
 * What is gone when it is looked at closer is left out without a word: it is
 * as if the backup had begun a moment later.
 */
#include "source/files/walk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "model/path.h"
#include "source/files/ahead.h"
#include "source/files/attrs.h"
#include "source/files/file.h"

/* The directories above a root, from "/" on. */
struct above {
	struct dir **v;
	size_t n, cap;
	size_t n_shown; /* those that the sink has got */
};

/* The last name that was asked for: the next entry mostly has the same. */
struct memo {
	bool set;
	uint32_t id;
	struct bytes name;
};

struct walk {
	const struct walk_conf *conf;
	struct sink *sink;
	struct ahead *ahead;
	struct node *top; /* the directory that the walk is in */
	struct above above;
	struct memo user, group;
	struct buf block, target;
	size_t n_found; /* roots */
	size_t key_len;
	uint8_t key[KEY_MAX];
};

/* Where an entry is: a name in a directory; "." for the directory itself. */
struct where {
	struct dir *dir;
	const char *name;
	size_t len;
};

static struct bytes
key_of(const struct walk *w)
{
	return (struct bytes){ w->key, w->key_len };
}

static void
problem(struct walk *w, const struct error *why)
{
	w->sink->ops->problem(w->sink, key_of(w), why);
}

/* ---- one entry ---- */

static struct bytes
name_of(struct memo *m, struct names *names, uint32_t id,
	struct bytes (*get)(struct names *, uint32_t))
{
	if (!m->set || m->id != id)
		*m = (struct memo){ true, id, get(names, id) };
	return m->name;
}

static void
fill(struct walk *w, const struct stamp *s, struct entry *e)
{
	struct names *names = w->conf->names;

	entry_init(e);
	stamp_fill(s, e, NULL);
	e->user = name_of(&w->user, names, s->uid, names_user);
	e->group = name_of(&w->group, names, s->gid, names_group);
}

/* What only a closer look tells; *gone: it is no longer there. */
static void
complete(struct walk *w, const struct where *at, struct entry *e, bool *gone)
{
	struct error err = ERROR_INIT;
	enum err rc;
	int fd;

	*gone = false;
	rc = dirs_acquire(at->dir, &fd, &err);
	if (rc != ERR_OK) {
		*gone = rc == ERR_NOTFOUND || e->type == ENTRY_SYMLINK;
		if (rc != ERR_NOTFOUND)
			problem(w, &err);
		return;
	}
	if (e->type == ENTRY_SYMLINK) {
		rc = attrs_target(&w->target, fd, at->name, &err);
		e->target = (struct bytes){ w->target.data, w->target.len };
		*gone = rc != ERR_OK;
	}
	if (rc == ERR_OK)
		rc = attrs_of_name(e, &w->block, fd, at->name, &err);
	dirs_release(at->dir);
	/* EINVAL: it is no symbolic link any more. */
	if (rc != ERR_OK && rc != ERR_NOTFOUND &&
		!(*gone && err.sys_errno == EINVAL))
		problem(w, &err);
}

static enum err
show_file(struct walk *w, const struct where *at, const struct stamp *s,
	const struct entry *e, struct error *err)
{
	struct reader *r;
	enum err rc;

	rc = file_new(&r, at->dir, at->name, at->len, s, w->conf->names, err);
	if (rc != ERR_OK)
		return rc;
	return w->sink->ops->file(w->sink, key_of(w), e, r, err);
}

/* Hand over what lies at at, and has w->key. */
static enum err
show(struct walk *w, const struct where *at, const struct stamp *s,
	struct error *err)
{
	const struct sink_ops *ops = w->sink->ops;
	bool done = false, gone;
	struct entry e;
	enum err rc;

	fill(w, s, &e);
	rc = ops->offer(w->sink, key_of(w), &e, &done, err);
	if (rc != ERR_OK || done)
		return rc;
	if (e.type == ENTRY_FILE)
		return show_file(w, at, s, &e, err);
	complete(w, at, &e, &gone);
	return gone ? ERR_OK : ops->entry(w->sink, key_of(w), &e, err);
}

/* ---- what lies below a root ---- */

/* The walk has entered n, whose key is w->key. */
static void
enter(struct walk *w, struct node *n)
{
	struct error err = ERROR_INIT;

	w->top = n;
	if (n->why != NULL && n->why->code != ERR_NOTFOUND)
		problem(w, n->why);
	if (n->list.n_bad > 0) {
		(void)err_set(&err, ERR_IO,
			"%zu names in the directory are too long to be kept",
			n->list.n_bad);
		problem(w, &err);
	}
}

static void
append_name(struct walk *w, const struct where *at)
{
	size_t len = dirs_key_len(at->dir);

	if (len > 0)
		w->key[len++] = 0;
	memcpy(w->key + len, at->name, at->len);
	w->key_len = len + at->len;
}

/* The next entry of the innermost directory. */
static enum err
step(struct walk *w, struct error *err)
{
	struct node *n = w->top;
	size_t i = n->pos++;
	struct where at = { .dir = n->dir };
	const struct stamp *s;
	enum err rc = ERR_OK;

	if (i == n->list.n) {
		w->top = n->parent;
		ahead_leave(w->ahead, n);
		return ERR_OK;
	}
	if (i % AHEAD_BATCH == 0)
		rc = ahead_stamps(w->ahead, n, i / AHEAD_BATCH, &n->stamps,
			err);
	if (rc != ERR_OK)
		return rc;
	s = &n->stamps[i % AHEAD_BATCH];
	if (s->left_out)
		return ERR_OK;
	at.name = list_name(&n->list, i, &at.len);
	append_name(w, &at);
	if (s->errnum != 0) {
		struct error why = ERROR_INIT;

		(void)err_sys(&why, s->errnum, "look at it");
		problem(w, &why);
		return ERR_OK;
	}
	rc = show(w, &at, s, err);
	if (rc != ERR_OK || !ahead_descends(n, s))
		return rc;
	rc = ahead_enter(w->ahead, n, i, &n, err);
	if (rc == ERR_OK)
		enter(w, n);
	return rc;
}

static enum err
walk_tree(struct walk *w, struct dir *d, const struct stamp *s,
	struct error *err)
{
	uint64_t dev = w->conf->rules->one_file_system ? s->dev : 0;
	struct node *n;
	enum err rc;

	rc = ahead_enter_root(w->ahead, d, dev, &n, err);
	if (rc != ERR_OK)
		return rc;
	enter(w, n);
	while (rc == ERR_OK && w->top != NULL)
		rc = step(w, err);
	return rc;
}

/* ---- what lies above a root ---- */

static enum err
above_push(struct walk *w, const uint8_t *name, size_t len, struct error *err)
{
	struct above *a = &w->above;
	enum err rc;

	if (a->n == a->cap) {
		size_t cap = a->cap > 0 ? 2 * a->cap : 16;
		struct dir **more = reallocarray(a->v, cap, sizeof(*more));

		if (more == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for a long path");
		a->v = more;
		a->cap = cap;
	}
	if (a->n == 0)
		rc = dirs_top(w->conf->dirs, &a->v[0], true, err);
	else
		rc = dirs_below(a->v[a->n - 1], &a->v[a->n], (const char *)name,
			len, true, err);
	if (rc == ERR_OK)
		a->n++;
	return rc;
}

static void
above_pop(struct above *a)
{
	dirs_unref(a->v[--a->n]);
	if (a->n_shown > a->n)
		a->n_shown = a->n;
}

/* Let above be the directories on the way to key; w->key still begins with
 * the keys of those that are in it. */
static enum err
above_set(struct walk *w, struct bytes key, struct error *err)
{
	struct above *a = &w->above;
	size_t end = key_parent(key.data, key.len), len;
	enum err rc = ERR_OK;

	while (a->n > 0) {
		len = dirs_key_len(a->v[a->n - 1]);
		if (len <= end && key_below(key.data, key.len, w->key, len))
			break;
		above_pop(a);
	}
	if (a->n == 0)
		rc = above_push(w, NULL, 0, err);
	while (rc == ERR_OK) {
		const uint8_t *zero;

		len = dirs_key_len(a->v[a->n - 1]);
		if (len == end)
			break;
		len += len > 0 ? 1 : 0;
		zero = memchr(key.data + len, 0, end - len);
		rc = above_push(w, key.data + len,
			(zero != NULL ? (size_t)(zero - key.data) : end) - len,
			err);
	}
	return rc;
}

static enum err
show_above(struct walk *w, struct error *err)
{
	struct above *a = &w->above;
	struct where at = { .name = ".", .len = 1 };
	enum err rc = ERR_OK;

	while (rc == ERR_OK && a->n_shown < a->n) {
		struct error why = ERROR_INIT;
		struct stamp s;
		int fd;

		at.dir = a->v[a->n_shown++];
		w->key_len = dirs_key_len(at.dir);
		if (dirs_acquire(at.dir, &fd, &why) != ERR_OK) {
			problem(w, &why);
			continue;
		}
		if (stamp_get(&s, fd, ""))
			rc = show(w, &at, &s, err);
		dirs_release(at.dir);
	}
	return rc;
}

/* ---- roots ---- */

static bool
root_left_out(const struct walk *w, const struct stamp *s, struct bytes key)
{
	const struct rules *rules = w->conf->rules;

	if (rules->size_max > 0 && stamp_is_file(s) &&
		s->size > rules->size_max)
		return true;
	return patterns_match(rules->patterns, key.data, key.len,
		       stamp_is_dir(s)) == PATTERN_EXCLUDE;
}

static bool
look_at(const struct where *at, struct stamp *s, struct error *err)
{
	bool found;
	int fd;

	if (dirs_acquire(at->dir, &fd, err) != ERR_OK)
		return false;
	found = stamp_get(s, fd, at->name);
	dirs_release(at->dir);
	if (!found)
		(void)err_sys(err, s->errnum, "look at it");
	return found;
}

static enum err
show_root(struct walk *w, const struct where *at, const struct stamp *s,
	struct bytes key, struct error *err)
{
	struct dir *d;
	enum err rc;

	rc = show_above(w, err);
	if (rc != ERR_OK)
		return rc;
	w->key_len = key.len;
	rc = show(w, at, s, err);
	if (rc != ERR_OK || !stamp_is_dir(s))
		return rc;
	rc = dirs_below(at->dir, &d, at->name, at->len, false, err);
	if (rc != ERR_OK)
		return rc;
	rc = walk_tree(w, d, s, err);
	dirs_unref(d);
	return rc;
}

static void
base_name(struct bytes key, char name[COMPONENT_MAX + 1], size_t *len)
{
	const uint8_t *base = key_base(key.data, key.len, len);

	memcpy(name, base, *len);
	name[*len] = '\0';
}

static enum err
visit_root(struct walk *w, struct bytes key, struct error *err)
{
	struct error why = ERROR_INIT;
	char name[COMPONENT_MAX + 1];
	struct where at = { .name = name };
	struct stamp s;
	enum err rc;

	rc = above_set(w, key, err);
	if (rc != ERR_OK)
		return rc;
	memcpy(w->key, key.data, key.len);
	w->key_len = key.len;
	base_name(key, name, &at.len);
	at.dir = w->above.v[w->above.n - 1];
	if (!look_at(&at, &s, &why)) {
		problem(w, &why);
		return ERR_OK;
	}
	w->n_found++;
	if (root_left_out(w, &s, key))
		return ERR_OK;
	return show_root(w, &at, &s, key, err);
}

/* The root of the file system is a root without a name. */
static enum err
visit_top(struct walk *w, struct error *err)
{
	struct where at = { .name = ".", .len = 1 };
	struct stamp s;
	enum err rc;

	rc = dirs_top(w->conf->dirs, &at.dir, false, err);
	if (rc != ERR_OK)
		return rc;
	w->key_len = 0;
	w->n_found++;
	rc = ERR_NOTFOUND;
	if (look_at(&at, &s, err))
		rc = show(w, &at, &s, err);
	if (rc == ERR_OK)
		rc = walk_tree(w, at.dir, &s, err);
	dirs_unref(at.dir);
	return rc;
}

/* The directory of key, by the way that the walk from the root takes whose
 * key is the first under bytes. */
static enum err
walked_dir(struct walk *w, struct bytes key, size_t under, struct dir **out,
	struct error *err)
{
	size_t end = key_parent(key.data, key.len), len = 0;
	struct dir *d = NULL;
	enum err rc;

	rc = dirs_top(w->conf->dirs, &d, under > 0, err);
	while (rc == ERR_OK && len < end) {
		size_t at = len + (len > 0 ? 1 : 0);
		const uint8_t *zero = memchr(key.data + at, 0, end - at);
		struct dir *below = NULL;

		len = zero != NULL ? (size_t)(zero - key.data) : end;
		rc = dirs_below(d, &below, (const char *)key.data + at,
			len - at, len < under, err);
		dirs_unref(d);
		d = below;
	}
	*out = d;
	return rc;
}

/*
 * A path below another one comes with that; but not where it is not there,
 * or behind a symbolic link, which the walk does not follow.
 */
static enum err
visit_covered(struct walk *w, struct bytes key, size_t under, struct error *err)
{
	struct error why = ERROR_INIT;
	char name[COMPONENT_MAX + 1];
	struct where at = { .name = name };
	struct stamp s;
	enum err rc;

	base_name(key, name, &at.len);
	rc = walked_dir(w, key, under, &at.dir, err);
	if (rc != ERR_OK)
		return rc;
	if (!look_at(&at, &s, &why)) {
		(void)err_wrap(&why,
			"it is not met below the other path that holds it");
		memcpy(w->key, key.data, key.len);
		w->key_len = key.len;
		problem(w, &why);
	}
	dirs_unref(at.dir);
	return ERR_OK;
}

static enum err
visit_roots(struct walk *w, struct error *err)
{
	const struct roots *roots = w->conf->roots;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < roots->n && rc == ERR_OK; i++) {
		struct bytes key = roots_key(roots, i);

		rc = key.len > 0 ? visit_root(w, key, err) : visit_top(w, err);
	}
	for (size_t i = roots->n; i < roots->n_all && rc == ERR_OK; i++)
		rc = visit_covered(w, roots_key(roots, i), roots->v[i].under,
			err);
	if (rc == ERR_OK && w->n_found == 0)
		rc = err_set(err, ERR_NOTFOUND,
			"none of the paths can be read");
	return rc;
}

enum err
walk_run(const struct walk_conf *conf, struct sink *sink, struct error *err)
{
	struct walk *w = calloc(1, sizeof(*w));
	enum err rc;

	if (w == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a walk");
	w->conf = conf;
	w->sink = sink;
	buf_init(&w->block, ATTRS_MAX);
	buf_init(&w->target, TARGET_MAX);
	rc = ahead_new(&w->ahead, conf->rules, conf->n_threads, err);
	if (rc == ERR_OK)
		rc = visit_roots(w, err);
	ahead_free(w->ahead);
	while (w->above.n > 0)
		above_pop(&w->above);
	free(w->above.v);
	buf_fini(&w->block);
	buf_fini(&w->target);
	free(w);
	return rc;
}
