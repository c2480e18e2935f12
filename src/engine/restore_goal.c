/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_goal: how one file comes to be.
 *
 * Crash argument.  A killed restore leaves behind files that are whole, and
 * at most these others:
 *   - files under a temporary name, which the next run of the same snapshot
 *     finds under that name, removes and makes again;
 *   - one small file for each worker under its own name, where nothing stood
 *     before and --overwrite is always or if-changed: it is written at once
 *     and gets its mtime last, so that it never has both the size and the
 *     mtime of the snapshot before it is whole.  The next run makes it again,
 *     as it compares these.  With never and if-newer, which would leave such
 *     a file alone, every file is renamed into place;
 *   - files that were being patched: a write sets their mtime to now.
 * What a power failure may undo is not spoken of: nothing is synced but with
 * --verify.
 */
#include "engine/restore_goal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fsx.h"
#include "engine/restore_dirs.h"
#include "engine/restore_xattrs.h"

enum { CREATE = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC };

/* ---- its life ---- */

static struct bytes
body_of(const struct entry *e)
{
	if (e->type == ENTRY_SYMLINK)
		return e->target;
	if (e->content.kind == CONTENT_INLINE)
		return e->content.bytes;
	return (struct bytes){ NULL, 0 };
}

static uint8_t *
append(uint8_t *at, struct bytes what)
{
	if (what.len > 0)
		memcpy(at, what.data, what.len);
	return at + what.len;
}

enum err
restore_goal_new(struct goal **out, struct restoring *r, struct rdir *dir,
	const char *name, const struct entry *e, struct bytes xattrs,
	struct error *err)
{
	struct bytes body = body_of(e);
	size_t name_room = strlen(name) + 1;
	size_t weight =
		sizeof(struct goal) + name_room + xattrs.len + body.len + 1;
	struct goal *g = calloc(1, weight);
	uint8_t *at;

	if (g == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	g->run = r;
	g->dir = restore_dirs_ref(dir);
	g->refs = 1;
	g->fd = -1;
	g->size = e->size;
	g->major = e->major;
	g->minor = e->minor;
	g->weight = weight;
	pthread_mutex_init(&g->lock, NULL);
	restore_attrs_of(r, e, &g->attrs);
	memcpy(g->name, name, name_room);
	at = append((uint8_t *)g->name + name_room, xattrs);
	g->attrs.xattrs = at - xattrs.len;
	g->attrs.xattrs_len = xattrs.len;
	g->body = at;
	g->body_len = body.len;
	(void)append(at, body);
	*out = g;
	return ERR_OK;
}

void
restore_goal_ref(struct goal *g)
{
	g->refs++;
}

void
restore_goal_fail(struct goal *g, const struct error *why)
{
	if (atomic_exchange(&g->failed, true))
		return;
	if (restoring_is_fatal(why))
		restoring_end(g->run, why);
	else
		restoring_problem(g->run, g->dir, g->name, why);
}

/* ---- names ---- */

void
restore_goal_temp_name(const struct restoring *r, const char *name,
	char out[RESTORE_TEMP_NAME])
{
	(void)snprintf(out, RESTORE_TEMP_NAME, ".coffer-%016llx",
		(unsigned long long)shorthash(&r->temp_key, name,
			strlen(name)));
}

/* The name under which it is made. */
static const char *
made_as(const struct goal *g, char room[RESTORE_TEMP_NAME])
{
	if (!g->temp)
		return g->name;
	restore_goal_temp_name(g->run, g->name, room);
	return room;
}

static void
choose_name(struct goal *g)
{
	enum overwrite when = g->run->conf->overwrite;

	g->temp = g->how == HOW_REPLACE ||
		  (g->how == HOW_CREATE &&
			  (!g->single || when == OVERWRITE_IF_NEWER ||
				  when == OVERWRITE_NEVER));
}

/* Something has the name that should be free.  Under the temporary name it is
 * a killed run's; under the goal's own, the file system takes two names for
 * one. */
static bool
make_way(struct goal *g, int dirfd, unsigned attempt)
{
	char room[RESTORE_TEMP_NAME];

	if (errno != EEXIST || attempt > 1)
		return false;
	if (g->temp)
		return unlinkat(dirfd, made_as(g, room), 0) == 0;
	g->temp = true;
	g->how = HOW_REPLACE;
	return true;
}

/* ---- files ---- */

static mode_t
first_mode(const struct goal *g)
{
	mode_t mode = g->attrs.mode & 0777;

	/* user.* is set by who may write. */
	return g->attrs.xattrs_len > 0 ? mode | S_IWUSR : mode;
}

static enum err
create(struct goal *g, int dirfd, struct error *err)
{
	char room[RESTORE_TEMP_NAME];
	unsigned attempt = 0;

	choose_name(g);
	do {
		g->fd = openat(dirfd, made_as(g, room), CREATE, first_mode(g));
	} while (g->fd < 0 && make_way(g, dirfd, attempt++));
	if (g->fd < 0)
		return err_sys(err, errno, "create");
	g->begun = true;
	restore_attrs_early(&g->attrs, g->fd);
	if (g->dir->hands_on)
		restore_xattrs_forget_acl(g->fd);
	if (!g->single && g->size > 0 && ftruncate(g->fd, (off_t)g->size) != 0)
		return err_sys(err, errno, "set its size");
	return ERR_OK;
}

static int
open_there(const struct goal *g, int dirfd)
{
	int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	flags |= g->how == HOW_PATCH ? O_RDWR : O_RDONLY;
	return openat(dirfd, g->name, flags);
}

/* Open what stands there, also where its owner took his own rights away. */
static enum err
open_old(struct goal *g, int dirfd, struct error *err)
{
	const int no_follow = AT_SYMLINK_NOFOLLOW;
	struct stat st;
	bool denied;

	g->fd = open_there(g, dirfd);
	denied = g->fd < 0 && errno == EACCES;
	if (denied && fstatat(dirfd, g->name, &st, no_follow) == 0 &&
		S_ISREG(st.st_mode) &&
		fchmodat(dirfd, g->name, (st.st_mode & 07777) | 0600,
			no_follow) == 0) {
		g->fd = open_there(g, dirfd);
		if (g->how != HOW_PATCH)
			(void)fchmodat(dirfd, g->name, st.st_mode & 07777,
				no_follow);
	}
	if (g->fd < 0 || fstat(g->fd, &g->found) != 0)
		return err_sys(err, errno, "open what stands there");
	if (!S_ISREG(g->found.st_mode))
		return err_set(err, ERR_CORRUPT, "is no file any more");
	return ERR_OK;
}

static enum err
begin_patch(struct goal *g, int dirfd, struct error *err)
{
	enum err rc = open_old(g, dirfd, err);

	if (rc != ERR_OK)
		return rc;
	/* Another name of it may lie outside the target. */
	if (g->found.st_nlink != 1)
		return err_set(err, ERR_IO, "has got a second name just now");
	g->begun = true;
	if ((uint64_t)g->found.st_size == g->size)
		return ERR_OK;
	g->changed = true;
	if (ftruncate(g->fd, (off_t)g->size) != 0)
		return err_sys(err, errno, "set its size");
	return ERR_OK;
}

static enum err
begin_verify(struct goal *g, int dirfd, struct error *err)
{
	enum err rc = open_old(g, dirfd, err);

	if (rc != ERR_OK)
		return rc;
	g->begun = true;
	/* So that the disk is asked, not the memory that was written to. */
	(void)posix_fadvise(g->fd, 0, 0, POSIX_FADV_DONTNEED);
	if ((uint64_t)g->found.st_size == g->size)
		return ERR_OK;
	return err_set(err, ERR_CORRUPT,
		"has %llu bytes, the snapshot has %llu",
		(unsigned long long)g->found.st_size,
		(unsigned long long)g->size);
}

static enum err
begin(struct goal *g, int dirfd, struct error *err)
{
	enum err rc;

	if (g->how == HOW_PATCH)
		return begin_patch(g, dirfd, err);
	if (g->how == HOW_VERIFY)
		return begin_verify(g, dirfd, err);
	rc = create(g, dirfd, err);
	if (rc == ERR_OK && !g->single && fstat(g->fd, &g->found) != 0)
		return err_sys(err, errno, "look at what was created");
	return rc;
}

/* It was closed for others; it must be the same file. */
static enum err
begin_again(struct goal *g, int dirfd, struct error *err)
{
	char room[RESTORE_TEMP_NAME];
	int flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	struct stat st;

	flags |= g->how == HOW_VERIFY ? O_RDONLY : O_RDWR;
	g->fd = openat(dirfd, made_as(g, room), flags);
	if (g->fd < 0 || fstat(g->fd, &st) != 0)
		return err_sys(err, errno, "open it again");
	if (st.st_dev != g->found.st_dev || st.st_ino != g->found.st_ino)
		return err_set(err, ERR_IO, "was replaced while it was made");
	return ERR_OK;
}

enum err
restore_goal_acquire(struct goal *g, int dirfd, int *fd, struct error *err)
{
	enum err rc = ERR_OK;

	pthread_mutex_lock(&g->lock);
	if (g->fd < 0) {
		rc = g->begun ? begin_again(g, dirfd, err)
			      : begin(g, dirfd, err);
		if (rc == ERR_OK)
			g->run->goals_open++;
		else
			fsx_close(&g->fd);
	}
	if (rc == ERR_OK) {
		g->users++;
		*fd = g->fd;
	}
	pthread_mutex_unlock(&g->lock);
	return rc;
}

void
restore_goal_release(struct goal *g)
{
	pthread_mutex_lock(&g->lock);
	if (--g->users == 0 && g->run->goals_open > RESTORE_GOALS_OPEN) {
		fsx_close(&g->fd);
		g->run->goals_open--;
	}
	pthread_mutex_unlock(&g->lock);
}

/* ---- the end ---- */

/* What it is before its attributes are set. */
static enum err
have_of(struct goal *g, struct have *have, struct error *err)
{
	uint64_t given = g->dir->given;
	struct stat st;

	if (g->how == HOW_PATCH || g->how == HOW_ATTRS) {
		*have = restore_attrs_have(&g->found);
		return ERR_OK;
	}
	if (given == RESTORE_GIVEN_UNKNOWN) {
		if (fstat(g->fd, &st) != 0)
			return err_sys(err, errno, "look at what was created");
		given = (uint64_t)st.st_uid << 32 | st.st_gid;
		g->dir->given = given;
	}
	*have = (struct have){ .uid = (uid_t)(given >> 32),
		.gid = (gid_t)given,
		.mode = g->dir->hands_on ? HAVE_MODE_UNKNOWN
					 : first_mode(g) & ~g->run->mask,
		.clean = true };
	return ERR_OK;
}

static enum err
rename_into_place(struct goal *g, int dirfd, struct error *err)
{
	char room[RESTORE_TEMP_NAME];
	const char *temp = made_as(g, room);
	int rc = -1;

	errno = EINVAL;
	if (g->how == HOW_CREATE)
		rc = renameat2(dirfd, temp, dirfd, g->name, RENAME_NOREPLACE);
	/* EINVAL: this file system cannot promise that. */
	if (rc != 0 && errno == EINVAL)
		rc = renameat(dirfd, temp, dirfd, g->name);
	if (rc != 0)
		return err_sys(err, errno, "rename it into its place");
	return ERR_OK;
}

static enum err
complete(struct goal *g, const struct have *have, int dirfd, struct error *err)
{
	char room[RESTORE_TEMP_NAME];
	struct spot at = { g->fd, dirfd, made_as(g, room) };
	enum err rc;

	rc = restore_attrs_set(g->run, &g->attrs, &at, have, err);
	if (rc == ERR_OK && g->temp)
		rc = rename_into_place(g, dirfd, err);
	if (rc == ERR_OK)
		rc = restore_attrs_flags(g->run, &g->attrs, &at, have, err);
	return rc;
}

static bool
is_file(const struct goal *g)
{
	return g->attrs.type == ENTRY_FILE || g->attrs.type >= ENTRY_IMAGE;
}

static void
count(struct goal *g)
{
	struct restore_counts *c = &g->run->counts;
	bool same = g->how == HOW_ATTRS || (g->how == HOW_PATCH && !g->changed);
	uint64_t bytes = is_file(g) ? g->size : 0;

	if (g->how == HOW_VERIFY) {
		c->verified++;
		return;
	}
	c->entries_same += same;
	c->bytes_same += same ? bytes : 0;
	c->entries += !same;
	c->files += !same && is_file(g);
	c->bytes += same ? 0 : bytes;
}

static void
remove_remains(const struct goal *g, int dirfd)
{
	char room[RESTORE_TEMP_NAME];

	if (g->begun && (g->how == HOW_CREATE || g->how == HOW_REPLACE))
		(void)unlinkat(dirfd, made_as(g, room), 0);
}

static enum err
settle(struct goal *g, int dirfd, struct error *err)
{
	struct have have;
	int fd;
	enum err rc;

	if (g->how == HOW_VERIFY)
		return ERR_OK;
	rc = restore_goal_acquire(g, dirfd, &fd, err);
	if (rc != ERR_OK)
		return rc;
	rc = have_of(g, &have, err);
	if (rc == ERR_OK)
		rc = complete(g, &have, dirfd, err);
	restore_goal_release(g);
	return rc;
}

/* What several pieces made. */
static void
finish(struct goal *g)
{
	struct error why = ERROR_INIT;
	int dirfd = -1;
	enum err rc;

	rc = restore_dirs_pin(g->dir, &dirfd, &why);
	if (rc == ERR_OK && !g->failed)
		rc = settle(g, dirfd, &why);
	if (rc != ERR_OK)
		restore_goal_fail(g, &why);
	if (dirfd >= 0 && g->failed)
		remove_remains(g, dirfd);
	if (dirfd >= 0)
		restore_dirs_unpin(g->dir);
	if (!g->failed)
		count(g);
}

void
restore_goal_drop(struct goal *g)
{
	if (atomic_fetch_sub(&g->refs, 1) != 1)
		return;
	if (!g->single && (g->begun || !g->failed))
		finish(g);
	if (g->fd >= 0) {
		fsx_close(&g->fd);
		g->run->goals_open--;
	}
	g->run->report->progress->items_done += g->how != HOW_VERIFY;
	restore_dirs_unref(g->dir);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- those of one piece ---- */

static mode_t
node_type(const struct goal *g)
{
	switch (g->attrs.type) {
	case ENTRY_CHR:
		return S_IFCHR;
	case ENTRY_BLK:
		return S_IFBLK;
	case ENTRY_SOCKET:
		return S_IFSOCK;
	default:
		return S_IFIFO;
	}
}

static int
make_node(const struct goal *g, int dirfd, const char *name)
{
	if (g->attrs.type == ENTRY_SYMLINK)
		return symlinkat((const char *)g->body, dirfd, name);
	return mknodat(dirfd, name, node_type(g) | (g->attrs.mode & 0777),
		makedev(g->major, g->minor));
}

/* One that is not for us to make (devices) has failed without a word. */
static enum err
create_node(struct goal *g, int dirfd, struct error *err)
{
	char room[RESTORE_TEMP_NAME];
	unsigned attempt = 0;
	int rc;

	choose_name(g);
	do {
		rc = make_node(g, dirfd, made_as(g, room));
	} while (rc != 0 && make_way(g, dirfd, attempt++));
	if (rc != 0 && errno == EPERM && g->attrs.type != ENTRY_SYMLINK) {
		restoring_refused(g->run, REFUSED_DEVICE, errno);
		g->failed = true;
		return ERR_OK;
	}
	if (rc != 0)
		return err_sys(err, errno, "create");
	g->begun = true;
	return ERR_OK;
}

static enum err
write_node(struct goal *g, int dirfd, struct error *err)
{
	char room[RESTORE_TEMP_NAME];
	struct have have;
	struct stat st;
	enum err rc;

	rc = create_node(g, dirfd, err);
	if (rc != ERR_OK || g->failed)
		return rc;
	if (fstatat(dirfd, made_as(g, room), &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(err, errno, "look at what was created");
	have = restore_attrs_have(&st);
	have.clean = !g->dir->hands_on;
	return complete(g, &have, dirfd, err);
}

static enum err
write_attrs(struct goal *g, int dirfd, struct error *err)
{
	struct have have;

	if (is_file(g))
		g->fd = open_there(g, dirfd);
	if (fstatat(dirfd, g->name, &g->found, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(err, errno, "look at it");
	have = restore_attrs_have(&g->found);
	return complete(g, &have, dirfd, err);
}

static enum err
write_file(struct goal *g, int dirfd, struct bytes data, struct error *err)
{
	struct have have;
	enum err rc;

	rc = create(g, dirfd, err);
	if (rc == ERR_OK)
		rc = fsx_write(g->fd, data.data, data.len, "it", err);
	if (rc == ERR_OK)
		rc = have_of(g, &have, err);
	if (rc == ERR_OK)
		rc = complete(g, &have, dirfd, err);
	g->run->counts.bytes_written += rc == ERR_OK ? data.len : 0;
	return rc;
}

enum err
restore_goal_write(struct goal *g, int dirfd, struct bytes data,
	struct error *err)
{
	enum err rc;

	if (g->how == HOW_ATTRS)
		rc = write_attrs(g, dirfd, err);
	else if (is_file(g))
		rc = write_file(g, dirfd, data, err);
	else
		rc = write_node(g, dirfd, err);
	fsx_close(&g->fd);
	if (rc != ERR_OK)
		remove_remains(g, dirfd);
	else if (!g->failed)
		count(g);
	return rc;
}
