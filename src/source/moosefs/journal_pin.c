/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_pin: what is sealed, and what goes when it is.  Why nothing is
 * missing after a crash: journal.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fsx.h"
#include "source/moosefs/journal_state.h"

/* The first segment that has lines which an image lacks. */
static size_t
first_after(const struct journal *j, const struct journal_file *image)
{
	size_t at = 0;

	while (at < j->segments.n && j->segments.v[at].last < image->first)
		at++;
	return at;
}

static bool
has_all_after(const struct journal *j, const struct journal_file *image)
{
	uint64_t next = image->first;

	for (size_t i = first_after(j, image); i < j->segments.n; i++) {
		if (j->segments.v[i].first > next)
			return false;
		next = j->segments.v[i].last + 1;
	}
	return next >= journal_base(j)->first;
}

/*
 * The newest image, unless changes before it are in no repository yet, as it
 * was away for an hour: then an older one once more, so that they get there.
 */
static const struct journal_file *
base_to_seal(const struct journal *j)
{
	const struct journal_file *v = j->images.v;
	size_t newest = j->images.n - 1, i = newest;

	while (i > 0 && v[i].first > j->sealed)
		i--;
	return has_all_after(j, &v[i]) ? &v[i] : &v[newest];
}

static void
show_images(const struct journal *j, struct journal_view *v,
	struct journal_file *room)
{
	v->images = room;
	for (size_t i = 0; i < j->images.n; i++)
		if (j->images.v[i].first != j->hidden)
			room[v->n_images++] = j->images.v[i];
}

static enum err
fill_view(struct journal *j, struct journal_view *v, struct error *err)
{
	const struct journal_file *base;
	size_t at, n;

	*v = (struct journal_view){ .id = j->id, .seconds = j->seconds };
	if (j->images.n == 0)
		return ERR_OK;
	base = base_to_seal(j);
	v->has_base = true;
	v->base = *base;
	v->first = base->first;
	at = first_after(j, base);
	n = j->segments.n - at;
	v->v = calloc(n + j->images.n, sizeof(*v->v));
	if (v->v == NULL)
		return err_set(err, ERR_NOMEM, "no memory for segments");
	if (n > 0)
		memcpy(v->v, j->segments.v + at, n * sizeof(*v->v));
	v->n = n;
	show_images(j, v, v->v + n);
	v->last = n > 0 ? v->v[n - 1].last : v->first - 1;
	return ERR_OK;
}

enum err
journal_pin(struct journal *j, struct journal_view *out, struct error *err)
{
	enum err rc;

	journal_lock(j);
	rc = journal_close_segment(j, err);
	if (rc == ERR_OK)
		rc = fill_view(j, out, err);
	return journal_unlock(j, rc);
}

static enum err
write_sealed(struct journal *j, struct error *err)
{
	char text[48];
	int fd, n = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 "\n",
			j->sealed, j->sealed_base);
	enum err rc;

	fd = openat(j->dirfd, "sealed.tmp",
		O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, JOURNAL_MODE);
	if (fd < 0)
		return err_sys(err, errno, "%s/sealed.tmp", j->dir);
	rc = fsx_write(fd, text, (size_t)n, "sealed.tmp", err);
	if (rc == ERR_OK && fdatasync(fd) != 0)
		rc = err_sys(err, errno, "%s/sealed.tmp", j->dir);
	fsx_close(&fd);
	if (rc == ERR_OK &&
		renameat(j->dirfd, "sealed.tmp", j->dirfd, "sealed") != 0)
		rc = err_sys(err, errno, "%s/sealed", j->dir);
	return rc;
}

/* The first n files of a set, by their names. */
static enum err
drop(struct journal *j, struct journal_set *s, size_t n, const char *kind,
	struct error *err)
{
	char name[JOURNAL_NAME_MAX];

	for (size_t i = 0; i < n; i++) {
		journal_load_name(name, kind, s->v[i].first);
		if (unlinkat(j->dirfd, name, 0) != 0 && errno != ENOENT)
			return err_sys(err, errno, "%s/%s", j->dir, name);
	}
	if (n > 0)
		memmove(s->v, s->v + n, (s->n - n) * sizeof(*s->v));
	s->n -= n;
	return ERR_OK;
}

/* What is before the image of the last snapshot. */
static enum err
drop_old(struct journal *j, struct error *err)
{
	size_t n = 0, images = 0;
	enum err rc;

	while (images < j->images.n &&
		j->images.v[images].first < j->sealed_base)
		images++;
	if (images == j->images.n)
		return ERR_OK;
	while (n < j->segments.n && j->segments.v[n].last < j->sealed_base &&
		j->segments.v[n].last < j->sealed)
		n++;
	rc = drop(j, &j->segments, n, "changelog", err);
	return rc == ERR_OK ? drop(j, &j->images, images, "metadata", err) : rc;
}

/* Where the disk is full, what is not needed any more makes room to say so. */
static enum err
settle(struct journal *j, struct error *err)
{
	struct error why = ERROR_INIT;
	enum err rc;

	if (write_sealed(j, &why) == ERR_OK)
		return drop_old(j, err);
	rc = drop_old(j, err);
	return rc == ERR_OK ? write_sealed(j, err) : rc;
}

enum err
journal_unpin(struct journal *j, struct journal_view *v, bool sealed,
	struct error *err)
{
	enum err rc = ERR_OK;

	journal_lock(j);
	if (sealed && v->has_base) {
		j->sealed = v->last + 1;
		j->sealed_base = v->base.first;
		rc = settle(j, err);
	}
	free(v->v);
	*v = (struct journal_view){ .has_base = false };
	return journal_unlock(j, rc);
}

void
journal_hide_image(struct journal *j, uint64_t version)
{
	journal_lock(j);
	j->hidden = version;
	(void)journal_unlock(j, ERR_OK);
}

static enum err
open_file(const struct journal *j, const char *kind, uint64_t n, int *fd,
	struct error *err)
{
	char name[JOURNAL_NAME_MAX];

	journal_load_name(name, kind, n);
	*fd = openat(j->dirfd, name, O_RDONLY | O_CLOEXEC);
	return *fd >= 0 ? ERR_OK : err_sys(err, errno, "%s/%s", j->dir, name);
}

enum err
journal_open_image(const struct journal *j, const struct journal_file *f,
	int *fd, struct error *err)
{
	return open_file(j, "metadata", f->first, fd, err);
}

enum err
journal_open_segment(const struct journal *j, const struct journal_file *f,
	int *fd, struct error *err)
{
	return open_file(j, "changelog", f->first, fd, err);
}
