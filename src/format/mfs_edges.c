/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_edges: names are a table (mfs_names); of an inode is noted whether it is
 * wanted, and its kind.
 *
 * A path is climbed twice, for its length and to write it from its end, so
 * that neither depth nor a circle costs memory: each step adds at least two
 * bytes, and MFS_PATH_MAX ends it.
 */
#include "format/mfs_edges.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "format/mfs_edges_impl.h"

/* ---- an image ---- */

/* Of what is in the way of every path, of what is asked for, and, where all
 * is, of what does not go into the trash. */
static enum err
on_node(void *arg, const struct mfs_node *n, struct error *err)
{
	struct mfs_edges *e = arg;
	uint8_t note = mfs_names_noted(&e->names, n->inode);
	bool common = n->kind == MFS_FILE || n->kind == MFS_TRASH;

	if (note == 0 && n->kind != MFS_DIR && !(e->all && !common))
		return ERR_OK;
	note = (uint8_t)((note & NOTE_WANTED) | (unsigned)n->kind);
	return mfs_names_note(&e->names, n->inode, note, err);
}

static enum err
on_edge(void *arg, const struct mfs_edge *edge, struct error *err)
{
	struct mfs_edges *e = arg;
	uint8_t note = mfs_names_noted(&e->names, edge->child);
	enum mfs_kind kind = (enum mfs_kind)(note & NOTE_KIND);
	struct mfs_entry *entry = NULL;
	enum err rc;

	if (!e->all && (note & NOTE_WANTED) == 0 && kind != MFS_DIR)
		return ERR_OK;
	if (edge->parent != 0 && mfs_names_find(&e->names, edge->parent,
					 edge->name.p, edge->name.len) != NULL)
		return err_set(err, ERR_CORRUPT,
			"directory %" PRIu32 " has a name twice", edge->parent);
	rc = mfs_names_put(&e->names, edge->child, edge->parent, edge->name.p,
		edge->name.len, &entry, err);
	if (rc != ERR_OK)
		return rc;
	entry->kind = MFS_NAMED;
	if (edge->parent == 0)
		entry->kind = kind == MFS_SUSTAINED ? MFS_PURGED : MFS_DELETED;
	return ERR_OK;
}

enum err
mfs_edges_new(struct mfs_edges **out, const struct mfs_edges_conf *conf,
	struct error *err)
{
	struct mfs_edges *e = calloc(1, sizeof(*e));
	enum err rc;

	if (e == NULL)
		return err_set(err, ERR_NOMEM, "no memory for names of files");
	rc = mfs_names_init(&e->names, conf->memory_max, err);
	if (rc != ERR_OK) {
		free(e);
		return rc;
	}
	e->all = conf->all;
	e->fn = (struct mfs_records_fn){ on_node, on_edge, e };
	mfs_records_init(&e->records, &e->fn);
	buf_init(&e->path, MFS_PATH_MAX);
	for (size_t i = 0; i < 2; i++)
		buf_init(&e->name[i], MFS_TEXT_MAX);
	*out = e;
	return ERR_OK;
}

void
mfs_edges_free(struct mfs_edges *e)
{
	if (e == NULL)
		return;
	mfs_names_fini(&e->names);
	mfs_records_fini(&e->records);
	buf_fini(&e->path);
	for (size_t i = 0; i < 2; i++)
		buf_fini(&e->name[i]);
	free(e);
}

enum err
mfs_edges_want(struct mfs_edges *e, uint32_t inode, struct error *err)
{
	uint8_t note;

	if (inode == 0)
		return ERR_OK;
	note = mfs_names_noted(&e->names, inode) | NOTE_WANTED;
	return mfs_names_note(&e->names, inode, note, err);
}

enum err
mfs_edges_section(void *arg, const struct mfs_section *s, struct error *err)
{
	struct mfs_edges *e = arg;

	return mfs_records_section(&e->records, s, err);
}

enum err
mfs_edges_data(void *arg, const struct mfs_section *s, uint64_t at,
	const void *data, size_t len, struct error *err)
{
	struct mfs_edges *e = arg;

	return mfs_records_data(&e->records, s, at, data, len, err);
}

enum err
mfs_edges_loaded(struct mfs_edges *e, struct error *err)
{
	return mfs_records_end(&e->records, err);
}

uint64_t
mfs_edges_gaps(const struct mfs_edges *e)
{
	return e->gaps;
}

/* ---- paths ---- */

/* The name by which a directory is reached. */
static const struct mfs_entry *
way_up(const struct mfs_edges *e, uint32_t inode)
{
	const struct mfs_entry *n = mfs_names_of(&e->names, inode);

	while (n != NULL && n->kind != MFS_NAMED)
		n = mfs_names_next(n);
	return n;
}

/* Put text and a slash before what is written: *left bytes are free. */
static void
write_before(struct buf *path, size_t *left, const char *text, size_t len)
{
	if (path == NULL)
		return;
	if (*left < path->len)
		path->data[--*left] = '/';
	*left -= len;
	memcpy(path->data + *left, text, len);
}

/*
 * From a name in a directory up to the base.  The length of the path; path
 * (may be NULL) has that length already and is written.
 */
static size_t
climb(const struct mfs_edges *e, uint32_t parent, const char *text, size_t len,
	struct buf *path, uint32_t *base)
{
	size_t total = len, left = path != NULL ? path->len : 0;
	const struct mfs_entry *n;

	write_before(path, &left, text, len);
	while (parent != 0 && parent != MFS_ROOT) {
		n = way_up(e, parent);
		if (n == NULL || n->len + 1u > MFS_PATH_MAX - total)
			break;
		total += n->len + 1u;
		write_before(path, &left, n->text, n->len);
		parent = n->adrift ? 0 : n->parent;
		if (n->parent == 0 && !n->adrift)
			parent = MFS_ROOT;
	}
	*base = parent;
	return total;
}

enum err
mfs_edges_join(struct mfs_edges *e, uint32_t parent, const char *name,
	size_t len, struct mfs_path *out, struct error *err)
{
	size_t total;
	uint32_t base;
	enum err rc;

	if (len > MFS_PATH_MAX)
		return err_set(err, ERR_CORRUPT, "a name of %zu bytes", len);
	total = climb(e, parent, name, len, NULL, &base);
	buf_clear(&e->path);
	rc = buf_reserve(&e->path, total, err);
	if (rc != ERR_OK)
		return rc;
	e->path.len = total;
	(void)climb(e, parent, name, len, &e->path, &base);
	*out = (struct mfs_path){ MFS_NAMED, base,
		{ (const char *)e->path.data, total } };
	return ERR_OK;
}

static enum err
path_of(struct mfs_edges *e, const struct mfs_entry *n, struct mfs_path *out,
	struct error *err)
{
	enum err rc = ERR_OK;

	if (n->parent != 0)
		rc = mfs_edges_join(e, n->parent, n->text, n->len, out, err);
	else
		*out = (struct mfs_path){ .base = n->adrift ? 0 : MFS_ROOT,
			.text = { n->text, n->len } };
	if (rc == ERR_OK)
		out->kind = (enum mfs_path_kind)n->kind;
	return rc;
}

enum err
mfs_edges_paths(struct mfs_edges *e, uint32_t inode, mfs_path_fn *fn, void *arg,
	struct error *err)
{
	struct mfs_path path = { MFS_NAMED, MFS_ROOT, { "", 0 } };
	const struct mfs_entry *n;
	enum err rc = ERR_OK;

	if (inode == MFS_ROOT)
		return fn(arg, inode, &path, err);
	for (n = mfs_names_of(&e->names, inode); rc == ERR_OK && n != NULL;
		n = mfs_names_next(n)) {
		rc = path_of(e, n, &path, err);
		if (rc == ERR_OK)
			rc = fn(arg, inode, &path, err);
	}
	return rc;
}

enum err
mfs_edges_each(struct mfs_edges *e, mfs_path_fn *fn, void *arg,
	struct error *err)
{
	const struct mfs_names *t = &e->names;
	size_t size = t->by_child != NULL ? (size_t)1 << t->bits : 0;
	struct mfs_path path;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < size; i++) {
		const struct mfs_entry *n = t->by_child[i];

		for (; rc == ERR_OK && n != NULL; n = n->next_child) {
			rc = path_of(e, n, &path, err);
			if (rc == ERR_OK)
				rc = fn(arg, n->child, &path, err);
		}
	}
	return rc;
}
