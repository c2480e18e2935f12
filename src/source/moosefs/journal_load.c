/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_load: what lies in a journal's directory, made whole again: the
 * newest image is the base, the lines from there on are read and have to
 * chain, a file that does not end in a whole line is cut.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/fsx.h"
#include "source/moosefs/journal_state.h"

enum { PIECE = 256 << 10, HEAD = 24 };

void
journal_load_name(char out[JOURNAL_NAME_MAX], const char *kind, uint64_t n)
{
	(void)snprintf(out, JOURNAL_NAME_MAX, "%s.%" PRIu64 ".mfs", kind, n);
}

enum err
journal_load_add(struct journal_set *s, const struct journal_file *f,
	struct error *err)
{
	struct journal_file *v =
		array_grow(s->v, s->n, &s->cap, sizeof(*v), err);

	if (v == NULL)
		return err->code;
	s->v = v;
	v[s->n++] = *f;
	return ERR_OK;
}

/* ---- names ---- */

static bool
name_number(const char *name, const char *kind, uint64_t *out)
{
	char again[JOURNAL_NAME_MAX];
	size_t len = strlen(kind);

	if (strncmp(name, kind, len) != 0 || name[len] != '.')
		return false;
	errno = 0;
	*out = strtoull(name + len + 1, NULL, 10);
	if (errno != 0 || *out == 0)
		return false;
	journal_load_name(again, kind, *out);
	return strcmp(again, name) == 0;
}

static enum err
list_name(struct journal *j, const char *name, struct error *err)
{
	struct journal_file f = { 0 };
	struct stat st;
	struct journal_set *set = NULL;

	if (name_number(name, "metadata", &f.first))
		set = &j->images;
	else if (name_number(name, "changelog", &f.first))
		set = &j->segments;
	if (set == NULL)
		return ERR_OK;
	if (fstatat(j->dirfd, name, &st, 0) != 0)
		return err_sys(err, errno, "%s/%s", j->dir, name);
	f.last = f.first;
	f.size = (uint64_t)st.st_size;
	f.time.sec = st.st_mtim.tv_sec;
	f.time.nsec = (uint32_t)st.st_mtim.tv_nsec;
	return journal_load_add(set, &f, err);
}

static int
by_first(const void *a, const void *b)
{
	const struct journal_file *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

static void
sort(struct journal_set *s)
{
	if (s->n > 1)
		qsort(s->v, s->n, sizeof(*s->v), by_first);
}

static enum err
list_all(struct journal *j, struct error *err)
{
	const struct dirent *e;
	enum err rc = ERR_OK;
	int fd = openat(j->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL) {
		rc = err_sys(err, errno, "%s", j->dir);
		fsx_close(&fd);
		return rc;
	}
	j->images.n = j->segments.n = 0;
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is ours alone */
	while (rc == ERR_OK && (e = readdir(d)) != NULL)
		rc = list_name(j, e->d_name, err);
	(void)closedir(d);
	sort(&j->images);
	sort(&j->segments);
	return rc;
}

/* ---- the base ---- */

/* The head tells whether it is what its name says; it was checked whole
 * before it got that name. */
static bool
image_is(struct journal *j, const struct journal_file *f, uint64_t *id)
{
	struct mfs_image_fn fn = { NULL };
	struct error why = ERROR_INIT;
	struct mfs_image w;
	uint8_t head[HEAD];
	char name[JOURNAL_NAME_MAX];
	size_t got = 0;
	bool good;
	int fd;

	journal_load_name(name, "metadata", f->first);
	fd = openat(j->dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	mfs_image_init(&w, &fn);
	good = fsx_read(fd, head, sizeof(head), &got, name, &why) == ERR_OK &&
	       mfs_image_feed(&w, head, got, &why) == ERR_OK;
	if (good && !w.has_header) /* MFSM NEW ends behind its signature */
		good = mfs_image_end(&w, &why) == ERR_OK;
	fsx_close(&fd);
	*id = w.header.id;
	return good && w.header.version == f->first;
}

static void
tell(const struct journal *j, const char *name, const char *what)
{
	char text[600];

	(void)snprintf(text, sizeof(text), "%.300s/%.60s: %s", j->dir, name,
		what);
	if (j->conf.note != NULL)
		j->conf.note(j->conf.arg, text);
}

static void
choose_base(struct journal *j)
{
	struct journal_set *s = &j->images;
	char name[JOURNAL_NAME_MAX];

	while (s->n > 0 && !image_is(j, &s->v[s->n - 1], &j->id)) {
		journal_load_name(name, "metadata", s->v[s->n - 1].first);
		tell(j, name,
			"this is not the image it is called; passed over");
		s->n--;
	}
}

/* ---- lines ---- */

struct reading {
	struct journal *j;
	struct journal_file *file;
	bool any, broken;
	uint64_t whole; /* bytes of lines that continue */
	uint64_t seconds;
};

/* A line that does not parse ends the file as a torn one does: what is behind
 * it is fetched again. */
static enum err
on_line(void *arg, const char *line, size_t len, struct error *err)
{
	struct reading *r = arg;
	struct mfs_text text;
	uint64_t id, seconds;
	enum mfs_link link;

	if (mfs_change_check(&id, &seconds, line, len, err) != ERR_OK) {
		r->broken = true;
		return err->code;
	}
	text = mfs_change_text(line, len);
	if (!r->any && id != r->file->first)
		r->broken = true;
	if (r->any && id != r->file->last + 1)
		r->broken = true;
	link = mfs_chain_add(&r->j->chain, id, text.p, text.len);
	if (link != MFS_LINK_NEXT && link != MFS_LINK_SURPLUS)
		r->broken = true;
	if (r->broken)
		return err_set(err, ERR_CORRUPT, "it does not continue");
	r->file->last = id;
	r->whole += len + 1;
	r->any = true;
	r->seconds = seconds;
	return ERR_OK;
}

static enum err
pump(struct reading *r, int fd, const char *name, struct error *err)
{
	uint8_t *piece = malloc(PIECE);
	struct error why = ERROR_INIT;
	struct mfs_lines lines;
	size_t got = PIECE;
	enum err rc = ERR_OK;

	if (piece == NULL)
		return err_set(err, ERR_NOMEM, "no memory to read a journal");
	mfs_lines_init(&lines);
	while (rc == ERR_OK && got == PIECE && !r->broken) {
		rc = fsx_read(fd, piece, PIECE, &got, name, err);
		if (rc == ERR_OK && mfs_lines_feed(&lines, piece, got, on_line,
					    r, &why) != ERR_OK)
			r->broken = true;
	}
	mfs_lines_fini(&lines);
	free(piece);
	return rc;
}

static enum err
put_aside(struct journal *j, const char *name, uint64_t first,
	struct error *err)
{
	char aside[JOURNAL_NAME_MAX];

	journal_load_name(aside, "hole", first);
	tell(j, name, "it does not continue what is before it; put aside");
	if (renameat(j->dirfd, name, j->dirfd, aside) != 0)
		return err_sys(err, errno, "%s/%s", j->dir, name);
	return ERR_OK;
}

static enum err
cut(struct journal *j, struct journal_file *f, int fd, const char *name,
	uint64_t whole, struct error *err)
{
	struct stat st;

	tell(j, name, "cut behind its last whole line");
	if (ftruncate(fd, (off_t)whole) != 0 || fsync(fd) != 0 ||
		fstat(fd, &st) != 0)
		return err_sys(err, errno, "%s/%s", j->dir, name);
	f->size = whole;
	f->time.sec = st.st_mtim.tv_sec;
	f->time.nsec = (uint32_t)st.st_mtim.tv_nsec;
	return ERR_OK;
}

/* *keep: it is part of the chain. */
static enum err
read_segment(struct journal *j, struct journal_file *f, bool *keep,
	struct error *err)
{
	struct reading r = { .j = j, .file = f };
	char name[JOURNAL_NAME_MAX];
	enum err rc;
	int fd;

	journal_load_name(name, "changelog", f->first);
	fd = openat(j->dirfd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, errno, "%s/%s", j->dir, name);
	rc = pump(&r, fd, name, err);
	*keep = rc == ERR_OK && r.any;
	if (*keep && r.whole < f->size)
		rc = cut(j, f, fd, name, r.whole, err);
	fsx_close(&fd);
	if (rc != ERR_OK)
		return rc;
	if (*keep)
		j->seconds = r.seconds;
	else if (r.broken)
		rc = put_aside(j, name, f->first, err);
	else if (unlinkat(j->dirfd, name, 0) != 0)
		rc = err_sys(err, errno, "%s/%s", j->dir, name);
	return rc;
}

static enum err
read_lines(struct journal *j, struct error *err)
{
	size_t kept = 0;
	bool keep = false;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < j->segments.n && rc == ERR_OK; i++) {
		rc = read_segment(j, &j->segments.v[i], &keep, err);
		if (rc == ERR_OK && keep)
			j->segments.v[kept++] = j->segments.v[i];
	}
	j->segments.n = kept;
	return rc;
}

/* Where the file is not there or says nothing, nothing is sealed. */
enum err
journal_load_sealed(int dirfd, const char *dir, uint64_t *line, uint64_t *image,
	struct error *err)
{
	unsigned long long n, version;
	char text[48] = "";
	size_t got = 0;
	int fd = openat(dirfd, "sealed", O_RDONLY | O_CLOEXEC);
	enum err rc;

	*line = *image = 0;
	if (fd < 0)
		return errno == ENOENT ? ERR_OK
				       : err_sys(err, errno, "%s/sealed", dir);
	rc = fsx_read(fd, text, sizeof(text) - 1, &got, dir, err);
	fsx_close(&fd);
	if (rc == ERR_OK && sscanf(text, "%llu %llu", &n, &version) == 2) {
		*line = n;
		*image = version;
	}
	return rc;
}

enum err
journal_load_all(struct journal *j, struct error *err)
{
	uint64_t base;
	enum err rc = list_all(j, err);

	if (rc != ERR_OK)
		return rc;
	choose_base(j);
	j->begun = j->images.n > 0;
	base = j->begun ? j->images.v[j->images.n - 1].first : 1;
	mfs_chain_init(&j->chain, base);
	j->seconds = 0;
	rc = read_lines(j, err);
	if (rc == ERR_OK)
		rc = fsx_sync_dir(j->dirfd, j->dir, err);
	if (rc != ERR_OK)
		return rc;
	j->durable = j->chain.next;
	return ERR_OK;
}
