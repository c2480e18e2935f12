/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_edges_apply: a table of operations: what each does to names, and where
 * the inodes stand in its arguments.
 *
 * A line is believed where it contradicts what is known: the table may hold a
 * part of the names only.
 *
 * Source: the lines of mfsmaster 3.0.117, and what mfsmaster -a makes of them.
 */
#include <inttypes.h>
#include <string.h>

#include "format/mfs_edges_impl.h"

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
	enum mfs_kind kind = mfs_edges_kind(e, inode);
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
