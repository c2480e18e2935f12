/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/restore_dirs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fsx.h"
#include "engine/restore_goal.h"

struct restore_dirs {
	rdir_done_fn *done;
	void *arg;
	uint8_t *root_key;
	size_t root_key_len;
	pthread_mutex_t lock; /* of descriptors */
	struct rdir *newest, *oldest;
	unsigned n_open;
};

enum err
restore_dirs_new(struct restore_dirs **out, struct bytes root_key,
	rdir_done_fn *done, void *arg, struct error *err)
{
	struct restore_dirs *all = calloc(1, sizeof(*all));
	uint8_t *key = malloc(root_key.len + 1);

	if (all == NULL || key == NULL) {
		free(all);
		free(key);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	if (root_key.len > 0)
		memcpy(key, root_key.data, root_key.len);
	*all = (struct restore_dirs){ .done = done,
		.arg = arg,
		.root_key = key,
		.root_key_len = root_key.len,
		.lock = PTHREAD_MUTEX_INITIALIZER };
	*out = all;
	return ERR_OK;
}

void
restore_dirs_free(struct restore_dirs *all)
{
	if (all == NULL)
		return;
	pthread_mutex_destroy(&all->lock);
	free(all->root_key);
	free(all);
}

enum err
restore_dirs_below(struct restore_dirs *all, struct rdir *parent,
	struct bytes name, struct rdir **out, struct error *err)
{
	struct rdir *d = calloc(1, sizeof(*d) + name.len + 1);

	if (d == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	d->all = all;
	d->fd = -1;
	d->refs = 1;
	d->given = RESTORE_GIVEN_UNKNOWN;
	d->name_len = name.len;
	if (name.len > 0)
		memcpy(d->name, name.data, name.len);
	if (parent != NULL)
		d->parent = restore_dirs_ref(parent);
	*out = d;
	return ERR_OK;
}

struct rdir *
restore_dirs_ref(struct rdir *d)
{
	d->refs++;
	return d;
}

/* ---- the open ones, by use; all with the lock held ---- */

static void
list_remove(struct rdir *d)
{
	struct restore_dirs *all = d->all;

	if (d->newer != NULL)
		d->newer->older = d->older;
	else
		all->newest = d->older;
	if (d->older != NULL)
		d->older->newer = d->newer;
	else
		all->oldest = d->newer;
	d->newer = d->older = NULL;
}

static void
list_put(struct rdir *d)
{
	struct restore_dirs *all = d->all;

	d->older = all->newest;
	if (d->older != NULL)
		d->older->newer = d;
	else
		all->oldest = d;
	all->newest = d;
}

static void
close_one(struct rdir *d)
{
	list_remove(d);
	fsx_close(&d->fd);
	d->all->n_open--;
}

/* The target itself stays open: its way is not ours to walk again. */
static void
make_room(struct restore_dirs *all)
{
	struct rdir *d = all->oldest;

	while (all->n_open >= RESTORE_DIRS_OPEN && d != NULL) {
		struct rdir *newer = d->newer;

		if (d->pins == 0 && d->parent != NULL)
			close_one(d);
		d = newer;
	}
}

static void
take_fd(struct rdir *d, int fd)
{
	make_room(d->all);
	d->fd = fd;
	d->all->n_open++;
	list_put(d);
}

int
restore_dirs_step(int at, const char *name)
{
	static atomic_bool no_openat2;
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS,
	};
	long fd = -1;

	if (!no_openat2) {
		fd = syscall(SYS_openat2, at, name, &how, sizeof(how));
		/* EPERM: a filter of system calls older than openat2. */
		if (fd >= 0 || (errno != ENOSYS && errno != EPERM))
			return (int)fd;
		if (errno == ENOSYS)
			no_openat2 = true;
	}
	/* One name that is not "..", not followed: the same. */
	return openat(at, name,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static enum err
step_down(struct rdir *from, struct rdir *to, struct error *err)
{
	int fd;

	from->pins++;
	fd = restore_dirs_step(from->fd, to->name);
	if (fd >= 0)
		take_fd(to, fd);
	from->pins--;
	if (fd < 0)
		return err_sys(err, errno, "open its directory again");
	return ERR_OK;
}

static enum err
open_again(struct rdir *d, struct error *err)
{
	struct rdir *at = d;
	enum err rc = ERR_OK;

	for (; at->fd < 0 && at->parent != NULL; at = at->parent)
		at->parent->down = at;
	if (at->fd < 0)
		return err_set(err, ERR_NOTFOUND, "the target is not open");
	for (; at != d && rc == ERR_OK; at = at->down)
		rc = step_down(at, at->down, err);
	return rc;
}

/* ---- for all ---- */

void
restore_dirs_opened(struct rdir *d, int fd)
{
	d->state = RDIR_THERE;
	pthread_mutex_lock(&d->all->lock);
	take_fd(d, fd);
	pthread_mutex_unlock(&d->all->lock);
}

enum err
restore_dirs_pin(struct rdir *d, int *fd, struct error *err)
{
	enum err rc = ERR_OK;

	pthread_mutex_lock(&d->all->lock);
	if (d->fd < 0)
		rc = open_again(d, err);
	if (rc == ERR_OK) {
		list_remove(d);
		list_put(d);
		d->pins++;
		*fd = d->fd;
	}
	pthread_mutex_unlock(&d->all->lock);
	return rc;
}

void
restore_dirs_unpin(struct rdir *d)
{
	pthread_mutex_lock(&d->all->lock);
	d->pins--;
	pthread_mutex_unlock(&d->all->lock);
}

void
restore_dirs_unref(struct rdir *d)
{
	while (d != NULL && atomic_fetch_sub(&d->refs, 1) == 1) {
		struct rdir *parent = d->parent;

		if (d->state == RDIR_THERE)
			d->all->done(d->all->arg, d);
		pthread_mutex_lock(&d->all->lock);
		if (d->fd >= 0)
			close_one(d);
		pthread_mutex_unlock(&d->all->lock);
		free(d->attrs);
		free(d);
		d = parent;
	}
}

size_t
restore_dirs_root_len(const struct restore_dirs *all)
{
	return all->root_key_len;
}

enum err
restore_dirs_key(const struct rdir *d, const char *name, struct buf *out,
	struct error *err)
{
	const struct restore_dirs *all = d->all;
	size_t last = name != NULL ? strlen(name) + 1 : 0, len = last, at;
	enum err rc;

	for (const struct rdir *p = d; p->parent != NULL; p = p->parent)
		len += p->name_len + 1;
	rc = buf_reserve(out, all->root_key_len + len + 1, err);
	if (rc != ERR_OK)
		return rc;
	/* Written backwards, each name with the zero that separates it. */
	at = out->len + all->root_key_len + len;
	if (name != NULL)
		memcpy(out->data + at - last + 1, name, last - 1);
	if (name != NULL)
		out->data[at -= last] = 0;
	for (const struct rdir *p = d; p->parent != NULL; p = p->parent) {
		memcpy(out->data + at - p->name_len, p->name, p->name_len);
		out->data[at -= p->name_len + 1] = 0;
	}
	if (all->root_key_len == 0 && len > 0) {
		memmove(out->data + out->len, out->data + out->len + 1,
			len - 1);
		len--;
	} else if (all->root_key_len > 0) {
		memcpy(out->data + out->len, all->root_key, all->root_key_len);
	}
	out->len += all->root_key_len + len;
	return ERR_OK;
}
