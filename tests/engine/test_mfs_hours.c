/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images of many hours through everything: journal, capture, delta, the
 * tree of an image, restore.  Hours in which little or much changed, in which
 * the master was started again, whose seal was killed; every snapshot gives
 * back the image that the master had, and costs what changed.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/backup.h"
#include "engine/restore_moosefs.h"
#include "source/moosefs/capture.h"
#include "tests/engine/rig.h"
#include "tests/lib/must.h"
#include "tests/lib/prng.h"
#include "tests/lib/scale.h"

enum {
	SEEDS = 2,
	HOURS = 30,
	RECORD = 44,
	RECORDS = 20000,
	IMAGE_MAX = 3000000,
	HEAD = 24 + 16, /* of the image and of its only section */
	MARKER = 16
};

static const char generation[] = "00000000000000aa";
static const uint64_t meta_id = 0xaa;

struct image {
	uint8_t *data;
	size_t len;
	struct snapshot snap;
};

struct world {
	struct source source; /* captures the journal */
	struct rig rig;
	struct prng dice;
	struct journal *j;
	struct journal_view view;
	bool killed; /* behind the commit, before the journal knows */
	struct image images[HOURS];
	size_t n;
	uint64_t changed; /* bytes, by the last hour */
	uint64_t version, captured; /* of the last image, and of what was */
};

/* ---- the source ---- */

static struct world *
to_world(struct source *src)
{
	return container_of(src, struct world, source);
}

static enum err
on_describe(struct source *src,
	enum err (*name)(void *arg, const char *name, struct error *err),
	void *arg, struct error *err)
{
	(void)src;
	return name(arg, "moosefs:a:9419#00000000000000aa", err);
}

static enum err
on_freeze(struct source *src, const struct source_run *run, struct error *err)
{
	struct world *w = to_world(src);

	(void)run;
	return journal_pin(w->j, &w->view, err);
}

static enum err
on_thaw(struct source *src, bool committed, struct error *err)
{
	struct world *w = to_world(src);

	if (!w->killed)
		return journal_unpin(w->j, &w->view, committed, err);
	free(w->view.v);
	return ERR_OK;
}

static enum err
on_capture(struct source *src, struct sink *sink, struct error *err)
{
	struct world *w = to_world(src);
	const struct capture_of of = { .journal = w->j,
		.view = &w->view,
		.generation = generation,
		.label = "moosefs:a:9419",
		.complete = true };

	w->captured = w->view.base.first;
	return capture_run(&of, sink, err);
}

static const struct source_ops hours_ops = {
	.scheme = "moosefs",
	.caps = { .change_map = true },
	.describe = on_describe,
	.freeze = on_freeze,
	.thaw = on_thaw,
	.capture = on_capture,
};

/* ---- hours ---- */

static void
put64(uint8_t *out, uint64_t v)
{
	for (unsigned i = 0; i < 8; i++)
		out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static void
add_record(struct world *w, struct image *to)
{
	for (unsigned i = 0; i < RECORD; i++)
		to->data[to->len++] = (uint8_t)prng_next(&w->dice);
	w->changed += RECORD;
}

/* Of rate in a million records each third is another one, gone, or has a new
 * one before it. */
static void
change(struct world *w, struct image *to, const struct image *from,
	uint64_t rate)
{
	for (size_t at = HEAD; at < from->len - MARKER; at += RECORD) {
		uint64_t r = prng_below(&w->dice, 3000000);

		if (r < rate || (r < 2 * rate && r >= rate))
			add_record(w, to);
		if (r < rate || (r >= 2 * rate && r < 3 * rate))
			continue;
		memcpy(to->data + to->len, from->data + at, RECORD);
		to->len += RECORD;
	}
}

/* A master that was started again has all of them in another order. */
static void
turn(struct world *w, struct image *to, const struct image *from)
{
	for (size_t at = from->len - MARKER; at > HEAD; at -= RECORD) {
		memcpy(to->data + to->len, from->data + at - RECORD, RECORD);
		to->len += RECORD;
	}
	w->changed += to->len;
}

static struct image *
make_image(struct world *w, uint64_t version)
{
	static const uint64_t rates[] = { 0, 100, 1000, 10000, 50000, 200000 };
	struct image *to = &w->images[w->n];

	to->data = malloc(IMAGE_MAX);
	assert_non_null(to->data);
	memcpy(to->data, "MFSM 2.0", 8);
	put64(to->data + 8, version);
	put64(to->data + 16, meta_id);
	memcpy(to->data + 24, "NODE 1.4", 8);
	to->len = HEAD;
	w->changed = 0;
	if (w->n == 0)
		for (unsigned i = 0; i < RECORDS; i++)
			add_record(w, to);
	else if (prng_below(&w->dice, 15) == 0)
		turn(w, to, to - 1);
	else
		change(w, to, to - 1,
			rates[prng_below(&w->dice, ARRAY_LEN(rates))]);
	put64(to->data + 32, to->len - HEAD);
	memcpy(to->data + to->len, "[MFS EOF MARKER]", MARKER);
	to->len += MARKER;
	assert_true(to->len < IMAGE_MAX - IMAGE_MAX / 4);
	return to;
}

static void
open_journal(struct world *w)
{
	const struct journal_conf conf = { .dir = rig_path(&w->rig, "j") };
	struct error err = ERROR_INIT;

	must(journal_open(&w->j, &conf, &err), &err);
}

static void
add_lines(struct world *w)
{
	struct error err = ERROR_INIT;
	struct journal_figures f;
	enum mfs_link link;

	for (uint64_t n = 1 + prng_below(&w->dice, 50); n > 0; n--) {
		journal_figures(w->j, &f);
		must(journal_add(w->j, f.next, "1795242784|ACCESS(1)", 20,
			     &link, &err),
			&err);
	}
	must(journal_sync(w->j, &err), &err);
}

static void
end_hour(struct world *w)
{
	struct mfs_header h = { .id = meta_id };
	const char *path = rig_path(&w->rig, "image.tmp");
	struct error err = ERROR_INIT;
	struct journal_figures f;
	struct image *image;
	int fd;

	journal_figures(w->j, &f);
	h.version = w->version = f.next;
	image = make_image(w, h.version);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(fd, image->data, image->len),
		(ssize_t)image->len);
	(void)close(fd);
	must(journal_adopt(w->j, path, &h, &err), &err);
}

/* ---- what comes of it ---- */

static void
seal(struct world *w, struct snapshot *snap)
{
	const struct backup_conf conf = { .host = "h",
		.workers = 2,
		.level = 1 };
	struct error err = ERROR_INIT;

	w->killed = prng_below(&w->dice, 4) == 0;
	snapshot_init(snap);
	must(backup_run(w->rig.repo, &w->source, &conf, &w->rig.report, snap,
		     &err),
		&err);
	if (w->killed) {
		journal_close(w->j);
		open_journal(w);
	}
}

/* Bytes that were put.  What lies before an image is sealed before it, once
 * more where it was killed then. */
static uint64_t
seal_hour(struct world *w, struct snapshot *snap)
{
	uint64_t read = 0;

	do {
		snapshot_fini(snap);
		seal(w, snap);
		read += snap->figures.bytes_read;
	} while (w->captured != w->version);
	return read;
}

static void
check_image(struct world *w, size_t i)
{
	static uint8_t got[IMAGE_MAX];
	const struct image *image = &w->images[i];
	struct restore_moosefs_result result;
	struct restore_moosefs_conf conf = { .dir = NULL };
	struct error err = ERROR_INIT;
	uint64_t where = prng_next(&w->dice);
	char name[60];
	ssize_t n;
	int fd;

	(void)snprintf(name, sizeof(name), "to/%" PRIu64, where);
	conf.dir = rig_path(&w->rig, name);
	must(restore_moosefs_write(w->rig.repo, &image->snap, &conf,
		     &w->rig.report, &result, &err),
		&err);
	(void)snprintf(name, sizeof(name), "to/%" PRIu64 "/metadata.mfs.back",
		where);
	fd = open(rig_path(&w->rig, name), O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, got, sizeof(got));
	(void)close(fd);
	assert_int_equal(n, (ssize_t)image->len);
	assert_memory_equal(got, image->data, image->len);
}

static void
begin(struct world *w, uint64_t seed)
{
	struct error err = ERROR_INIT;

	memset(w, 0, sizeof(*w));
	prng_init(&w->dice, seed);
	w->source.ops = &hours_ops;
	rig_init(&w->rig);
	open_journal(w);
	must(journal_begin(w->j, 5, &err), &err);
}

static void
finish(struct world *w)
{
	journal_close(w->j);
	for (size_t i = 0; i < w->n; i++) {
		free(w->images[i].data);
		snapshot_fini(&w->images[i].snap);
	}
	rig_fini(&w->rig);
}

static void
all_hours_come_back(void **state)
{
	static struct world w;
	uint64_t put, limit;

	(void)state;
	for (uint64_t seed = 1; seed <= test_scale(SEEDS); seed++) {
		begin(&w, seed);
		for (; w.n < HOURS; w.n++) {
			end_hour(&w);
			if (prng_below(&w.dice, 2) == 0)
				add_lines(&w);
			put = seal_hour(&w, &w.images[w.n].snap);
			check_image(&w, w.n);
			add_lines(&w);
			/* Records, and what it takes to find on; lines, and
			 * an image that is too young to be taken over. */
			limit = 10000 + 4 * w.changed;
			if (w.n > 0 && put > limit)
				fail_msg("seed %" PRIu64 ", hour %zu: %" PRIu64
					 " bytes for %" PRIu64,
					seed, w.n, put, w.changed);
		}
		for (size_t i = 0; i < w.n; i++)
			check_image(&w, i);
		finish(&w);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_hours_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
