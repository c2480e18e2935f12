/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_walk: a snapshot may have been made by anyone who could write to
 * the repository, so nothing is taken for granted: keys that are no names, that
 * do not ascend, or that lie below what is no directory are told and passed
 * over.  That no key leads out of the target is not left to this file: see
 * restore_dirs.h.
 */
#include "engine/restore_walk.h"

#include <stdlib.h>
#include <string.h>

#include "engine/restore_delete.h"
#include "engine/restore_entry.h"
#include "engine/restore_place.h"
#include "model/path.h"
#include "tree/cursor.h"

/* A directory that the walk is in; its key is a prefix of the last one. */
struct level {
	struct rdir *dir;
	size_t key_len;
	bool inside; /* included, with all that is in it */
	bool ours; /* at or below what was backed up, not above it */
};

/* What lies below the last key. */
enum below {
	BELOW_DIR, /* is in a directory */
	BELOW_OTHER, /* cannot be: it is told */
	BELOW_SKIPPED /* is not restored */
};

struct walk {
	struct restoring *run;
	const struct restore_scope *scope;
	struct restore_links *links;
	struct tree_io_repo io;
	struct cursor *cursor;
	struct cursor *other; /* for questions: links, what to delete */
	struct level *v;
	size_t n, cap;
	size_t n_made; /* the first ones; the rest is pending */
	struct buf sources; /* keys of what was backed up, each with a length */
	struct buf last; /* the key before */
	enum below below; /* it */
	bool any; /* there was one */
	bool over; /* nothing else is wanted */
	struct entry entry;
	uint64_t met;
};

/* ---- what was backed up ---- */

static enum err
add_source(struct walk *w, const char *name, struct error *err)
{
	struct buf key = BUF_INIT(KEY_MAX + 1);
	uint32_t len;
	enum err rc;

	if (strncmp(name, "files:/", 7) != 0)
		return ERR_OK;
	rc = key_from_path(&key, name + 6, err);
	len = (uint32_t)key.len;
	if (rc == ERR_OK)
		rc = buf_put(&w->sources, &len, sizeof(len), err);
	if (rc == ERR_OK)
		rc = buf_put(&w->sources, key.data, key.len, err);
	buf_fini(&key);
	return rc;
}

static bool
is_source(const struct walk *w, struct bytes key)
{
	const uint8_t *p = w->sources.data, *end = p + w->sources.len;
	uint32_t len;

	for (; p < end; p += len) {
		memcpy(&len, p, sizeof(len));
		p += sizeof(len);
		if (key_below(key.data, key.len, p, len))
			return true;
	}
	return false;
}

/* ---- the directories that the walk is in ---- */

static struct level *
top(struct walk *w)
{
	return &w->v[w->n - 1];
}

static void
pop(struct walk *w)
{
	restore_dirs_unref(top(w)->dir);
	w->n--;
	if (w->n_made > w->n)
		w->n_made = w->n;
}

static enum err
push_room(struct walk *w, struct error *err)
{
	size_t cap = w->cap > 0 ? 2 * w->cap : 32;
	struct level *v;

	if (w->n < w->cap)
		return ERR_OK;
	v = reallocarray(w->v, cap, sizeof(*v));
	if (v == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	w->v = v;
	w->cap = cap;
	return ERR_OK;
}

static bool
includes(const struct walk *w, struct bytes key, bool is_dir)
{
	const struct patterns *p = w->run->conf->include;

	return p == NULL ||
	       patterns_match(p, key.data, key.len, is_dir) == PATTERN_EXCLUDE;
}

static bool
excludes(const struct walk *w, struct bytes key, bool is_dir)
{
	const struct patterns *p = w->run->conf->exclude;

	return p != NULL &&
	       patterns_match(p, key.data, key.len, is_dir) == PATTERN_EXCLUDE;
}

/* The directory key, in the last level. */
static enum err
push(struct walk *w, struct bytes key, struct error *err)
{
	struct level l = { .key_len = key.len,
		.inside = top(w)->inside || includes(w, key, true),
		.ours = top(w)->ours || is_source(w, key) };
	struct bytes name;
	enum err rc;

	name.data = key_base(key.data, key.len, &name.len);
	rc = push_room(w, err);
	if (rc == ERR_OK)
		rc = restore_dirs_below(w->run->dirs, top(w)->dir, name, &l.dir,
			err);
	if (rc == ERR_OK)
		w->v[w->n++] = l;
	return rc;
}

static enum err
remember(struct walk *w, struct bytes key, enum below below, struct error *err)
{
	w->below = below;
	w->any = true;
	buf_clear(&w->last);
	return buf_put(&w->last, key.data, key.len, err);
}

/* Go on behind all that lies below key, which is no longer needed. */
static enum err
skip_below(struct walk *w, size_t key_len, struct error *err)
{
	enum err rc;

	w->last.len = key_len;
	w->below = BELOW_SKIPPED;
	while (w->n > 1 && top(w)->key_len >= key_len)
		pop(w);
	w->over = key_len == 0;
	if (w->over)
		return ERR_OK;
	rc = buf_put_u8(&w->last, 1, err);
	if (rc == ERR_OK)
		rc = cursor_seek(w->cursor,
			(struct bytes){ w->last.data, w->last.len }, err);
	w->last.len = key_len;
	return rc;
}

/* What is worked on: the end of its path. */
static void
tell_current(const struct walk *w, size_t key_len)
{
	char text[128];
	size_t len = key_len < sizeof(text) ? key_len : sizeof(text);

	for (size_t i = 0; i < len; i++) {
		text[i] = (char)w->last.data[key_len - len + i];
		if (text[i] == '\0')
			text[i] = '/';
	}
	progress_current(w->run->report->progress, text, len);
}

/* The directory of the last key as its entry has it; of one above it, which
 * was not made before, only the type is still known. */
static void
tell_dir(struct walk *w, const struct level *l, enum change change)
{
	bool at_hand = l->key_len == w->last.len;
	struct entry above;

	entry_init(&above);
	above.type = ENTRY_DIR;
	restoring_entry(w->run, (struct bytes){ w->last.data, l->key_len },
		at_hand ? &w->entry : &above, change);
}

/* A directory that was just made or found. */
static enum err
entered(struct walk *w, const struct level *l, enum change change,
	struct error *err)
{
	struct restoring *r = w->run;

	tell_current(w, l->key_len);
	if (r->pass != PASS_MAKE)
		return ERR_OK;
	if (!l->dir->implied) {
		r->counts.entries += change == CHANGE_NEW;
		r->counts.entries_same += change != CHANGE_NEW;
		tell_dir(w, l, change);
	}
	if (l->inside && l->ours && r->conf->delete)
		return restore_delete_others(r, w->other, l->dir, err);
	return ERR_OK;
}

/* Make what is pending; w->last is below it or it.  *dead: one could not be,
 * and all below it is passed over. */
static enum err
make_levels(struct walk *w, bool *dead, struct error *err)
{
	enum err rc = ERR_OK;

	*dead = false;
	for (; w->n_made < w->n && rc == ERR_OK; w->n_made++) {
		struct level *l = &w->v[w->n_made];
		struct error why = ERROR_INIT;
		enum change change;
		size_t key_len = l->key_len;

		rc = restore_place_dir(w->run, l->dir, !l->ours, &change, &why);
		if (rc == ERR_OK) {
			rc = entered(w, l, change, err);
			continue;
		}
		if (restoring_is_fatal(&why)) {
			*err = why;
			return rc;
		}
		(void)err_wrap(&why, "with all that is in it");
		restoring_problem(w->run, l->dir, NULL, &why);
		*dead = true;
		return skip_below(w, key_len, err);
	}
	return rc;
}

/* ---- entries ---- */

static void
tell(struct walk *w, struct bytes key, const struct error *why)
{
	restoring_problem_key(w->run, key, why);
}

/* What is wrong with the snapshot, which each pass meets again. */
static void
tell_once(struct walk *w, struct bytes key, const struct error *why)
{
	if (w->run->pass == PASS_MAKE)
		tell(w, key, why);
}

static enum err
visit_root(struct walk *w, struct bytes key, struct error *err)
{
	struct restoring *r = w->run;
	struct attrs *a = NULL;
	struct error why = ERROR_INIT;

	if (w->entry.type != ENTRY_DIR) {
		(void)err_set(&why, ERR_CORRUPT,
			"is no directory, though it stands for one");
		tell_once(w, key, &why);
		return ERR_OK;
	}
	r->report->progress->items_done += r->pass == PASS_MAKE;
	if (!w->v[0].ours || !w->v[0].inside || r->pass != PASS_MAKE ||
		w->v[0].dir->state != RDIR_THERE)
		return ERR_OK;
	if (restore_entry_attrs(r, &w->entry, &a, &why) != ERR_OK) {
		tell(w, key, &why);
		return ERR_OK;
	}
	restore_place_root_attrs(r, w->v[0].dir, a);
	r->counts.entries++;
	return ERR_OK;
}

static enum err
visit_dir(struct walk *w, struct bytes key, struct error *err)
{
	struct restoring *r = w->run;
	struct error why = ERROR_INIT;
	bool dead = false;
	enum err rc = push(w, key, err);

	if (rc != ERR_OK || r->pass != PASS_MAKE)
		return rc;
	r->report->progress->items_done++;
	if (restore_entry_attrs(r, &w->entry, &top(w)->dir->attrs, &why) !=
		ERR_OK)
		tell(w, key, &why);
	if (top(w)->inside)
		rc = make_levels(w, &dead, err);
	if (rc == ERR_OK && !dead && (w->entry.marks & MARK_UNREADABLE) != 0) {
		(void)err_set(&why, ERR_NOTFOUND,
			"could not be read when it was backed up: what was in "
			"it is missing");
		tell(w, key, &why);
	}
	return rc;
}

/* Whether another pass than this one restores (or restored) first. */
static bool
in_scope(const struct walk *w, struct bytes first)
{
	const struct restore_conf *conf = w->run->conf;
	struct bytes range = w->scope->range;

	return key_ok(first.data, first.len) && first.len > range.len &&
	       key_below(first.data, first.len, range.data, range.len) &&
	       (conf->exclude == NULL ||
		       !patterns_match_path(conf->exclude, first.data,
			       first.len, false)) &&
	       (conf->include == NULL || patterns_match_path(conf->include,
						 first.data, first.len, false));
}

/* The entry that has the content, instead of its other name. */
static enum err
resolve(struct walk *w, struct error *err)
{
	enum entry_type type = w->entry.type;
	struct item item;
	bool found = false;
	struct entry to;
	enum err rc;

	entry_init(&to);
	rc = cursor_find(w->other, w->entry.content.bytes, &item, &found, err);
	if (rc == ERR_OK && !found)
		rc = err_set(err, ERR_CORRUPT, "is a link to nothing");
	if (rc == ERR_OK)
		rc = entry_decode(&to, item.val.data, item.val.len, item.refs,
			item.n_refs, err);
	if (rc == ERR_OK &&
		(to.type != type || to.content.kind == CONTENT_LINK))
		rc = err_set(err, ERR_CORRUPT,
			"is a link to what has no content");
	if (rc != ERR_OK) {
		entry_fini(&to);
		return rc;
	}
	entry_fini(&w->entry);
	w->entry = to;
	return ERR_OK;
}

/* *to: another name it is to be linked to in PASS_LINKS; data NULL: it is made
 * as any entry. */
static enum err
find_first(struct walk *w, struct bytes key, struct bytes *to,
	struct error *err)
{
	struct bytes first = w->entry.content.bytes;
	enum err rc;

	*to = (struct bytes){ NULL, 0 };
	if (w->entry.content.kind != CONTENT_LINK)
		return ERR_OK;
	rc = restore_links_target(w->links, key, first, in_scope(w, first), to,
		err);
	if (rc == ERR_OK && to->data == NULL && w->run->pass != PASS_LINKS)
		rc = resolve(w, err);
	return rc;
}

static enum err
make_other(struct walk *w, const char *name, struct bytes key, struct bytes to,
	struct error *err)
{
	struct restoring *r = w->run;
	struct rdir *dir = top(w)->dir;
	enum err rc = ERR_OK;

	if (to.data != NULL && r->pass == PASS_MAKE && !r->conf->dry_run) {
		r->met_links = true;
		r->report->progress->items_done++;
	} else if (to.data != NULL && r->pass != PASS_MAKE) {
		rc = restore_links_make(r, dir, name, to, &w->entry, err);
	} else if (r->pass != PASS_LINKS) {
		rc = restore_entry(r, &w->io.io, dir, name, key, &w->entry,
			err);
	}
	return rc;
}

static enum err
visit_other(struct walk *w, struct bytes key, struct error *err)
{
	char name[COMPONENT_MAX + 1];
	struct error why = ERROR_INIT;
	struct bytes to;
	const uint8_t *base;
	size_t len;
	bool dead;
	enum err rc;

	if (!top(w)->inside && !includes(w, key, false))
		return ERR_OK;
	if (w->run->pass == PASS_LINKS && w->entry.content.kind != CONTENT_LINK)
		return ERR_OK;
	rc = make_levels(w, &dead, err);
	if (rc != ERR_OK || dead)
		return rc;
	base = key_base(key.data, key.len, &len);
	memcpy(name, base, len);
	name[len] = '\0';
	rc = find_first(w, key, &to, &why);
	if (rc == ERR_OK)
		rc = make_other(w, name, key, to, &why);
	if (rc == ERR_OK)
		return ERR_OK;
	if (restoring_is_fatal(&why)) {
		*err = why;
		return rc;
	}
	tell(w, key, &why);
	return ERR_OK;
}

/* Directories between the last level and the key that no entry tells of. */
static enum err
push_implied(struct walk *w, struct bytes key, struct error *err)
{
	size_t parent = key_parent(key.data, key.len);
	enum err rc = ERR_OK;

	while (rc == ERR_OK && top(w)->key_len < parent) {
		size_t from = top(w)->key_len;
		const uint8_t *at = key.data + from + (from > 0);
		size_t left = key.len - (size_t)(at - key.data);
		const uint8_t *zero = memchr(at, 0, left);

		if (zero == NULL)
			break;
		rc = push(w,
			(struct bytes){ key.data, (size_t)(zero - key.data) },
			err);
		if (rc == ERR_OK)
			top(w)->dir->implied = true;
	}
	return rc;
}

/* ERR_CORRUPT for a key that cannot follow the one before. */
static enum err
check_key(const struct walk *w, struct bytes key, struct error *err)
{
	if (!key_ok(key.data, key.len))
		return err_set(err, ERR_CORRUPT,
			"is no name that can be restored");
	if (w->any &&
		key_cmp(key.data, key.len, w->last.data, w->last.len) <= 0)
		return err_set(err, ERR_CORRUPT, "is out of order");
	if (w->any && w->below == BELOW_OTHER &&
		key_below(key.data, key.len, w->last.data, w->last.len))
		return err_set(err, ERR_CORRUPT,
			"lies below what is no directory");
	return ERR_OK;
}

static bool
is_skipped(const struct walk *w, struct bytes key)
{
	return w->any && w->below == BELOW_SKIPPED &&
	       key_below(key.data, key.len, w->last.data, w->last.len);
}

static enum err
visit_key(struct walk *w, const struct item *item, struct error *err)
{
	struct bytes key = item->key;
	struct error why = ERROR_INIT;
	enum below below;
	bool is_dir, is_root;
	enum err rc;

	while (w->n > 1 &&
		!key_below(key.data, key.len, w->last.data, top(w)->key_len))
		pop(w);
	if (entry_decode(&w->entry, item->val.data, item->val.len, item->refs,
		    item->n_refs, &why) != ERR_OK) {
		tell_once(w, key, &why);
		return remember(w, key, BELOW_SKIPPED, err);
	}
	is_dir = w->entry.type == ENTRY_DIR;
	below = is_dir ? BELOW_DIR : BELOW_OTHER;
	is_root = key.len == w->scope->root.len;
	if (!is_root && excludes(w, key, is_dir))
		below = BELOW_SKIPPED;
	rc = remember(w, key, below, err);
	if (rc == ERR_OK && is_root)
		return visit_root(w, key, err);
	if (rc == ERR_OK && below == BELOW_SKIPPED)
		return ERR_OK;
	if (rc == ERR_OK)
		rc = push_implied(w, key, err);
	if (rc != ERR_OK)
		return rc;
	return is_dir ? visit_dir(w, key, err) : visit_other(w, key, err);
}

static enum err
visit(struct walk *w, const struct item *item, struct error *err)
{
	struct error why = ERROR_INIT;
	size_t len = w->last.len;

	if (is_skipped(w, item->key))
		return skip_below(w, len, err);
	w->met++;
	if (check_key(w, item->key, &why) == ERR_OK)
		return visit_key(w, item, err);
	tell_once(w, item->key, &why);
	/* One message for all that lies there. */
	return w->any && w->below == BELOW_OTHER &&
			       key_below(item->key.data, item->key.len,
				       w->last.data, len)
		       ? skip_below(w, len, err)
		       : ERR_OK;
}

static enum err
walk_range(struct walk *w, struct error *err)
{
	struct bytes range = w->scope->range;
	struct item item;
	enum err rc;

	rc = cursor_seek(w->cursor, range, err);
	while (rc == ERR_OK && !w->over) {
		rc = restoring_check(w->run, err);
		if (rc == ERR_OK)
			rc = cursor_next(w->cursor, &item, err);
		if (rc != ERR_OK || item.key.data == NULL)
			break;
		if (!key_below(item.key.data, item.key.len, range.data,
			    range.len))
			break;
		rc = visit(w, &item, err);
	}
	return rc;
}

static enum err
begin(struct walk *w, struct rdir *target, struct error *err)
{
	struct restoring *r = w->run;
	const struct restore_conf *conf = r->conf;
	struct bytes root = w->scope->root;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < r->snap->sources.n && rc == ERR_OK; i++)
		rc = add_source(w, r->snap->sources.v[i], err);
	if (rc == ERR_OK)
		rc = push_room(w, err);
	if (rc != ERR_OK)
		return rc;
	w->v[w->n++] = (struct level){ .dir = restore_dirs_ref(target),
		.key_len = root.len,
		.inside = conf->include == NULL ||
			  patterns_match_path(conf->include, root.data,
				  root.len, true),
		.ours = is_source(w, root) };
	w->n_made = 1;
	tree_io_repo_init(&w->io, r->repo, r->lane, NULL);
	rc = cursor_open(&w->cursor, &w->io.io, TREE_ENTRIES, &r->snap->root,
		err);
	if (rc == ERR_OK)
		rc = cursor_open(&w->other, &w->io.io, TREE_ENTRIES,
			&r->snap->root, err);
	if (rc != ERR_OK || r->pass != PASS_MAKE)
		return rc;
	r->report->progress->items_total += cursor_total_items(w->cursor);
	r->report->progress->bytes_total += cursor_total_weight(w->cursor);
	if (w->v[0].inside && w->v[0].ours && root.len == w->scope->range.len &&
		conf->delete)
		return restore_delete_others(r, w->other, target, err);
	return ERR_OK;
}

enum err
restore_walk(struct restoring *r, const struct restore_scope *scope,
	struct rdir *target, struct restore_links *links, uint64_t *met,
	struct error *err)
{
	struct walk w = { .run = r,
		.scope = scope,
		.links = links,
		.sources = BUF_INIT((size_t)1 << 30),
		.last = BUF_INIT((size_t)2 * KEY_MAX) };
	enum err rc;

	entry_init(&w.entry);
	rc = begin(&w, target, err);
	if (rc == ERR_OK)
		rc = walk_range(&w, err);
	while (w.n > 0)
		pop(&w);
	*met = w.met;
	entry_fini(&w.entry);
	cursor_close(w.other);
	cursor_close(w.cursor);
	free(w.v);
	buf_fini(&w.sources);
	buf_fini(&w.last);
	return rc;
}
