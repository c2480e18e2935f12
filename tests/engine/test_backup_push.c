/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is pushed instead of pulled: streams, images that are edits of the
 * previous ones, small records read back; and which snapshot is the previous
 * one.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/ingest.h"
#include "tests/engine/fake.h"
#include "tests/lib/scale.h"
#include "tree/content.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

static void
take(struct fake *f, struct snapshot *snap)
{
	snapshot_init(snap);
	fake_backup_ok(f, snap);
	fake_verify(f, snap);
}

/* ---- streams ---- */

static void
test_streams(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 64, 4096, 65536, 65537, 300000,
		MIB, 5 * MIB };

	for (unsigned small = 0; small < 2; small++) {
		struct snapshot snap;
		char name[64];
		struct fake f;

		fake_init(&f, small == 1);
		for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
			(void)snprintf(name, sizeof(name), "s%u", i);
			fake_add(&f, name, sizes[i])->type = ENTRY_STREAM;
			(void)snprintf(name, sizeof(name), "s%u.file", i);
			(void)fake_add(&f, name, sizes[i]);
		}
		take(&f, &snap);
		snapshot_fini(&snap);
		/* As it is with commands, where each run has its own time; and
		 * cut elsewhere, but no other chunks. */
		for (size_t i = 0; i < f.n; i++)
			f.files[i]->time.sec++;
		take(&f, &snap);
		assert_true(snap.figures.bytes_read > 6 * MIB);
		assert_true(snap.figures.bytes_added < 64 * KIB);
		snapshot_fini(&snap);
		fake_fini(&f);
	}
}

/* ---- images ---- */

struct model {
	uint8_t *bytes;
	uint64_t size;
	struct prng dice;
	bool first; /* everything is written */
	unsigned generation;
	const char *base; /* an image is an edit of; NULL: of nothing */
	bool fails; /* halfway */
};

static enum err
edit(struct model *m, struct sink *sink, uint64_t *off, struct error *err)
{
	uint64_t len = prng_below(&m->dice, 200000) + 1;
	enum err rc;

	if (len > m->size - *off)
		len = m->size - *off;
	if (prng_below(&m->dice, 3) == 0) {
		memset(m->bytes + *off, 0, (size_t)len);
		rc = sink->ops->image_punch(sink, *off, len, err);
	} else {
		prng_fill(&m->dice, m->bytes + *off, (size_t)len);
		rc = sink->ops->image_replace(sink, *off, m->bytes + *off,
			(size_t)len, err);
	}
	*off += len;
	return rc;
}

static enum err
edits(struct model *m, struct sink *sink, struct error *err)
{
	uint64_t off = 0;
	enum err rc = ERR_OK;

	if (m->first)
		rc = sink->ops->image_replace(sink, 0, m->bytes,
			(size_t)m->size, err);
	while (!m->first && rc == ERR_OK) {
		off += prng_below(&m->dice, 900000);
		if (off >= m->size)
			break;
		rc = edit(m, sink, &off, err);
		if (rc == ERR_OK && m->fails && off > m->size / 2)
			return err_set(err, ERR_IO, "the image broke");
	}
	return rc;
}

/* A file before it and one behind, and a record of the generation. */
static enum err
capture_image(struct fake *f, struct sink *sink, struct error *err)
{
	static const uint8_t user[] = "owner";
	struct model *m = f->capture_arg;
	struct bytes base = { (const uint8_t *)m->base,
		m->base != NULL ? strlen(m->base) : 0 };
	struct bytes key = { (const uint8_t *)"image", 5 };
	struct entry e = { .type = ENTRY_IMAGE,
		.size = m->size,
		.mtime = { 1000000000 + m->generation, 0 },
		.user = { user, 5 } };
	bool done;
	enum err rc = sink->ops->offer(sink, key, &e, &done, err);

	assert_false(done);
	if (rc == ERR_OK)
		rc = sink->ops->image_begin(sink, key, &e, base, NULL, err);
	if (rc == ERR_OK)
		rc = edits(m, sink, err);
	return rc == ERR_OK ? sink->ops->image_end(sink, err) : rc;
}

static void
compare_image(struct fake *f, const struct snapshot *snap,
	const struct model *m)
{
	struct lane *lane = tool_lane(f->repo);
	uint8_t *have = malloc((size_t)m->size + 1);
	struct error err = ERROR_INIT;
	struct content_view *v;
	struct tree_io_repo io;
	struct entry e;
	struct buf val;
	size_t got;

	assert_non_null(have);
	tree_io_repo_init(&io, f->repo, lane, NULL);
	assert_true(fake_entry(f, snap, "image", &e, &val));
	assert_int_equal(e.content.kind, CONTENT_EXTENTS);
	assert_int_equal(e.user.len, 5);
	assert_memory_equal(e.user.data, "owner", 5);
	must(content_open(&v, &io.io, &snap->root, &e, &err), &err);
	must(content_read(v, 0, have, (size_t)m->size + 1, &got, &err), &err);
	assert_int_equal(got, m->size);
	if (memcmp(have, m->bytes, got) != 0)
		fail_msg("generation %u differs", m->generation);
	content_close(v);
	entry_fini(&e);
	buf_fini(&val);
	lane_free(lane);
	free(have);
}

static void
next_generation(struct model *m)
{
	uint64_t size = 3 * MIB + prng_below(&m->dice, 6 * MIB);

	m->generation++;
	m->first = false;
	m->base = "image";
	m->bytes = realloc(m->bytes, (size_t)size);
	assert_non_null(m->bytes);
	if (size > m->size)
		memset(m->bytes + m->size, 0, (size_t)(size - m->size));
	m->size = size;
}

static void
test_image_generations(void **state)
{
	struct model m = { .size = 5 * MIB, .first = true };
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct fake f;

	prng_init(&m.dice, 3);
	m.bytes = malloc((size_t)m.size);
	assert_non_null(m.bytes);
	prng_fill(&m.dice, m.bytes, (size_t)m.size);
	fake_init(&f, false);
	f.capture = capture_image;
	f.capture_arg = &m;
	for (unsigned i = 0; i < test_scale(8) + 1; i++) {
		snapshot_init(&snap);
		fake_backup_ok(&f, &snap);
		compare_image(&f, &snap, &m);
		snapshot_fini(&snap);
		next_generation(&m);
	}
	/* One that breaks halfway leaves nothing behind. */
	m.fails = true;
	snapshot_init(&snap);
	assert_int_equal(fake_backup(&f, NULL, &snap, &err), ERR_IO);
	assert_string_equal(err.msg, "the image broke");
	free(m.bytes);
	fake_fini(&f);
}

/* An edit of what is no image, or not there, would be a wrong one. */
static void
test_image_without_base(void **state)
{
	static const char *const bases[] = { "nothing", "file", "dir", NULL };

	for (unsigned i = 0; i < ARRAY_LEN(bases); i++) {
		struct model m = { .size = MIB, .base = bases[i] };
		struct error err = ERROR_INIT;
		struct snapshot snap;
		struct fake f;

		prng_init(&m.dice, i);
		m.bytes = calloc(1, (size_t)m.size);
		assert_non_null(m.bytes);
		fake_init(&f, true);
		(void)fake_add(&f, "file", 100);
		fake_add(&f, "dir", 0)->type = ENTRY_DIR;
		take(&f, &snap);
		snapshot_fini(&snap);
		f.capture = capture_image;
		f.capture_arg = &m;
		snapshot_init(&snap);
		if (bases[i] != NULL) {
			assert_int_equal(fake_backup(&f, NULL, &snap, &err),
				ERR_CORRUPT);
		} else {
			fake_backup_ok(&f, &snap);
			compare_image(&f, &snap, &m);
		}
		snapshot_fini(&snap);
		free(m.bytes);
		fake_fini(&f);
	}
}

/* ---- records of the previous snapshot ---- */

struct asked {
	const char *name;
	size_t max;
	enum err rc;
	bool found;
	struct buf got;
};

static enum err
ask(struct fake *f, struct sink *sink, struct error *err)
{
	struct asked *a = f->capture_arg;
	struct error why = ERROR_INIT;
	uint8_t room[128];

	buf_init(&a->got, a->max);
	must(buf_put(&a->got, "x", 1, err), err);
	a->rc = sink->ops->previous(sink, fake_key(a->name, room), &a->got,
		&a->found, &why);
	return ERR_OK;
}

static void
must_have(struct fake *f, const char *name, const struct fake_file *file)
{
	struct asked a = { .name = name, .max = MIB };
	struct backup_conf conf = { .host = "here", .dry_run = true };
	struct error err = ERROR_INIT;
	uint8_t *want = malloc(MIB);
	struct snapshot snap;

	assert_non_null(want);
	snapshot_init(&snap);
	f->capture_arg = &a;
	fake_reopen(f, NULL);
	must(fake_backup(f, &conf, &snap, &err), &err);
	snapshot_fini(&snap);
	assert_int_equal(a.rc, ERR_OK);
	assert_int_equal(a.found, file != NULL);
	assert_int_equal(a.got.data[0], 'x');
	assert_int_equal(a.got.len, 1 + (file != NULL ? file->size : 0));
	if (file != NULL) {
		fake_content(file, file->seed, 0, want, (size_t)file->size);
		assert_memory_equal(a.got.data + 1, want, file->size);
	}
	buf_fini(&a.got);
	free(want);
}

static void
test_previous(void **state)
{
	static const char *const names[] = { "empty", "small", "larger" };
	struct snapshot snap;
	struct fake f;

	fake_init(&f, true);
	(void)fake_add(&f, "empty", 0);
	(void)fake_add(&f, "small", 20);
	(void)fake_add(&f, "larger", 200 * KIB);
	fake_add(&f, "unread", 20)->trouble.open_code = ERR_IO;
	f.capture = ask;
	must_have(&f, "small", NULL);
	f.capture = NULL;
	fake_reopen(&f, NULL);
	take(&f, &snap);
	snapshot_fini(&snap);
	f.capture = ask;
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		must_have(&f, names[i], fake_find(&f, names[i]));
	must_have(&f, "another", NULL);
	must_have(&f, "unread", NULL);
	fake_fini(&f);
}

static void
test_previous_too_large(void **state)
{
	struct asked a = { .name = "large", .max = 100 };
	struct snapshot snap;
	struct fake f;

	fake_init(&f, true);
	(void)fake_add(&f, "large", 100);
	take(&f, &snap);
	snapshot_fini(&snap);
	f.capture = ask;
	f.capture_arg = &a;
	snapshot_init(&snap);
	fake_backup_ok(&f, &snap);
	snapshot_fini(&snap);
	assert_int_equal(a.rc, ERR_CORRUPT);
	assert_int_equal(a.got.len, 1);
	buf_fini(&a.got);
	fake_fini(&f);
}

/* ---- the parent ---- */

static struct uid
take_as(struct fake *f, const struct backup_conf *conf, uint64_t unchanged,
	const struct uid *parent)
{
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct uid uid;

	snapshot_init(&snap);
	must(fake_backup(f, conf, &snap, &err), &err);
	fake_verify(f, &snap);
	assert_int_equal(snap.figures.entries_unchanged, unchanged);
	assert_int_equal(snap.has_parent, parent != NULL);
	if (parent != NULL)
		assert_memory_equal(&snap.parent, parent, sizeof(*parent));
	uid = snap.uid;
	snapshot_fini(&snap);
	return uid;
}

static void
test_parent(void **state)
{
	struct backup_conf here = { .host = "here", .workers = 1 };
	struct backup_conf there = { .host = "there", .workers = 1 };
	struct backup_conf old = { .host = "here",
		.workers = 1,
		.has_time = true,
		.time = { 1000, 0 } };
	struct uid a, b, other, first;
	char name[UID_HEX + 1];
	struct fake f;

	fake_init(&f, true);
	(void)fake_add(&f, "file", 100);
	first = take_as(&f, &here, 0, NULL);
	a = take_as(&f, &here, 1, &first);
	(void)take_as(&f, &there, 0, NULL);
	/* Newest by its time, whenever it was taken. */
	(void)take_as(&f, &old, 1, &a);
	b = take_as(&f, &here, 1, &a);
	f.label = "fake:other";
	other = take_as(&f, &here, 0, NULL);
	f.label = "fake:it";
	b = take_as(&f, &here, 1, &b);

	here.force = true;
	(void)take_as(&f, &here, 0, NULL);
	here.force = false;
	hex_encode(other.b, UID_LEN, name);
	here.parent = name;
	(void)take_as(&f, &here, 1, &other);
	name[9] = '\0';
	(void)take_as(&f, &here, 1, &other);
	fake_fini(&f);
}

static void
test_parent_that_is_not_there(void **state)
{
	struct backup_conf conf = { .host = "here", .parent = "0123" };
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct fake f;

	fake_init(&f, true);
	(void)fake_add(&f, "file", 100);
	snapshot_init(&snap);
	must_fail(fake_backup(&f, &conf, &snap, &err), ERR_NOTFOUND, &err,
		"0123");
	assert_int_equal(fake_find(&f, "file")->n_opened, 0);
	fake_fini(&f);
}

static void
test_dry_run_writes_nothing(void **state)
{
	struct backup_conf dry = { .host = "here", .dry_run = true };
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct fake f;
	uint64_t puts;

	fake_init(&f, true);
	(void)fake_add(&f, "file", 100);
	(void)fake_add(&f, "large", MIB);
	puts = f.st->n_put;
	snapshot_init(&snap);
	must(fake_backup(&f, &dry, &snap, &err), &err);
	assert_int_equal(f.st->n_put, puts);
	assert_int_equal(snap.figures.entries, 2);
	assert_int_equal(snap.figures.bytes, MIB + 100);
	assert_true(snap.figures.bytes_added > MIB);
	snapshot_fini(&snap);
	fake_reopen(&f, NULL);
	(void)take_as(&f, NULL, 0, NULL);
	fake_fini(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_image_generations),
		cmocka_unit_test(test_image_without_base),
		cmocka_unit_test(test_previous),
		cmocka_unit_test(test_previous_too_large),
		cmocka_unit_test(test_parent),
		cmocka_unit_test(test_parent_that_is_not_there),
		cmocka_unit_test(test_dry_run_writes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
