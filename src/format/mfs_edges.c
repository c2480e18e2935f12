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

#include "format/mfs_names.h"
#include "format/mfs_records.h"

enum { NOTE_WANTED = 0x80, NOTE_KIND = 0x0f };

struct mfs_edges {
	bool all;
	struct mfs_names names;
	struct mfs_records records;
	struct mfs_records_fn fn;
	uint64_t gaps;
	struct buf path; /* of the last one that was told */
	struct buf name[2]; /* of a line, unescaped */
};

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

static enum mfs_kind
kind_of(const struct mfs_edges *e, uint32_t inode)
{
	return (enum mfs_kind)(mfs_names_noted(&e->names, inode) & NOTE_KIND);
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

/* ---- lines ---- */

/* An inode, or 0 where there is none. */
static uint32_t
inode_at(const struct mfs_text *v, size_t n, size_t i)
{
	uint64_t number;
	bool ok;

	if (i >= n || i >= MFS_ARGS_MAX)
		return 0;
	number = mfs_arg_number(&v[i], &ok);
	return ok && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static uint32_t
arg_inode(const struct mfs_change *c, size_t i)
{
	return inode_at(c->args, c->n_args, i);
}

static enum err
bad_line(const struct mfs_change *c, const char *what, struct error *err)
{
	return err_set(err, ERR_CORRUPT, "change %" PRIu64 ": %.*s without %s",
		c->id, c->op.len < 32 ? (int)c->op.len : 32, c->op.p, what);
}

static enum err
need_inodes(const struct mfs_change *c, uint32_t a, uint32_t b,
	struct error *err)
{
	return a != 0 && b != 0 ? ERR_OK : bad_line(c, "an inode", err);
}

/* Argument i into name[which]. */
static enum err
take_name(struct mfs_edges *e, const struct mfs_change *c, size_t i,
	unsigned which, size_t max, struct error *err)
{
	struct buf *b = &e->name[which];
	enum err rc;

	buf_clear(b);
	if (i >= c->n_args)
		return bad_line(c, "a name", err);
	rc = mfs_arg_name(&c->args[i], b, err);
	if (rc != ERR_OK)
		return rc;
	if (b->len == 0 || b->len > max)
		return bad_line(c, "a name that can be", err);
	return ERR_OK;
}

static struct mfs_entry *
find(const struct mfs_edges *e, uint32_t parent, unsigned which)
{
	const struct buf *b = &e->name[which];

	return mfs_names_find(&e->names, parent, (const char *)b->data, b->len);
}

/* What of an inode is a path rather than a name in a directory. */
static struct mfs_entry *
find_path(const struct mfs_edges *e, uint32_t inode)
{
	struct mfs_entry *n = mfs_names_of(&e->names, inode);

	while (n != NULL && n->parent != 0)
		n = mfs_names_next(n);
	return n;
}

static enum err
put(struct mfs_edges *e, uint32_t child, uint32_t parent, unsigned which,
	struct error *err)
{
	const struct buf *b = &e->name[which];
	struct mfs_entry *n = find(e, parent, which);
	enum err rc;

	if (n != NULL)
		mfs_names_remove(&e->names, n);
	rc = mfs_names_put(&e->names, child, parent, (const char *)b->data,
		b->len, &n, err);
	if (rc == ERR_OK)
		n->kind = MFS_NAMED;
	return rc;
}

/* A number that is used again: what was known of it is of another file. */
static enum err
put_new(struct mfs_edges *e, uint32_t child, uint32_t parent,
	enum mfs_kind kind, struct error *err)
{
	struct mfs_entry *n;
	uint8_t note = mfs_names_noted(&e->names, child) & NOTE_WANTED;
	enum err rc = ERR_OK;

	while ((n = mfs_names_of(&e->names, child)) != NULL)
		mfs_names_remove(&e->names, n);
	if (kind != MFS_FILE || mfs_names_noted(&e->names, child) != 0)
		rc = mfs_names_note(&e->names, child,
			(uint8_t)(note | (unsigned)kind), err);
	if (rc == ERR_OK)
		rc = put(e, child, parent, 0, err);
	return rc;
}

/* Its last name is gone: files have a path in the trash. */
static enum err
put_deleted(struct mfs_edges *e, uint32_t inode, const struct mfs_path *path,
	struct error *err)
{
	enum mfs_kind kind = kind_of(e, inode);
	struct mfs_entry *n;
	enum err rc;

	if (mfs_names_of(&e->names, inode) != NULL)
		return ERR_OK;
	if (kind != 0 && kind != MFS_FILE && kind != MFS_TRASH)
		return ERR_OK;
	rc = mfs_names_put(&e->names, inode, 0, path->text.p, path->text.len,
		&n, err);
	if (rc == ERR_OK) {
		n->kind = MFS_DELETED;
		n->adrift = path->base != MFS_ROOT;
	}
	return rc;
}

/* The name in name[which] of a directory goes, if it is there. */
static enum err
delete_name(struct mfs_edges *e, uint32_t inode, uint32_t parent,
	unsigned which, struct error *err)
{
	const struct buf *b = &e->name[which];
	struct mfs_entry *n = find(e, parent, which);
	struct mfs_path path;
	enum err rc;

	rc = mfs_edges_join(e, parent, (const char *)b->data, b->len, &path,
		err);
	if (rc != ERR_OK)
		return rc;
	if (n == NULL)
		n = find_path(e, inode);
	if (n != NULL)
		mfs_names_remove(&e->names, n);
	return put_deleted(e, inode, &path, err);
}

/* CREATE(parent,name,type,...):inode */
static enum err
do_create(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	static const char letters[] = " fdlqbcs";
	uint32_t parent = arg_inode(c, 0);
	uint32_t inode = inode_at(c->results, c->n_results, 0);
	enum mfs_kind kind = MFS_FILE;
	const char *letter;
	uint32_t type;
	enum err rc = need_inodes(c, parent, inode, err);

	if (rc == ERR_OK)
		rc = take_name(e, c, 1, 0, MFS_NAME_MAX, err);
	if (rc != ERR_OK)
		return rc;
	type = arg_inode(c, 2);
	if (type >= MFS_FILE && type <= MFS_SOCKET)
		kind = (enum mfs_kind)type;
	if (type == 0 && c->n_args > 2 && c->args[2].len == 1) {
		letter = strchr(letters, c->args[2].p[0]);
		if (letter != NULL && letter > letters)
			kind = (enum mfs_kind)(letter - letters);
	}
	return put_new(e, inode, parent, kind, err);
}

/* SYMLINK(parent,name,path,uid,gid):inode */
static enum err
do_symlink(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	uint32_t parent = arg_inode(c, 0);
	uint32_t inode = inode_at(c->results, c->n_results, 0);
	enum err rc = need_inodes(c, parent, inode, err);

	if (rc == ERR_OK)
		rc = take_name(e, c, 1, 0, MFS_NAME_MAX, err);
	if (rc == ERR_OK)
		rc = put_new(e, inode, parent, MFS_SYMLINK, err);
	return rc;
}

/* LINK(inode,parent,name) */
static enum err
do_link(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	uint32_t inode = arg_inode(c, 0), parent = arg_inode(c, 1);
	enum err rc = need_inodes(c, inode, parent, err);

	if (rc == ERR_OK)
		rc = take_name(e, c, 2, 0, MFS_NAME_MAX, err);
	if (rc == ERR_OK)
		rc = put(e, inode, parent, 0, err);
	return rc;
}

/* UNLINK(parent,name):inode, of directories, too */
static enum err
do_unlink(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	uint32_t parent = arg_inode(c, 0);
	uint32_t inode = inode_at(c->results, c->n_results, 0);
	enum err rc = need_inodes(c, parent, inode, err);

	if (rc == ERR_OK)
		rc = take_name(e, c, 1, 0, MFS_NAME_MAX, err);
	if (rc == ERR_OK)
		rc = delete_name(e, inode, parent, 0, err);
	return rc;
}

/* MOVE(parent,name,parent,name):inode; what had the name is deleted */
static enum err
do_move(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	uint32_t from = arg_inode(c, 0), to = arg_inode(c, 2);
	uint32_t inode = inode_at(c->results, c->n_results, 0);
	struct mfs_entry *n;
	enum err rc = need_inodes(c, from, to, err);

	if (rc == ERR_OK)
		rc = need_inodes(c, inode, inode, err);
	if (rc == ERR_OK)
		rc = take_name(e, c, 1, 0, MFS_NAME_MAX, err);
	if (rc == ERR_OK)
		rc = take_name(e, c, 3, 1, MFS_NAME_MAX, err);
	if (rc != ERR_OK)
		return rc;
	n = find(e, to, 1);
	if (n != NULL && n->child != inode)
		rc = delete_name(e, n->child, to, 1, err);
	if (rc != ERR_OK)
		return rc;
	n = find(e, from, 0);
	if (n == NULL)
		n = find_path(e, inode);
	if (n != NULL)
		mfs_names_remove(&e->names, n);
	return put(e, inode, to, 1, err);
}

/* PURGE(inode) */
static enum err
do_purge(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	uint32_t inode = arg_inode(c, 0);
	struct mfs_entry *n;
	enum err rc = need_inodes(c, inode, inode, err);

	n = rc == ERR_OK ? find_path(e, inode) : NULL;
	if (n != NULL)
		n->kind = MFS_PURGED;
	return rc;
}

/* SETPATH(inode,path): where UNDEL will put it */
static enum err
do_setpath(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	uint32_t inode = arg_inode(c, 0);
	struct mfs_entry *n;
	enum err rc = need_inodes(c, inode, inode, err);

	if (rc == ERR_OK)
		rc = take_name(e, c, 1, 0, MFS_PATH_MAX, err);
	if (rc != ERR_OK)
		return rc;
	n = find_path(e, inode);
	if (n != NULL)
		mfs_names_remove(&e->names, n);
	rc = mfs_names_put(&e->names, inode, 0, (const char *)e->name[0].data,
		e->name[0].len, &n, err);
	if (rc == ERR_OK)
		n->kind = MFS_DELETED;
	return rc;
}

/* The directory of a path and its last name; 0 where one on the way is not
 * known. */
static uint32_t
walk(const struct mfs_edges *e, const char **p, const char *end)
{
	uint32_t dir = MFS_ROOT;
	const char *slash;

	while (dir != 0 && (slash = memchr(*p, '/', (size_t)(end - *p)))) {
		const struct mfs_entry *n;

		if (slash > *p) {
			n = mfs_names_find(&e->names, dir, *p,
				(size_t)(slash - *p));
			dir = n != NULL ? n->child : 0;
		}
		*p = slash + 1;
	}
	return *p < end ? dir : 0;
}

/* UNDEL(inode): to its path, making the directories that lack. */
static enum err
do_undel(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	uint32_t inode = arg_inode(c, 0), parent;
	struct mfs_entry *n;
	const char *name;
	size_t len;
	enum err rc = need_inodes(c, inode, inode, err);

	n = rc == ERR_OK ? find_path(e, inode) : NULL;
	if (n == NULL)
		return rc;
	name = n->text;
	parent = n->adrift ? 0 : walk(e, &name, n->text + n->len);
	if (parent == 0) {
		n->kind = MFS_NAMED;
		e->gaps++;
		return ERR_OK;
	}
	len = (size_t)(n->text + n->len - name);
	buf_clear(&e->name[0]);
	rc = buf_put(&e->name[0], name, len, err);
	if (rc != ERR_OK)
		return rc;
	mfs_names_remove(&e->names, n);
	return put(e, inode, parent, 0, err);
}

static enum err
do_snapshot(struct mfs_edges *e, const struct mfs_change *c, struct error *err)
{
	(void)c;
	(void)err;
	e->gaps++;
	return ERR_OK;
}

/*
 * Where the inodes of an operation stand; NO: none.  Of those that change
 * nothing about names there is only the first argument to tell.
 */
enum { NO = -1 };

struct op {
	const char *name;
	enum err (*apply)(struct mfs_edges *e, const struct mfs_change *c,
		struct error *err);
	bool result; /* the first result is the one that was changed */
	signed char args[2];
};

/* clang-format off */
static const struct op ops[] = {
	{ "CREATE", do_create, true, { 0, NO } },
	{ "SYMLINK", do_symlink, true, { 0, NO } },
	{ "UNLINK", do_unlink, true, { 0, NO } },
	{ "MOVE", do_move, true, { 0, 2 } },
	{ "LINK", do_link, false, { 0, 1 } },
	{ "PURGE", do_purge, false, { 0, NO } },
	{ "SETPATH", do_setpath, false, { 0, NO } },
	{ "UNDEL", do_undel, false, { 0, NO } },
	{ "SNAPSHOT", do_snapshot, false, { 0, 1 } },
	{ "APPEND", NULL, false, { 0, 1 } },
	{ "ACCESS", NULL, false, { 0, NO } },
	{ "ADDATTR", NULL, false, { 0, NO } },
	{ "AMTIME", NULL, false, { 0, NO } },
	{ "ARCHCHG", NULL, false, { 0, NO } },
	{ "ATTR", NULL, false, { 0, NO } },
	{ "AUTOARCH", NULL, false, { 0, NO } },
	{ "FLOCK", NULL, false, { 0, NO } },
	{ "LENGTH", NULL, false, { 0, NO } },
	{ "POSIXLOCK", NULL, false, { 0, NO } },
	{ "QUOTA", NULL, false, { 0, NO } },
	{ "REPAIR", NULL, false, { 0, NO } },
	{ "ROLLBACK", NULL, false, { 0, NO } },
	{ "SETACL", NULL, false, { 0, NO } },
	{ "SETEATTR", NULL, false, { 0, NO } },
	{ "SETFILECHUNK", NULL, false, { 0, NO } },
	{ "SETGOAL", NULL, false, { 0, NO } },
	{ "SETSCLASS", NULL, false, { 0, NO } },
	{ "SETTRASHTIME", NULL, false, { 0, NO } },
	{ "SETXATTR", NULL, false, { 0, NO } },
	{ "TRUNC", NULL, false, { 0, NO } },
	{ "WRITE", NULL, false, { 0, NO } },
};
/* clang-format on */

static const struct op *
op_of(const struct mfs_change *c)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (strlen(ops[i].name) == c->op.len &&
			memcmp(ops[i].name, c->op.p, c->op.len) == 0)
			return &ops[i];
	}
	return NULL;
}

enum err
mfs_edges_apply(struct mfs_edges *e, const struct mfs_change *c,
	struct error *err)
{
	const struct op *op = op_of(c);

	if (op == NULL || op->apply == NULL)
		return ERR_OK;
	return op->apply(e, c, err);
}

size_t
mfs_edges_mentions(const struct mfs_change *c, uint32_t out[MFS_MENTIONS_MAX])
{
	const struct op *op = op_of(c);
	size_t n = 0;

	if (op == NULL)
		return 0;
	if (op->result)
		out[n] = inode_at(c->results, c->n_results, 0);
	n += op->result && out[n] != 0;
	for (size_t i = 0; i < 2 && op->args[i] != NO; i++) {
		out[n] = arg_inode(c, (size_t)op->args[i]);
		n += out[n] != 0;
	}
	return n;
}
