/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session: one connection to a master.
 *
 *   image, previous log, current log -> judge -> live changes, and an image
 *   after each hour
 *
 * No change can be missed: the logs are read before the master is asked for
 * live changes from the first one that is not here, and it either sends that
 * one first, or we see by its id that it cannot.  Then the connection ends and
 * the next one begins with the logs, in which the missing ones are.
 *
 * If the disk stalls, so does this thread; it sends no signs of life then, and
 * the master hangs up after the timeout, so that what it keeps for us is
 * bounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fsx.h"
#include "base/time.h"
#include "format/mfs_image.h"
#include "format/mfs_log.h"
#include "source/moosefs/receive_inside.h"
#include "system/mfs_master.h"

enum {
	STEP_MS = 200,
	NAP_NS = 5000000, /* what comes in so short a time comes at once */
	NAP_BELOW = 2000, /* changes; a replay needs no naps */
	HOUR_SEC = 3600,
	IMAGE_AGAIN_SEC = 60, /* while the master still writes it */
	IMAGE_TRIES = 5,
	BEHIND_MAX = 5 /* within half a minute */
};

/* How often the time at which the master was heard of is noted. */
static const double heard_every_sec = 0.2;

struct session {
	struct receive *r;
	struct mfs_master *m;
	struct journal *j; /* NULL: not known yet */

	/* a download */
	bool done; /* the one that was asked for */
	int fd; /* of image.tmp */
	struct mfs_image walk;
	struct mfs_image_fn walk_fn;
	bool peek; /* of the image only its header is asked for */
	bool has_image; /* a checked one lies in image.tmp */
	struct mfs_header head;
	struct mfs_lines lines;
	bool skip; /* the rest of this log */

	/* the start */
	uint64_t before; /* what was expected when it began; 0: nothing */
	uint64_t seen; /* the master is at least here */
	bool gap; /* the logs do not reach back to the base */

	/* live */
	bool live, replayed;
	uint64_t since;
	unsigned got; /* changes in this step */
	double image_at; /* when to ask for the next image */
	unsigned image_tries;
};

/* ---- another history ---- */

/* The next connection begins a new generation. */
static enum err
went_back(struct session *s, uint64_t id, const char *how, struct error *err)
{
	char why[256];

	(void)snprintf(why, sizeof(why),
		"the master went back: change %" PRIu64 " %s; what was "
		"received before stays where it is, and a new generation "
		"begins",
		id, how);
	receive_set(s->r, FOLLOW_WENT_BACK, why);
	s->r->branch = true;
	return err_set(err, ERR_AGAIN, "%s", why);
}

static enum err
hole(struct session *s, uint64_t id, struct error *err)
{
	struct journal_figures f;

	journal_figures(s->j, &f);
	(void)err_set(err, ERR_AGAIN,
		"changes %" PRIu64 " to %" PRIu64 " are missing; they are "
		"fetched",
		f.next, id - 1);
	receive_set(s->r, FOLLOW_HOLE, err->msg);
	return ERR_AGAIN;
}

/* ---- the image ---- */

static enum err
begin_image(struct session *s, bool exists, struct error *err)
{
	s->has_image = false;
	if (!exists) {
		s->done = true;
		return ERR_OK;
	}
	s->walk_fn = (struct mfs_image_fn){ NULL };
	mfs_image_init(&s->walk, &s->walk_fn);
	if (s->peek)
		return ERR_OK;
	fsx_close(&s->fd);
	s->fd = open(s->r->image_tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		0640);
	return s->fd >= 0 ? ERR_OK : err_sys(err, errno, "%s", s->r->image_tmp);
}

static enum err
end_image(struct session *s, struct error *err)
{
	enum err rc;

	if (s->peek)
		return ERR_OK;
	rc = mfs_image_end(&s->walk, err);
	if (rc != ERR_OK)
		return err_wrap(err, "the master's image");
	if (fsync(s->fd) != 0)
		return err_sys(err, errno, "%s", s->r->image_tmp);
	fsx_close(&s->fd);
	s->head = s->walk.header;
	s->has_image = !s->head.is_new;
	return ERR_OK;
}

static enum err
adopt(struct session *s, struct error *err)
{
	return journal_adopt(s->j, s->r->image_tmp, &s->head, err);
}

/* Its lines from here on are a new chain, that begins at the image. */
static enum err
rebase(struct session *s, struct error *err)
{
	enum err rc = journal_begin(s->j, s->head.version, err);

	return rc == ERR_OK ? adopt(s, err) : rc;
}

static enum err
choose_by_image(struct session *s, struct error *err)
{
	struct journal_figures f;
	enum err rc = s->has_image ? receive_use(s->r, s->head.id, err)
				   : receive_use_current(s->r, err);

	if (rc != ERR_OK)
		return rc;
	if (!s->r->branch)
		s->j = lineup_target(&s->r->line);
	if (s->j == NULL)
		return ERR_OK;
	if (!journal_has_begun(s->j)) {
		if (!s->has_image) {
			s->j = NULL;
			return ERR_OK;
		}
		return rebase(s, err);
	}
	journal_figures(s->j, &f);
	s->before = f.next;
	return ERR_OK;
}

/* ---- the logs ---- */

/* The first change of a file system tells its id, where no image does. */
static enum err
choose_by_first(struct session *s, const char *line, size_t len,
	struct error *err)
{
	static const char name[] = "SETMETAID";
	struct mfs_change c;
	struct journal_figures f;
	uint64_t id;
	bool ok = false;
	enum err rc = mfs_change_parse(&c, line, len, err);

	if (rc != ERR_OK || c.op.len != sizeof(name) - 1 ||
		memcmp(c.op.p, name, c.op.len) != 0 || c.n_args != 1)
		return rc;
	id = mfs_arg_number(&c.args[0], &ok);
	if (!ok)
		return ERR_OK;
	rc = receive_use(s->r, id, err);
	if (rc != ERR_OK)
		return rc;
	s->j = lineup_target(&s->r->line);
	if (journal_has_begun(s->j)) {
		journal_figures(s->j, &f);
		s->before = f.next;
		return ERR_OK;
	}
	rc = journal_begin(s->j, 1, err);
	return rc == ERR_OK ? journal_adopt_new(s->j, err) : rc;
}

/* What lacks before id: the image covers it, or the master's memory has to. */
static enum err
fill_gap(struct session *s, uint64_t id, bool *again, struct error *err)
{
	struct journal_figures f;

	*again = false;
	journal_figures(s->j, &f);
	if (s->has_image && s->head.version > f.next) {
		*again = true;
		return rebase(s, err);
	}
	s->gap = s->skip = true;
	return ERR_OK;
}

static enum err
add_logged(struct session *s, uint64_t id, struct mfs_text text,
	struct error *err)
{
	enum mfs_link link = MFS_LINK_NEXT;
	bool again = true;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && again) {
		again = false;
		rc = journal_add(s->j, id, text.p, text.len, &link, err);
		if (rc != ERR_OK)
			break;
		if (link == MFS_LINK_OTHER)
			return went_back(s, id, "has another text than before",
				err);
		if (link == MFS_LINK_HOLE || link == MFS_LINK_JUMP)
			rc = fill_gap(s, id, &again, err);
	}
	return rc;
}

static enum err
on_log_line(void *arg, const char *line, size_t len, struct error *err)
{
	struct session *s = arg;
	struct error why = ERROR_INIT;
	uint64_t id, seconds;
	enum err rc = ERR_OK;

	if (s->skip)
		return ERR_OK;
	if (mfs_change_check(&id, &seconds, line, len, &why) != ERR_OK) {
		s->skip = true;
		return ERR_OK;
	}
	if (id + 1 > s->seen)
		s->seen = id + 1;
	if (id == 1 && !s->has_image)
		rc = choose_by_first(s, line, len, err);
	if (rc == ERR_OK && s->j != NULL)
		rc = add_logged(s, id, mfs_change_text(line, len), err);
	return rc;
}

/* ---- events ---- */

static enum err
on_begin(void *arg, enum mfs_file file, bool exists, uint64_t size,
	struct error *err)
{
	struct session *s = arg;

	(void)size;
	if (file == MFS_IMAGE)
		return begin_image(s, exists, err);
	mfs_lines_fini(&s->lines);
	mfs_lines_init(&s->lines);
	s->skip = s->gap;
	if (!exists)
		s->done = true;
	return ERR_OK;
}

static enum err
on_data(void *arg, enum mfs_file file, uint64_t off, const void *data,
	size_t len, struct error *err)
{
	struct session *s = arg;
	enum err rc;

	(void)off;
	if (file != MFS_IMAGE)
		return mfs_lines_feed(&s->lines, data, len, on_log_line, s,
			err);
	rc = mfs_image_feed(&s->walk, data, len, err);
	if (rc != ERR_OK)
		return err_wrap(err, "the master's image");
	if (s->peek)
		return ERR_OK;
	return fsx_write(s->fd, data, len, s->r->image_tmp, err);
}

/* An image that came while changes do: a base, if it is of this chain. */
static enum err
take_live_image(struct session *s, struct error *err)
{
	struct journal_figures f;
	char gen[HOME_GEN_MAX];
	bool known = false;
	enum err rc;

	if (!s->has_image)
		return ERR_OK;
	journal_figures(s->j, &f);
	rc = home_find(&s->r->home, s->head.id, gen, &known, err);
	if (rc != ERR_OK)
		return rc;
	if (!known || s->head.version < f.base)
		return err_set(err, ERR_AGAIN,
			"the master has an image of another history");
	if (s->head.version > f.next)
		return hole(s, s->head.version, err);
	if (s->head.version == f.base) {
		if (++s->image_tries < IMAGE_TRIES)
			s->image_at = mono_sec() + IMAGE_AGAIN_SEC;
		return ERR_OK;
	}
	return adopt(s, err);
}

static enum err
on_end(void *arg, enum mfs_file file, struct error *err)
{
	struct session *s = arg;
	enum err rc = ERR_OK;

	s->done = true;
	if (file == MFS_IMAGE)
		rc = end_image(s, err);
	if (rc == ERR_OK && s->live)
		rc = take_live_image(s, err);
	return rc;
}

static enum err
on_rotate(void *arg, struct error *err)
{
	struct session *s = arg;

	(void)err;
	s->image_at = mono_sec() + s->r->conf.image_sec;
	s->image_tries = 0;
	return ERR_OK;
}

static enum err
on_change(void *arg, uint64_t id, const char *text, size_t len,
	struct error *err)
{
	struct session *s = arg;
	enum mfs_link link = MFS_LINK_NEXT;
	enum err rc = journal_add(s->j, id, text, len, &link, err);

	s->got++;
	if (rc != ERR_OK)
		return rc;
	switch (link) {
	case MFS_LINK_NEXT:
		break;
	case MFS_LINK_HOLE:
	case MFS_LINK_JUMP:
		return hole(s, id, err);
	default:
		return went_back(s, id, "came once more", err);
	}
	if (!s->replayed) {
		s->replayed = true;
		receive_set(s->r, FOLLOW_PROTECTED, "");
	}
	return ERR_OK;
}

/* ---- steps ---- */

static enum err
fetch(struct session *s, enum mfs_file file, uint64_t max, struct error *err)
{
	enum err rc = mfs_fetch_part(s->m, file, max, err);

	s->done = false;
	while (rc == ERR_OK && !s->done && !s->r->stop)
		rc = mfs_step(s->m, STEP_MS, err);
	if (rc == ERR_OK && s->r->stop)
		rc = err_set(err, ERR_CANCELLED, "it is to end");
	return rc;
}

/*
 * A master that has not got as far as we are: its log is written by another
 * process and may lag where its disk is slow, so it is asked again.
 */
static enum err
check_behind(struct session *s, struct error *err)
{
	if (s->before == 0 || s->seen == 0 || s->seen >= s->before) {
		s->r->behind = 0;
		return ERR_OK;
	}
	if (++s->r->behind == BEHIND_MAX) {
		s->r->behind = 0;
		return went_back(s, s->seen, "is what it expects next", err);
	}
	return err_set(err, ERR_AGAIN,
		"the master's log ends before change %" PRIu64
		", which is here; it is asked again",
		s->before - 1);
}

static enum err
no_base(struct session *s, struct error *err)
{
	(void)err_set(err, ERR_AGAIN,
		"the master has no image yet, and its log does not begin with "
		"the first change: it is protected once its next image is "
		"saved");
	receive_set(s->r, FOLLOW_WAITING, err->msg);
	return ERR_AGAIN;
}

static enum err
judge(struct session *s, struct error *err)
{
	struct journal_figures f;
	enum err rc;

	if (s->j == NULL)
		return no_base(s, err);
	if (s->has_image && s->head.version > s->seen)
		s->seen = s->head.version;
	rc = check_behind(s, err);
	if (rc == ERR_OK && s->has_image) {
		journal_figures(s->j, &f);
		rc = s->head.version > f.next ? rebase(s, err) : adopt(s, err);
	}
	return rc == ERR_OK ? journal_sync(s->j, err) : rc;
}

/* Whether the master's image is the base that is here: its header tells, so
 * that a connection that broke does not cost a download of gigabytes. */
static enum err
peek(struct session *s, bool *same, struct error *err)
{
	const struct mfs_header *h = &s->walk.header;
	struct journal_figures f;
	char gen[HOME_GEN_MAX], current[HOME_GEN_MAX];
	struct journal *j = lineup_target(&s->r->line);
	bool known;
	enum err rc;

	*same = false;
	if (s->r->branch || j == NULL || !journal_has_begun(j))
		return ERR_OK;
	mfs_image_init(&s->walk, &s->walk_fn);
	s->peek = true;
	rc = fetch(s, MFS_IMAGE, MFS_HEAD_ROOM, err);
	s->peek = false;
	if (rc != ERR_OK || !s->walk.has_header || h->is_new)
		return rc;
	rc = home_find(&s->r->home, h->id, gen, &known, err);
	if (rc == ERR_OK)
		rc = home_current(&s->r->home, current, err);
	if (rc != ERR_OK)
		return rc;
	journal_figures(j, &f);
	*same = f.has_base && h->version == f.base && known &&
		strcmp(gen, current) == 0;
	if (*same)
		s->seen = h->version;
	return ERR_OK;
}

static enum err
start(struct session *s, struct error *err)
{
	bool same;
	enum err rc = peek(s, &same, err);

	if (rc == ERR_OK && !same)
		rc = fetch(s, MFS_IMAGE, UINT64_MAX, err);
	if (rc == ERR_OK)
		rc = choose_by_image(s, err);
	if (rc == ERR_OK)
		rc = fetch(s, MFS_LOG_PREVIOUS, UINT64_MAX, err);
	if (rc == ERR_OK)
		rc = fetch(s, MFS_LOG_CURRENT, UINT64_MAX, err);
	return rc == ERR_OK ? judge(s, err) : rc;
}

static enum err
go_live(struct session *s, struct error *err)
{
	struct journal_figures f;
	char why[256];

	journal_figures(s->j, &f);
	s->since = f.next;
	s->live = true;
	s->replayed = !s->gap;
	s->image_at = mono_sec() + HOUR_SEC + s->r->conf.image_sec;
	if (s->gap) {
		(void)snprintf(why, sizeof(why),
			"the master's logs do not have change %" PRIu64
			"; it is asked whether it remembers",
			f.next);
		receive_set(s->r, FOLLOW_HOLE, why);
	} else {
		receive_set(s->r, FOLLOW_PROTECTED, "");
	}
	return mfs_register(s->m, f.next, err);
}

static void
nap(void)
{
	const struct timespec t = { .tv_nsec = NAP_NS };

	(void)nanosleep(&t, NULL);
}

static enum err
ask_image(struct session *s, struct error *err)
{
	if (mono_sec() < s->image_at || mfs_is_fetching(s->m))
		return ERR_OK;
	s->image_at = mono_sec() + HOUR_SEC;
	return mfs_fetch(s->m, MFS_IMAGE, err);
}

static enum err
follow(struct session *s, struct error *err)
{
	double told = 0;
	int due;
	enum err rc = ERR_OK;

	while (rc == ERR_OK && !s->r->stop) {
		s->got = 0;
		due = journal_due(s->j);
		rc = mfs_step(s->m, due >= 0 ? due : STEP_MS, err);
		if (rc == ERR_OK && journal_due(s->j) == 0)
			rc = journal_sync(s->j, err);
		if (rc == ERR_OK)
			rc = ask_image(s, err);
		if (s->got > 0 && s->got < NAP_BELOW)
			nap();
		if (rc == ERR_OK && mono_sec() - told > heard_every_sec) {
			receive_heard(s->r, mfs_silent_sec(s->m));
			told = mono_sec();
		}
	}
	return rc;
}

enum err
session_run(struct receive *r, bool once, struct error *err)
{
	struct session s = { .r = r, .fd = -1 };
	const struct mfs_connect_conf conf = { .host = r->conf.host,
		.port = r->conf.port,
		.timeout_sec = r->conf.timeout_sec,
		.events = { &s, on_change, on_rotate, on_begin, on_data,
			on_end } };
	enum err rc = mfs_connect(&s.m, &conf, err);

	mfs_lines_init(&s.lines);
	if (rc == ERR_OK) {
		receive_connected(r);
		rc = start(&s, err);
	}
	if (rc == ERR_OK && s.gap && once)
		rc = err_set(err, ERR_NOTFOUND,
			"the master's logs do not reach back to its image");
	if (rc == ERR_OK && !once) {
		rc = go_live(&s, err);
		if (rc == ERR_OK)
			rc = follow(&s, err);
	}
	fsx_close(&s.fd);
	(void)unlink(r->image_tmp);
	mfs_lines_fini(&s.lines);
	mfs_close(s.m);
	return rc;
}
