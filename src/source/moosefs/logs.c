/* SPDX-License-Identifier: Apache-2.0 */
#include "source/moosefs/logs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/fsx.h"
#include "format/mfs_log.h"

enum { ROOM = 320 << 10, PIECE = 64 << 10, NOTE_MAX = 600 };

static_assert(MFS_LINE_MAX + 1 <= ROOM - PIECE, "a line and what comes next");

/* Lines of a file, one after the other. */
struct reader {
	int fd;
	const char *path;
	uint64_t off; /* of data[0] */
	uint64_t end; /* nothing is read from here on */
	char *data; /* of ROOM bytes */
	size_t at, have;
	uint64_t line_at; /* of the line that was told last */
	bool too_long; /* in the middle of one that is */
};

struct run {
	int fd;
	const char *path;
	uint64_t off, end; /* its bytes */
	uint64_t first, last; /* its ids */
};

/* A run amid the merge, at its line id. */
struct beside {
	struct reader reader;
	uint64_t id, last;
	struct mfs_text line; /* in the reader's buffer */
};

struct logs {
	struct logs_conf conf;
	struct run *runs;
	size_t n, cap;
	size_t begun; /* of runs, in the order of their first ids */
	struct beside beside[LOGS_BESIDE_MAX];
	size_t n_beside;
};

/* ---- lines of a file ---- */

static enum err
reader_begin(struct reader *r, int fd, const char *path, uint64_t off,
	uint64_t end, struct error *err)
{
	*r = (struct reader){ .fd = fd, .path = path, .off = off, .end = end };
	r->data = malloc(ROOM);
	return r->data != NULL
		       ? ERR_OK
		       : err_set(err, ERR_NOMEM, "no memory to read %s", path);
}

static void
reader_end(struct reader *r)
{
	free(r->data);
	r->data = NULL;
}

/* More of the file behind what is not told yet; *got 0: there is none. */
static enum err
fill(struct reader *r, size_t *got, struct error *err)
{
	uint64_t pos;
	size_t want = PIECE;
	enum err rc;

	memmove(r->data, r->data + r->at, r->have - r->at);
	r->off += r->at;
	r->have -= r->at;
	r->at = 0;
	if (r->have > MFS_LINE_MAX) {
		r->too_long = true;
		r->off += r->have;
		r->have = 0;
	}
	*got = 0;
	pos = r->off + r->have;
	if (pos >= r->end)
		return ERR_OK;
	if (want > r->end - pos)
		want = (size_t)(r->end - pos);
	rc = fsx_pread(r->fd, r->data + r->have, want, pos, got, r->path, err);
	r->have += *got;
	return rc;
}

/* The next line without its LF, or one of no bytes for what is too long for
 * one; NULL at the end, where *len is of a torn one. */
static enum err
read_line(struct reader *r, const char **line, size_t *len, struct error *err)
{
	const char *lf;
	size_t got = 1;
	enum err rc;

	for (;;) {
		lf = memchr(r->data + r->at, '\n', r->have - r->at);
		if (lf != NULL)
			break;
		rc = fill(r, &got, err);
		if (rc != ERR_OK)
			return rc;
		if (got == 0) {
			*line = NULL;
			*len = r->too_long ? MFS_LINE_MAX : r->have;
			return ERR_OK;
		}
	}
	*line = r->data + r->at;
	*len = r->too_long ? 0 : (size_t)(lf - *line);
	r->line_at = r->off + r->at;
	r->at = (size_t)(lf - r->data) + 1;
	r->too_long = false;
	return ERR_OK;
}

/* ---- runs ---- */

enum err
logs_new(struct logs **out, const struct logs_conf *conf, struct error *err)
{
	struct logs *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return err_set(err, ERR_NOMEM, "no memory for logs");
	l->conf = *conf;
	*out = l;
	return ERR_OK;
}

void
logs_free(struct logs *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->n_beside; i++)
		reader_end(&l->beside[i].reader);
	free(l->runs);
	free(l);
}

static enum err
add_run(struct logs *l, const struct run *run, struct error *err)
{
	struct run *v;

	if (run->last < l->conf.from || run->end == run->off)
		return ERR_OK;
	if (l->n == LOGS_RUNS_MAX)
		return err_set(err, ERR_CORRUPT,
			"%s: its ids go back again and again", run->path);
	v = array_grow(l->runs, l->n, &l->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	l->runs = v;
	v[l->n++] = *run;
	return ERR_OK;
}

/* Of one file: what in it is no line. */
struct bad {
	unsigned n;
	size_t torn;
	struct error first;
};

static void
tell(const struct logs *l, const char *path, const struct bad *bad)
{
	char text[NOTE_MAX];

	if (bad->n > 0) {
		(void)snprintf(text, sizeof(text),
			"%s: left out as no change: %u, the first one: %s",
			path, bad->n, bad->first.msg);
		l->conf.note(l->conf.arg, text);
	}
	if (bad->torn > 0) {
		(void)snprintf(text, sizeof(text),
			"%s: a torn line of %zu bytes at its end is left out",
			path, bad->torn);
		l->conf.note(l->conf.arg, text);
	}
}

static enum err
find_runs(struct logs *l, struct reader *r, struct bad *bad, struct error *err)
{
	struct run run = { .fd = r->fd, .path = r->path };
	struct error why;
	const char *line;
	uint64_t id, seconds;
	size_t len = 0;
	enum err rc;

	for (;;) {
		rc = read_line(r, &line, &len, err);
		if (rc != ERR_OK || line == NULL)
			break;
		why = ERROR_INIT;
		if (mfs_change_check(&id, &seconds, line, len, &why) !=
			ERR_OK) {
			if (bad->n++ == 0)
				bad->first = why;
			continue;
		}
		if (run.end > 0 && id <= run.last) {
			rc = add_run(l, &run, err);
			if (rc != ERR_OK)
				return rc;
			run.end = 0;
		}
		if (run.end == 0) {
			run.first = id;
			run.off = r->line_at;
		}
		run.last = id;
		run.end = r->line_at + len + 1;
	}
	bad->torn = len;
	return rc == ERR_OK && run.end > 0 ? add_run(l, &run, err) : rc;
}

enum err
logs_add(struct logs *l, int fd, const char *path, struct error *err)
{
	struct bad bad = { .first = ERROR_INIT };
	struct reader r;
	enum err rc = reader_begin(&r, fd, path, 0, UINT64_MAX, err);

	if (rc == ERR_OK)
		rc = find_runs(l, &r, &bad, err);
	reader_end(&r);
	if (rc == ERR_OK)
		tell(l, path, &bad);
	return rc;
}

/* ---- side by side ---- */

/* To the next change from conf.from on; *more false: the run is over. */
static enum err
go_on(const struct logs *l, struct beside *b, bool *more, struct error *err)
{
	struct error why;
	const char *line;
	uint64_t id, seconds;
	size_t len;
	enum err rc;

	*more = false;
	for (;;) {
		rc = read_line(&b->reader, &line, &len, err);
		if (rc != ERR_OK || line == NULL)
			return rc;
		why = ERROR_INIT;
		if (mfs_change_check(&id, &seconds, line, len, &why) !=
				ERR_OK ||
			id < l->conf.from)
			continue;
		if (id <= b->id || id > b->last)
			return err_set(err, ERR_AGAIN,
				"%s is being written to other than at its end",
				b->reader.path);
		b->id = id;
		b->line = (struct mfs_text){ line, len };
		*more = true;
		return ERR_OK;
	}
}

static enum err
begin_run(struct logs *l, struct error *err)
{
	const struct run *run = &l->runs[l->begun];
	struct beside *b = &l->beside[l->n_beside];
	bool more = false;
	enum err rc;

	if (l->n_beside == LOGS_BESIDE_MAX)
		return err_set(err, ERR_CORRUPT,
			"%s: more than %d logs have change %" PRIu64, run->path,
			LOGS_BESIDE_MAX, run->first);
	b->id = 0;
	b->last = run->last;
	rc = reader_begin(&b->reader, run->fd, run->path, run->off, run->end,
		err);
	if (rc == ERR_OK)
		rc = go_on(l, b, &more, err);
	l->begun++;
	if (rc == ERR_OK && more)
		l->n_beside++;
	else
		reader_end(&b->reader);
	return rc;
}

static const struct beside *
lowest(const struct logs *l)
{
	const struct beside *low = NULL;

	for (size_t i = 0; i < l->n_beside; i++)
		if (low == NULL || l->beside[i].id < low->id)
			low = &l->beside[i];
	return low;
}

/* All runs that have the lowest id are begun. */
static enum err
begin_runs(struct logs *l, const struct beside **low, struct error *err)
{
	enum err rc = ERR_OK;

	*low = lowest(l);
	while (rc == ERR_OK && l->begun < l->n &&
		(*low == NULL || l->runs[l->begun].first <= (*low)->id)) {
		rc = begin_run(l, err);
		*low = lowest(l);
	}
	return rc;
}

static bool
contradicts(const struct beside *a, const struct beside *b)
{
	struct mfs_text x = mfs_change_text(a->line.p, a->line.len);
	struct mfs_text y = mfs_change_text(b->line.p, b->line.len);

	return a->id == b->id &&
	       (x.len != y.len || memcmp(x.p, y.p, x.len) != 0);
}

static enum err
check_same(const struct logs *l, const struct beside *low, struct error *err)
{
	for (size_t i = 0; i < l->n_beside; i++)
		if (contradicts(&l->beside[i], low))
			return err_set(err, ERR_CORRUPT,
				"%s: change %" PRIu64
				" has another text than in %s: these are two "
				"histories",
				l->beside[i].reader.path, low->id,
				low->reader.path);
	return ERR_OK;
}

/* Those that were at this id. */
static enum err
leave(struct logs *l, uint64_t id, struct error *err)
{
	bool more;
	enum err rc;

	for (size_t i = l->n_beside; i-- > 0;) {
		struct beside *b = &l->beside[i];

		if (b->id != id)
			continue;
		rc = go_on(l, b, &more, err);
		if (rc != ERR_OK)
			return rc;
		if (more)
			continue;
		reader_end(&b->reader);
		*b = l->beside[--l->n_beside];
	}
	return ERR_OK;
}

static int
by_first(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return x->first < y->first ? -1 : x->first > y->first;
}

enum err
logs_each(struct logs *l, logs_fn *fn, void *arg, struct error *err)
{
	const struct beside *low;
	uint64_t id;
	enum err rc;

	if (l->n > 0)
		qsort(l->runs, l->n, sizeof(*l->runs), by_first);
	for (;;) {
		rc = begin_runs(l, &low, err);
		if (rc != ERR_OK || low == NULL)
			return rc;
		id = low->id;
		rc = check_same(l, low, err);
		if (rc == ERR_OK)
			rc = fn(arg, id, low->line.p, low->line.len, err);
		if (rc == ERR_OK)
			rc = leave(l, id, err);
		if (rc != ERR_OK)
			return rc;
	}
}
