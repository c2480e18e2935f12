/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dirs: one mutex guards descriptors, pins and the list of idle ones.  No
 * directory is opened or closed while it is held, so that a file system which
 * hangs holds up only those who want something from it.
 */
#include "source/files/dirs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "model/path.h"

enum {
	CHAIN_SHORT = 32, /* levels opened without allocation */
	KEEP_EVERY = 32 /* of the levels passed on the way down */
};

struct dir {
	struct dirs *all;
	struct dir *parent;
	_Atomic unsigned refs;
	bool through;
	size_t depth, key_len;

	/* under the lock */
	int fd;
	unsigned pins;
	bool known; /* dev and ino are those of the first time */
	dev_t dev;
	ino_t ino;
	struct dir *newer, *older; /* among the idle ones */

	char name[];
};

struct dirs {
	pthread_mutex_t lock;
	unsigned n_open, open_max;
	struct dir *newest, *oldest; /* open and not pinned */
	_Atomic size_t n_dirs;
};

static void
lock(struct dirs *all)
{
	int rc = pthread_mutex_lock(&all->lock);

	assert(rc == 0);
}

static void
unlock(struct dirs *all)
{
	int rc = pthread_mutex_unlock(&all->lock);

	assert(rc == 0);
}

enum err
dirs_new(struct dirs **out, unsigned open_max, struct error *err)
{
	struct dirs *all = calloc(1, sizeof(*all));

	if (all == NULL)
		return err_set(err, ERR_NOMEM, "no memory for directories");
	all->open_max = open_max;
	if (pthread_mutex_init(&all->lock, NULL) != 0) {
		free(all);
		return err_set(err, ERR_NOMEM, "no memory for a lock");
	}
	*out = all;
	return ERR_OK;
}

void
dirs_free(struct dirs *all)
{
	if (all == NULL)
		return;
	assert(all->n_dirs == 0);
	(void)pthread_mutex_destroy(&all->lock);
	free(all);
}

static enum err
make(struct dirs *all, struct dir **out, const char *name, size_t len,
	struct error *err)
{
	struct dir *d = calloc(1, sizeof(*d) + len + 1);

	if (d == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a directory");
	d->all = all;
	d->refs = 1;
	d->fd = -1;
	memcpy(d->name, name, len);
	all->n_dirs++;
	*out = d;
	return ERR_OK;
}

enum err
dirs_top(struct dirs *all, struct dir **out, bool through, struct error *err)
{
	enum err rc = make(all, out, "/", 1, err);

	if (rc == ERR_OK)
		(*out)->through = through;
	return rc;
}

enum err
dirs_below(struct dir *parent, struct dir **out, const char *name, size_t len,
	bool through, struct error *err)
{
	struct dir *d;
	enum err rc;

	rc = make(parent->all, &d, name, len, err);
	if (rc != ERR_OK)
		return rc;
	d->through = through;
	d->parent = dirs_ref(parent);
	d->depth = parent->depth + 1;
	d->key_len = parent->key_len + (parent->key_len > 0 ? 1 : 0) + len;
	*out = d;
	return ERR_OK;
}

struct dir *
dirs_ref(struct dir *d)
{
	d->refs++;
	return d;
}

/* ---- the idle ones; with the lock held ---- */

static void
idle_add(struct dir *d)
{
	struct dirs *all = d->all;

	d->newer = NULL;
	d->older = all->newest;
	if (all->newest != NULL)
		all->newest->newer = d;
	else
		all->oldest = d;
	all->newest = d;
}

static void
idle_remove(struct dir *d)
{
	struct dirs *all = d->all;

	if (d->newer != NULL)
		d->newer->older = d->older;
	else
		all->newest = d->older;
	if (d->older != NULL)
		d->older->newer = d->newer;
	else
		all->oldest = d->newer;
}

static void
pin(struct dir *d)
{
	if (d->pins++ == 0)
		idle_remove(d);
}

/* The descriptor of the oldest idle one, which is no longer its own; or -1. */
static int
take_oldest(struct dirs *all)
{
	struct dir *d = all->oldest;
	int fd;

	if (d == NULL)
		return -1;
	idle_remove(d);
	fd = d->fd;
	d->fd = -1;
	all->n_open--;
	return fd;
}

/* ---- life ---- */

static void
destroy(struct dir *d)
{
	struct dirs *all = d->all;
	int fd;

	lock(all);
	assert(d->pins == 0);
	fd = d->fd;
	if (fd >= 0) {
		idle_remove(d);
		all->n_open--;
	}
	unlock(all);
	fsx_close(&fd);
	free(d);
	all->n_dirs--;
}

void
dirs_unref(struct dir *d)
{
	while (d != NULL && --d->refs == 0) {
		struct dir *parent = d->parent;

		destroy(d);
		d = parent;
	}
}

/* ---- opening ---- */

/* Where there are no descriptors left, some of ours may be spared. */
static bool
close_some(struct dirs *all)
{
	bool closed = false;

	for (int i = 0; i < 16; i++) {
		int fd;

		lock(all);
		fd = take_oldest(all);
		unlock(all);
		closed |= fd >= 0;
		fsx_close(&fd);
	}
	return closed;
}

static int
open_once(int at, const struct dir *d)
{
	int flags = O_DIRECTORY | O_CLOEXEC, fd;

	if (d->through)
		return openat(at, d->name, flags | O_PATH);
	flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK;
	fd = openat(at, d->name, flags | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = openat(at, d->name, flags);
	return fd;
}

/* Whether it is still the directory it was. */
static bool
same(struct dir *d, const struct stat *st)
{
	bool is;

	lock(d->all);
	if (!d->known) {
		d->dev = st->st_dev;
		d->ino = st->st_ino;
		d->known = true;
	}
	is = d->dev == st->st_dev && d->ino == st->st_ino;
	unlock(d->all);
	return is;
}

static enum err
open_at(int at, struct dir *d, int *out, struct error *err)
{
	struct stat st;
	int fd = open_once(at, d);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE) &&
		close_some(d->all))
		fd = open_once(at, d);
	if (fd < 0)
		return err_sys(err, errno, "open the directory");
	if (fstat(fd, &st) != 0) {
		int errnum = errno;

		fsx_close(&fd);
		return err_sys(err, errnum, "look at the directory");
	}
	if (!same(d, &st)) {
		fsx_close(&fd);
		return err_set(err, ERR_NOTFOUND,
			"the directory was replaced meanwhile");
	}
	*out = fd;
	return ERR_OK;
}

/* Make fd the descriptor of d, unless it has got one meanwhile; pin it. */
static int
install(struct dir *d, int fd)
{
	struct dirs *all = d->all;
	int spare = -1;

	lock(all);
	if (d->fd >= 0) {
		pin(d);
		spare = fd;
		fd = d->fd;
	} else {
		d->fd = fd;
		d->pins = 1;
		if (++all->n_open > all->open_max)
			spare = take_oldest(all);
	}
	unlock(all);
	fsx_close(&spare);
	return fd;
}

/* The nearest ancestor that is open, pinned; NULL where none is.  *n: how
 * many are to be opened, d among them. */
static struct dir *
nearest_open(struct dir *d, size_t *n)
{
	struct dir *a = d->parent;

	*n = 1;
	lock(d->all);
	for (; a != NULL && a->fd < 0; a = a->parent)
		++*n;
	if (a != NULL)
		pin(a);
	unlock(d->all);
	return a;
}

/* Open chain[n - 1] in from, the one before in that, ... chain[0]. */
static enum err
descend(struct dir *from, struct dir **chain, size_t n, int *out,
	struct error *err)
{
	struct dir *at = from; /* pinned, or NULL where passing is ours */
	int at_fd = from != NULL ? from->fd : AT_FDCWD, passing = -1;
	enum err rc = ERR_OK;

	while (n-- > 0) {
		int fd = -1;

		rc = open_at(at_fd, chain[n], &fd, err);
		if (at != NULL)
			dirs_release(at);
		at = NULL;
		fsx_close(&passing);
		if (rc != ERR_OK)
			return rc;
		if (n == 0 || chain[n]->depth % KEEP_EVERY == 0) {
			at = chain[n];
			fd = install(at, fd);
		} else {
			passing = fd;
		}
		at_fd = fd;
	}
	*out = at_fd;
	return ERR_OK;
}

static enum err
open_chain(struct dir *d, int *out, struct error *err)
{
	struct dir *few[CHAIN_SHORT], **chain = few, *from;
	size_t n;
	enum err rc;

	from = nearest_open(d, &n);
	if (n > CHAIN_SHORT)
		chain = calloc(n, sizeof(*chain));
	if (chain == NULL) {
		if (from != NULL)
			dirs_release(from);
		return err_set(err, ERR_NOMEM, "no memory for a long path");
	}
	for (size_t i = 0; i < n; i++) {
		chain[i] = d;
		d = d->parent;
	}
	rc = descend(from, chain, n, out, err);
	if (chain != few)
		free(chain);
	return rc;
}

enum err
dirs_acquire(struct dir *d, int *fd, struct error *err)
{
	lock(d->all);
	if (d->fd >= 0) {
		pin(d);
		*fd = d->fd;
		unlock(d->all);
		return ERR_OK;
	}
	unlock(d->all);
	return open_chain(d, fd, err);
}

void
dirs_release(struct dir *d)
{
	struct dirs *all = d->all;
	int spare = -1;

	lock(all);
	assert(d->pins > 0);
	if (--d->pins == 0) {
		idle_add(d);
		if (all->n_open > all->open_max)
			spare = take_oldest(all);
	}
	unlock(all);
	fsx_close(&spare);
}

/* ---- names ---- */

size_t
dirs_key_len(const struct dir *d)
{
	return d->key_len;
}

enum err
dirs_key(const struct dir *d, struct buf *out, struct error *err)
{
	size_t at;
	enum err rc;

	rc = buf_reserve(out, d->key_len, err);
	if (rc != ERR_OK || d->key_len == 0)
		return rc;
	at = out->len + d->key_len;
	out->len = at;
	for (; d->key_len > 0; d = d->parent) {
		size_t above = d->parent->key_len;
		size_t len = d->key_len - above - (above > 0 ? 1 : 0);

		at -= len;
		memcpy(out->data + at, d->name, len);
		if (above > 0)
			out->data[--at] = 0;
	}
	return ERR_OK;
}
