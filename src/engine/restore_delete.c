/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_delete: directories are read a buffer at a time.  What is found is
 * looked up in the tree, name by name in the tree's order, so a directory of
 * a million names costs the memory of one buffer.
 *
 * A whole tree is emptied depth first along a list of directories, each with
 * the place where its reading goes on.  As removing names may move that place
 * on some file systems, a directory is read again from its beginning until a
 * reading has removed nothing.
 */
#include "engine/restore_delete.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fsx.h"
#include "engine/restore_attrs.h"
#include "engine/restore_dirs.h"
#include "model/path.h"

enum { BUFFER = 32 << 10, NAMES_MAX = BUFFER / 24 };

/* struct linux_dirent64 of getdents64(2). */
struct found {
	uint64_t ino;
	int64_t next;
	unsigned short len;
	unsigned char type;
	char name[];
};

struct names {
	_Alignas(struct found) uint8_t room[BUFFER];
	struct found *v[NAMES_MAX];
	size_t n;
};

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The next names of fd; none at the end. */
static enum err
read_names(int fd, struct names *names, bool *end, struct error *err)
{
	long got = syscall(SYS_getdents64, fd, names->room, BUFFER);

	if (got < 0)
		return err_sys(err, errno, "list directory");
	names->n = 0;
	*end = got == 0;
	for (long at = 0; at < got && names->n < NAMES_MAX;) {
		struct found *f = (struct found *)(void *)(names->room + at);

		names->v[names->n++] = f;
		at += f->len;
	}
	return ERR_OK;
}

/* ---- one name ---- */

static enum err
key_of(const struct rdir *d, const char *name, struct buf *key,
	struct error *err)
{
	buf_clear(key);
	return restore_dirs_key(d, name, key, err);
}

static void
tell_removed(struct restoring *r, struct bytes key, bool is_dir)
{
	struct entry e;

	r->counts.deleted++;
	if (r->report->entry == NULL)
		return;
	entry_init(&e);
	e.type = is_dir ? ENTRY_DIR : ENTRY_FILE;
	restoring_entry(r, key, &e, CHANGE_REMOVED);
}

static bool
is_excluded(const struct restoring *r, struct bytes key, bool is_dir)
{
	return r->conf->exclude != NULL &&
	       patterns_match_path(r->conf->exclude, key.data, key.len, is_dir);
}

static bool
is_directory(int dirfd, const struct found *f)
{
	struct stat st;

	if (f->type != DT_UNKNOWN)
		return f->type == DT_DIR;
	return fstatat(dirfd, f->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* Whether something is mounted on the directory fd that lies in dirfd. */
static bool
is_mounted(int dirfd, int fd)
{
	struct statx in, here;

	if (statx(dirfd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &in) != 0 ||
		statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &here) != 0)
		return true;
	return (here.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0 ||
	       in.stx_dev_major != here.stx_dev_major ||
	       in.stx_dev_minor != here.stx_dev_minor;
}

static int
unlink_hard(int dirfd, const char *name, int flags)
{
	int rc = unlinkat(dirfd, name, flags);

	if (rc == 0 || errno != EPERM)
		return rc;
	restore_attrs_unlock_name(dirfd, name);
	return unlinkat(dirfd, name, flags);
}

/* ---- a whole tree ---- */

struct level {
	struct rdir *dir;
	off_t next; /* where reading goes on */
	bool removed; /* something, in this reading */
	bool again; /* not the first reading: problems were told */
};

struct sweep {
	struct restoring *run;
	struct level *v;
	size_t n, cap;
	struct buf key;
	struct names names;
};

static enum err
push(struct sweep *s, struct rdir *in, int dirfd, const char *name,
	struct error *err)
{
	struct bytes text = { (const uint8_t *)name, strlen(name) };
	size_t cap = s->cap > 0 ? 2 * s->cap : 16;
	struct rdir *d = NULL;
	struct level *v;
	int fd;
	enum err rc;

	if (s->n == s->cap) {
		v = reallocarray(s->v, cap, sizeof(*v));
		if (v == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		s->v = v;
		s->cap = cap;
	}
	fd = restore_dirs_step(dirfd, name);
	if (fd < 0)
		return err_sys(err, errno, "open directory");
	if (is_mounted(dirfd, fd)) {
		fsx_close(&fd);
		return err_set(err, ERR_EXISTS,
			"a file system is mounted there");
	}
	rc = restore_dirs_below(in->all, in, text, &d, err);
	if (rc != ERR_OK) {
		fsx_close(&fd);
		return rc;
	}
	(void)restore_attrs_unlock(fd);
	d->fresh = d->put_back = true; /* nothing is left to set at its end */
	restore_dirs_opened(d, fd);
	s->v[s->n++] = (struct level){ .dir = d };
	return ERR_OK;
}

static void
sweep_problem(struct sweep *s, const struct level *l, const char *name,
	const struct error *why)
{
	if (!l->again)
		restoring_problem(s->run, l->dir, name, why);
}

/* *deeper: f is a directory that is not empty; it is now the last level. */
static enum err
sweep_name(struct sweep *s, size_t level, int dirfd, const struct found *f,
	bool *deeper, struct error *err)
{
	struct level *l = &s->v[level];
	struct error why = ERROR_INIT;
	bool is_dir = is_directory(dirfd, f);
	struct bytes key;
	enum err rc;

	rc = key_of(l->dir, f->name, &s->key, err);
	key = (struct bytes){ s->key.data, s->key.len };
	if (rc != ERR_OK || is_excluded(s->run, key, is_dir))
		return rc;
	if (unlink_hard(dirfd, f->name, is_dir ? AT_REMOVEDIR : 0) == 0) {
		tell_removed(s->run, key, is_dir);
		l->removed = true;
		return ERR_OK;
	}
	if (!is_dir || (errno != ENOTEMPTY && errno != EEXIST)) {
		(void)err_sys(&why, errno, "remove");
		sweep_problem(s, l, f->name, &why);
		return ERR_OK;
	}
	l->next = f->next;
	rc = push(s, l->dir, dirfd, f->name, &why);
	if (rc == ERR_OK)
		*deeper = true;
	else
		sweep_problem(s, &s->v[level], f->name, &why);
	return ERR_OK;
}

/* The last level is read through. */
static void
sweep_up(struct sweep *s)
{
	struct level *l = &s->v[s->n - 1];
	struct rdir *d = l->dir;
	struct error why = ERROR_INIT;
	struct level *above;
	int dirfd;

	if (l->removed) {
		l->next = 0;
		l->removed = false;
		l->again = true;
		return;
	}
	if (--s->n > 0) {
		above = &s->v[s->n - 1];
		if (restore_dirs_pin(above->dir, &dirfd, &why) == ERR_OK) {
			if (unlink_hard(dirfd, d->name, AT_REMOVEDIR) == 0) {
				above->removed = true;
				s->run->counts.deleted++;
			}
			restore_dirs_unpin(above->dir);
		}
	}
	restore_dirs_unref(d);
}

static enum err
sweep_step(struct sweep *s, struct error *err)
{
	size_t level = s->n - 1;
	bool end = true, deeper = false;
	int dirfd;
	enum err rc;

	rc = restore_dirs_pin(s->v[level].dir, &dirfd, err);
	if (rc != ERR_OK)
		return rc;
	if (lseek(dirfd, s->v[level].next, SEEK_SET) < 0)
		rc = err_sys(err, errno, "list directory");
	if (rc == ERR_OK)
		rc = read_names(dirfd, &s->names, &end, err);
	for (size_t i = 0; i < s->names.n && rc == ERR_OK && !deeper; i++) {
		const struct found *f = s->names.v[i];

		s->v[level].next = f->next;
		if (!is_dots(f->name))
			rc = sweep_name(s, level, dirfd, f, &deeper, err);
	}
	restore_dirs_unpin(s->v[level].dir);
	if (rc == ERR_OK && end)
		sweep_up(s);
	return rc;
}

enum err
restore_delete_tree(struct restoring *r, struct rdir *d, const char *name,
	struct error *err)
{
	struct sweep *s = calloc(1, sizeof(*s));
	int dirfd;
	enum err rc;

	if (s == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	s->run = r;
	buf_init(&s->key, (size_t)2 * KEY_MAX);
	rc = restore_dirs_pin(d, &dirfd, err);
	if (rc == ERR_OK) {
		rc = push(s, d, dirfd, name, err);
		restore_dirs_unpin(d);
	}
	while (rc == ERR_OK && s->n > 0) {
		rc = restoring_check(r, err);
		if (rc == ERR_OK)
			rc = sweep_step(s, err);
	}
	while (s->n > 0)
		restore_dirs_unref(s->v[--s->n].dir);
	free(s->v);
	buf_fini(&s->key);
	free(s);
	return rc;
}

/* ---- what the snapshot does not have ---- */

static int
by_name(const void *a, const void *b)
{
	const struct found *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static enum err
remove_name(struct restoring *r, struct rdir *d, int dirfd, const char *name,
	bool is_dir, struct error *err)
{
	if (unlink_hard(dirfd, name, is_dir ? AT_REMOVEDIR : 0) == 0)
		return ERR_OK;
	if (!is_dir || (errno != ENOTEMPTY && errno != EEXIST))
		return err_sys(err, errno, "remove");
	if (restore_delete_tree(r, d, name, err) != ERR_OK)
		return err->code;
	/* What is left in it is excluded, or was told. */
	if (unlink_hard(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOTEMPTY)
		return err_sys(err, errno, "remove");
	return ERR_OK;
}

/* Whether the tree has the key, or something below it. */
static enum err
is_wanted(struct cursor *c, struct bytes key, bool *wanted, struct error *err)
{
	struct item item;
	enum err rc = cursor_seek(c, key, err);

	if (rc == ERR_OK)
		rc = cursor_peek(c, &item, err);
	*wanted = rc != ERR_OK || (item.key.data != NULL &&
					  key_below(item.key.data, item.key.len,
						  key.data, key.len));
	return rc;
}

static enum err
consider(struct restoring *r, struct cursor *c, struct rdir *d, int dirfd,
	const struct found *f, struct buf *room, struct error *err)
{
	bool is_dir = is_directory(dirfd, f), wanted;
	struct error why = ERROR_INIT;
	struct bytes key;
	enum err rc = key_of(d, f->name, room, err);

	if (rc != ERR_OK)
		return rc;
	key = (struct bytes){ room->data, room->len };
	if (is_excluded(r, key, is_dir))
		return ERR_OK;
	rc = is_wanted(c, key, &wanted, err);
	if (rc != ERR_OK || wanted)
		return rc;
	if (!r->conf->dry_run &&
		remove_name(r, d, dirfd, f->name, is_dir, &why) != ERR_OK) {
		restoring_problem_key(r, key, &why);
		return ERR_OK;
	}
	tell_removed(r, key, is_dir);
	return ERR_OK;
}

static enum err
delete_from(struct restoring *r, struct cursor *c, struct rdir *d, int dirfd,
	struct names *names, struct error *err)
{
	struct buf key = BUF_INIT((size_t)2 * KEY_MAX);
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool end = false;
	enum err rc = ERR_OK;

	if (fd < 0)
		return err_sys(err, errno, "list directory");
	while (rc == ERR_OK && !end) {
		rc = read_names(fd, names, &end, err);
		if (rc == ERR_OK)
			rc = restoring_check(r, err);
		qsort(names->v, names->n, sizeof(names->v[0]), by_name);
		for (size_t i = 0; i < names->n && rc == ERR_OK; i++)
			if (!is_dots(names->v[i]->name))
				rc = consider(r, c, d, dirfd, names->v[i], &key,
					err);
	}
	fsx_close(&fd);
	buf_fini(&key);
	return rc;
}

enum err
restore_delete_others(struct restoring *r, struct cursor *c, struct rdir *d,
	struct error *err)
{
	struct names *names;
	int dirfd;
	enum err rc;

	if (d->fresh || d->state != RDIR_THERE)
		return ERR_OK;
	names = malloc(sizeof(*names));
	if (names == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	rc = restore_dirs_pin(d, &dirfd, err);
	if (rc == ERR_OK) {
		rc = delete_from(r, c, d, dirfd, names, err);
		restore_dirs_unpin(d);
	}
	free(names);
	return rc;
}
