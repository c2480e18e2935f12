/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore_image: the passes of one run, and its marks.
 *
 * Crash argument.  A target is marked with an offset only when every window
 * below it was given to the target and no call is at work; the target makes
 * that durable before it remembers the offset.  What was written beyond the
 * mark is what the image holds there, so whoever goes on from the mark writes
 * the same bytes once more.  A target that was blank reads as zeroes wherever
 * this image has a hole, then and later.  What looks finished is made so by
 * finish alone, after the last window, and after it was read again where the
 * target can be marked and --verify was asked for.
 */
#include "engine/restore_image.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"
#include "codec/hash.h"
#include "engine/restoring_image.h"
#include "model/path.h"
#include "model/rbd_record.h"
#include "repo/record.h"

/* A target has little room for what names a restore point. */
enum { KEY_ROOM = 5 * KEY_MAX, KEY_LONG = 1024, MARK_SEC = 5 };

#define MARK_BYTES (UINT64_C(1) << 30)

void
imaging_end(struct imaging *g, const struct error *why)
{
	(void)pthread_mutex_lock(&g->lock);
	if (!g->ended)
		g->why = *why;
	g->ended = true;
	(void)pthread_mutex_unlock(&g->lock);
}

enum err
imaging_check(struct imaging *g, struct error *err)
{
	const _Atomic bool *stop = g->report->stop;

	if (g->ended) {
		(void)pthread_mutex_lock(&g->lock);
		*err = g->why;
		(void)pthread_mutex_unlock(&g->lock);
		return err->code;
	}
	if (stop != NULL && *stop)
		return err_set(err, ERR_CANCELLED, "interrupted");
	return ERR_OK;
}

bool
imaging_in_order(const struct imaging *g)
{
	return g->pass == IMAGE_FILL && g->target->ordered;
}

/* ---- one pass over the image ---- */

struct sweep {
	struct imaging *run;
	uint64_t at; /* planned up to here */
	uint64_t done; /* below here nothing is under way */
	uint64_t marked; /* the last mark, */
	double marked_sec; /* and when */
};

/* The windows of an ordered target, now that they are there. */
static enum err
write_in_order(struct stretch *s, struct error *err)
{
	struct target *t = s->run->target;
	enum err rc = ERR_OK;

	for (uint32_t i = 0; i < s->n_windows && rc == ERR_OK; i++) {
		const struct window *w = &s->windows[i];

		s->run->counts.written += w->len;
		rc = t->ops->write(t, w->off, w->data, w->len, err);
	}
	return rc;
}

/* Wait for what the stretch is at. */
static enum err
settle(struct sweep *p, struct stretch *s, struct error *err)
{
	enum err rc;

	if (!s->under_way)
		return ERR_OK;
	stretch_wait(s);
	rc = imaging_check(p->run, err);
	if (rc == ERR_OK && imaging_in_order(p->run))
		rc = write_in_order(s, err);
	if (rc == ERR_OK)
		p->done = s->end;
	stretch_clear(s);
	return rc;
}

static bool
is_mark_due(const struct sweep *p)
{
	const struct imaging *g = p->run;
	uint64_t every =
		g->conf->mark_every > 0 ? g->conf->mark_every : MARK_BYTES;

	if (g->pass == IMAGE_VERIFY || g->conf->dry_run ||
		g->target->ops->mark == NULL || p->done <= p->marked)
		return false;
	return p->done - p->marked >= every ||
	       mono_sec() - p->marked_sec >= MARK_SEC;
}

static enum err
mark(struct sweep *p, struct error *err)
{
	struct target *t = p->run->target;
	enum err rc = t->ops->mark(t, p->done, err);

	p->marked = p->done;
	p->marked_sec = mono_sec();
	return rc;
}

static enum err
run_stretches(struct sweep *p, struct error *err)
{
	struct imaging *g = p->run;
	enum err rc = ERR_OK;

	for (unsigned i = 0; rc == ERR_OK && p->at < g->size; i++) {
		struct stretch *s = g->stretches[i % STRETCHES];

		rc = settle(p, s, err);
		if (rc == ERR_OK && is_mark_due(p)) {
			rc = settle(p, g->stretches[(i + 1) % STRETCHES], err);
			if (rc == ERR_OK)
				rc = mark(p, err);
		}
		if (rc == ERR_OK)
			rc = imaging_check(g, err);
		s->number = i;
		if (rc == ERR_OK)
			rc = stretch_plan(s, &p->at, err);
		if (rc == ERR_OK)
			stretch_submit(s);
	}
	/* The older one first. */
	for (unsigned i = 0; i < STRETCHES && rc == ERR_OK; i++) {
		struct stretch *a = g->stretches[0], *b = g->stretches[1];

		if (a->under_way && b->under_way)
			rc = settle(p, a->end < b->end ? a : b, err);
		else
			rc = settle(p, a->under_way ? a : b, err);
	}
	return rc;
}

static enum err
run_pass(struct imaging *g, enum image_pass pass, uint64_t from,
	struct error *err)
{
	struct sweep p = { .run = g,
		.at = from,
		.done = from,
		.marked = from,
		.marked_sec = mono_sec() };
	struct error ignored = ERROR_INIT;
	enum err rc;

	g->pass = pass;
	rc = run_stretches(&p, err);
	if (rc != ERR_OK)
		imaging_end(g, err);
	for (unsigned i = 0; i < STRETCHES; i++) {
		stretch_wait(g->stretches[i]);
		stretch_clear(g->stretches[i]);
	}
	/* Who stopped it wants to go on later. */
	if (rc == ERR_CANCELLED && pass != IMAGE_VERIFY && p.done > p.marked &&
		g->target->ops->mark != NULL && !g->conf->dry_run)
		(void)mark(&p, &ignored);
	return rc;
}

/* ---- the target ---- */

/* SNAPSHOT:/PATH, or the hash of a long path. */
static enum err
make_key(const struct imaging *g, struct buf *out, struct error *err)
{
	char uid[UID_HEX + 1], hash[ID_HEX + 1];
	struct id id;
	enum err rc;

	hex_encode(g->snap->uid.b, UID_LEN, uid);
	rc = buf_put(out, uid, UID_HEX, err);
	if (rc == ERR_OK)
		rc = buf_put_u8(out, ':', err);
	if (rc == ERR_OK)
		rc = key_to_text(out, g->key.data, g->key.len, err);
	if (rc == ERR_OK && out->len > KEY_LONG) {
		hash_plain(&id, g->key.data, g->key.len);
		hex_encode(id.b, ID_LEN, hash);
		out->len = UID_HEX + 1;
		rc = buf_put(out, hash, ID_HEX, err);
	}
	if (rc == ERR_OK)
		rc = buf_put_u8(out, 0, err);
	return rc;
}

static enum err
check_target(const struct imaging *g, struct error *err)
{
	const struct target_ops *ops = g->conf->target;
	char who[64];

	if (g->conf->verify && ops->read == NULL)
		return err_set(err, ERR_USAGE,
			"what was written to %s: cannot be read again to be "
			"verified",
			ops->scheme);
	(void)snprintf(who, sizeof(who), "target %s", ops->scheme);
	return settings_check(&g->conf->settings, ops->options, who, err);
}

/* An image without what it sees through its parent is no image without that
 * parent. */
static enum err
check_layers(struct imaging *g, struct error *err)
{
	const struct target_ops *ops = g->conf->target;
	struct rbd_record record;
	enum err rc;

	if (g->record.len == 0)
		return ERR_OK;
	rbd_record_init(&record);
	rc = rbd_record_decode(&record, g->record.data, g->record.len, err);
	if (rc != ERR_OK) {
		rc = err_wrap(err, "the record beside the image");
	} else if (record.has_parent && !record.parent_data) {
		if (!ops->layers)
			rc = err_set(err, ERR_USAGE,
				"the image is a clone of %s/%s@%s that was "
				"stored without its parent's data; it can be "
				"restored to rbd: only",
				record.parent.pool, record.parent.image,
				record.parent.snap);
		else
			rc = imaging_find_own(g, record.order, err);
	}
	rbd_record_fini(&record);
	return rc;
}

static enum err
open_target(struct imaging *g, struct error *err)
{
	const struct restore_image_conf *conf = g->conf;
	struct target_conf to = { .rest = conf->rest,
		.settings = conf->settings,
		.overwrite = conf->overwrite,
		.dry_run = conf->dry_run };
	struct target_image image = { .size = g->size,
		.record = g->record.data,
		.record_len = g->record.len };
	enum err rc;

	buf_init(&g->name, KEY_ROOM);
	rc = make_key(g, &g->name, err);
	image.key = (const char *)g->name.data;
	if (rc == ERR_OK)
		rc = conf->target->open(&g->target, &to, &image, err);
	return rc;
}

static enum err
fill(struct imaging *g, struct error *err)
{
	enum err rc = ERR_OK;

	if (!g->target->blank) {
		assert(g->target->ops->read != NULL);
		rc = imaging_know(g, err);
		if (rc == ERR_OK)
			rc = imaging_know_data(g, err);
	}
	if (rc == ERR_OK)
		rc = run_pass(g, g->target->blank ? IMAGE_FILL : IMAGE_PATCH,
			g->target->resume, err);
	return rc;
}

static enum err
verify(struct imaging *g, struct error *err)
{
	enum err rc;

	ranges_fini(&g->look);
	g->has_look = false;
	g->report->progress->bytes_total += g->size;
	rc = imaging_know_data(g, err);
	if (rc == ERR_OK)
		rc = run_pass(g, IMAGE_VERIFY, 0, err);
	return rc;
}

static enum err
restore(struct imaging *g, struct error *err)
{
	struct target *t = g->target;
	bool early = g->conf->verify && t->ops->mark != NULL;
	enum err rc = fill(g, err);

	if (rc != ERR_OK || g->conf->dry_run)
		return rc;
	if (early)
		rc = t->ops->mark(t, g->size, err);
	if (rc == ERR_OK && early)
		rc = verify(g, err);
	if (rc == ERR_OK)
		rc = t->ops->finish(t, err);
	if (rc == ERR_OK && g->conf->verify && !early)
		rc = verify(g, err);
	return rc;
}

/* ---- beginning and end ---- */

static enum err
setup_memory(struct imaging *g, struct error *err)
{
	g->scratch = calloc(g->crew.n, sizeof(*g->scratch));
	if (g->scratch == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (unsigned i = 0; i < g->crew.n; i++) {
		buf_init(&g->scratch[i].chunk, (size_t)2 * CHUNK_MAX);
		g->scratch[i].there = malloc(WINDOW);
		if (g->scratch[i].there == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
	}
	for (unsigned i = 0; i < STRETCHES; i++) {
		struct stretch *s = calloc(1, sizeof(*s));

		if (s == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		g->stretches[i] = s;
		s->run = g;
		s->arena = malloc(STRETCH_BUFFERED + WINDOW);
		if (s->arena == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
	}
	return ERR_OK;
}

static enum err
setup(struct imaging *g, struct error *err)
{
	enum err rc;

	/* Submitting never waits, so that the walk goes on planning. */
	rc = crew_init(&g->crew, g->repo, g->conf->workers,
		STRETCHES * (STRETCH_WINDOWS + STRETCH_FETCHES), err);
	if (rc == ERR_OK)
		rc = lane_new(&g->lane, g->repo, err);
	if (rc == ERR_OK)
		rc = setup_memory(g, err);
	if (rc == ERR_OK)
		tree_io_repo_init(&g->io, g->repo, g->lane, NULL);
	return rc;
}

static void
teardown(struct imaging *g)
{
	if (g->target != NULL)
		g->target->ops->close(g->target);
	content_close(g->view);
	for (unsigned i = 0; i < STRETCHES; i++) {
		if (g->stretches[i] != NULL)
			free(g->stretches[i]->arena);
		free(g->stretches[i]);
	}
	for (unsigned i = 0; g->scratch != NULL && i < g->crew.n; i++) {
		buf_fini(&g->scratch[i].chunk);
		free(g->scratch[i].there);
	}
	free(g->scratch);
	kept_fini(&g->kept);
	ranges_fini(&g->look);
	ranges_fini(&g->own);
	ranges_fini(&g->data);
	buf_fini(&g->key);
	buf_fini(&g->record);
	buf_fini(&g->name);
	lane_free(g->lane);
	crew_fini(&g->crew);
	(void)pthread_mutex_destroy(&g->lock);
}

static void
take_counts(const struct imaging *g, struct restore_image_result *out)
{
	*out = (struct restore_image_result){
		.bytes = g->size,
		.bytes_data = g->counts.data,
		.bytes_written = g->counts.written,
		.bytes_zeroed = g->counts.zeroed,
		.bytes_compared = g->counts.compared,
		.bytes_resumed = g->target != NULL ? g->target->resume : 0,
		.bytes_verified = g->counts.verified,
	};
}

static enum err
prepare(struct imaging *g, struct error *err)
{
	struct progress *progress = g->report->progress;
	enum err rc = check_target(g, err);

	if (rc == ERR_OK)
		rc = setup(g, err);
	if (rc == ERR_OK)
		rc = imaging_find(g, err);
	if (rc == ERR_OK)
		rc = check_layers(g, err);
	if (rc == ERR_OK)
		rc = open_target(g, err);
	if (rc != ERR_OK)
		return rc;
	progress->bytes_total += g->size;
	progress->bytes_done += g->target->resume;
	progress_current(progress, g->conf->rest, strlen(g->conf->rest));
	return ERR_OK;
}

enum err
restore_image_run(struct repo *r, const struct snapshot *snap,
	const struct restore_image_conf *conf, const struct report *report,
	struct restore_image_result *result, struct error *err)
{
	struct imaging g = { .repo = r,
		.snap = snap,
		.conf = conf,
		.report = report,
		.key = BUF_INIT(KEY_MAX),
		.record = BUF_INIT(RECORD_MAX),
		.lock = PTHREAD_MUTEX_INITIALIZER };
	enum err rc;

	kept_init(&g.kept);
	rc = prepare(&g, err);
	if (rc == ERR_OK)
		rc = restore(&g, err);
	take_counts(&g, result);
	teardown(&g);
	return rc;
}
