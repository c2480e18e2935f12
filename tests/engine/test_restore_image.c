/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images through the engine to a disk in memory: generations of one image, in
 * whole windows and in many small pieces, to a disk that is new or holds
 * something, that fails at each call and dies behind each mark.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/restore_image.h"
#include "model/rbd_record.h"
#include "tests/engine/disk.h"
#include "tests/engine/fake.h"
#include "tests/lib/scale.h"

enum { KIB = 1 << 10, MIB = 1 << 20, GENERATIONS = 5, BLOCK = 4096 };

/* The image as it was in each generation. */
struct world {
	struct fake f;
	struct prng dice;
	uint8_t *bytes[GENERATIONS];
	uint64_t size[GENERATIONS];
	struct snapshot snaps[GENERATIONS];
	char record[GENERATIONS][256];
	size_t n;
	bool is_clone;
	uint8_t own[1]; /* objects of 1 MiB */
};

static const char image_path[] = "/images/pool/disk";

/* ---- how they are made ---- */

static struct bytes
text_bytes_of(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

static void
make_record(struct world *w, struct buf *out)
{
	struct error err = ERROR_INIT;
	struct rbd_record r;
	char snap[32];

	rbd_record_init(&r);
	(void)snprintf(snap, sizeof(snap), "generation-%zu", w->n);
	r.pool = strdup("pool");
	r.image = strdup("disk");
	r.image_id = strdup("1234");
	r.fsid = strdup("0000");
	r.snap = strdup(snap);
	r.snap_id = w->n + 1;
	r.size = w->size[w->n];
	r.order = 20;
	r.parent_data = !w->is_clone;
	if (w->is_clone) {
		r.has_parent = true;
		r.parent.pool = strdup("pool");
		r.parent.image = strdup("parent");
		r.parent.image_id = strdup("77");
		r.parent.snap = strdup("s");
		r.parent.snap_id = 3;
		r.parent.overlap = r.size;
	}
	must(rbd_record_encode(&r, out, &err), &err);
	rbd_record_fini(&r);
}

/* Keys have zero bytes for slashes. */
static struct bytes
image_key(char room[64])
{
	size_t len = strlen(image_path) - 1;

	memcpy(room, image_path + 1, len);
	for (size_t i = 0; i < len; i++)
		if (room[i] == '/')
			room[i] = '\0';
	return (struct bytes){ (const uint8_t *)room, len };
}

/* A small entry; generation is its time, so that a new one is not taken for
 * the old one. */
static enum err
put_small(struct sink *sink, struct bytes key, struct bytes data,
	size_t generation, struct error *err)
{
	struct entry e = { .type = ENTRY_RECORD,
		.size = data.len,
		.mtime = { 1000000000 + (int64_t)generation, 0 } };
	bool done;
	enum err rc = sink->ops->offer(sink, key, &e, &done, err);

	if (rc != ERR_OK || done)
		return rc;
	e.content.kind = CONTENT_INLINE;
	e.content.bytes = data;
	return sink->ops->entry(sink, key, &e, err);
}

static enum err
put_beside(struct sink *sink, const char *suffix, struct bytes data,
	size_t generation, struct error *err)
{
	char room[64];
	struct bytes k = image_key(room);

	memcpy(room + k.len, suffix, strlen(suffix));
	k.len += strlen(suffix);
	return put_small(sink, k, data, generation, err);
}

/* A range of the new generation, in the model and in the sink. */
static enum err
change(struct world *w, struct sink *sink, uint64_t off, uint64_t len,
	struct error *err)
{
	uint8_t *bytes = w->bytes[w->n];

	if (prng_below(&w->dice, 3) == 0) {
		memset(bytes + off, 0, (size_t)len);
		return sink->ops->image_punch(sink, off, len, err);
	}
	prng_fill(&w->dice, bytes + off, (size_t)len);
	return sink->ops->image_replace(sink, off, bytes + off, (size_t)len,
		err);
}

/* Of the first generation everything; then some hundred blocks here and there,
 * and now and then a longer range of any length. */
static enum err
put_image(struct world *w, struct sink *sink, struct error *err)
{
	uint64_t off = 0, size = w->size[w->n], len;
	enum err rc = ERR_OK;

	while (rc == ERR_OK) {
		if (w->n > 0)
			off += prng_below(&w->dice, 12) * BLOCK;
		if (off >= size)
			break;
		len = w->n == 0 ? 3 * MIB / 2 : BLOCK;
		if (prng_below(&w->dice, 50) == 0)
			len = 1 + prng_below(&w->dice, 300 * KIB);
		if (len > size - off)
			len = size - off;
		rc = change(w, sink, off, len, err);
		off += len;
		off += w->n == 0 ? 0 : (BLOCK - off % BLOCK) % BLOCK;
	}
	return rc;
}

static enum err
capture(struct fake *f, struct sink *sink, struct error *err)
{
	struct world *w = f->capture_arg;
	struct buf record = BUF_INIT(MIB);
	char room[64];
	struct bytes key = image_key(room);
	struct entry e = { .type = ENTRY_IMAGE,
		.size = w->size[w->n],
		.mtime = { 1000000000 + (int64_t)w->n, 0 } };
	bool done;
	enum err rc = put_small(sink, text_bytes_of("another"),
		text_bytes_of("text"), 0, err);

	make_record(w, &record);
	assert_true(record.len < sizeof(disk.points[0].record));
	if (rc == ERR_OK)
		rc = sink->ops->offer(sink, key, &e, &done, err);
	if (rc == ERR_OK)
		rc = sink->ops->image_begin(sink, key, &e,
			w->n > 0 ? key : (struct bytes){ NULL, 0 }, NULL, err);
	if (rc == ERR_OK)
		rc = put_image(w, sink, err);
	if (rc == ERR_OK)
		rc = sink->ops->image_end(sink, err);
	if (rc == ERR_OK)
		rc = put_beside(sink, "@rbd.json",
			(struct bytes){ record.data, record.len }, w->n, err);
	if (rc == ERR_OK && w->is_clone)
		rc = put_beside(sink, "@rbd.own",
			(struct bytes){ w->own, sizeof(w->own) }, w->n, err);
	buf_fini(&record);
	return rc;
}

static void
next_generation(struct world *w)
{
	uint64_t size = 3 * MIB + prng_below(&w->dice, 5 * MIB);

	if (w->is_clone)
		size = 8 * MIB;
	w->size[w->n] = size;
	w->bytes[w->n] = calloc(1, DISK_MAX);
	assert_non_null(w->bytes[w->n]);
	if (w->n > 0)
		memcpy(w->bytes[w->n], w->bytes[w->n - 1], (size_t)size);
	snapshot_init(&w->snaps[w->n]);
	fake_backup_ok(&w->f, &w->snaps[w->n]);
	memset(w->bytes[w->n] + size, 0, (size_t)(DISK_MAX - size));
	w->n++;
}

static void
world_init(struct world *w, uint64_t seed, unsigned n)
{
	*w = (struct world){ .n = 0 };
	prng_init(&w->dice, seed * 977);
	fake_init(&w->f, false);
	w->f.capture = capture;
	w->f.capture_arg = w;
	while (w->n < n)
		next_generation(w);
	w->f.stop = false;
	disk_init(seed);
	disk.stop = &w->f.stop;
}

static void
world_fini(struct world *w)
{
	for (size_t i = 0; i < w->n; i++) {
		snapshot_fini(&w->snaps[i]);
		free(w->bytes[i]);
	}
	fake_fini(&w->f);
	disk_fini();
}

/* ---- restores ---- */

static struct restore_image_conf
usual_conf(void)
{
	return (struct restore_image_conf){ .target = &disk_ops,
		.rest = "disk",
		.workers = 3 };
}

static enum err
restore(struct world *w, size_t i, const struct restore_image_conf *conf,
	struct restore_image_result *result, struct error *err)
{
	return restore_image_run(w->f.repo, &w->snaps[i], conf, &w->f.report,
		result, err);
}

static void
must_hold(const struct world *w, size_t i)
{
	assert_int_equal(disk.n_finish, 1);
	assert_int_equal(disk.size, w->size[i]);
	for (size_t at = 0; at < DISK_MAX; at += BLOCK)
		if (memcmp(disk.bytes + at, w->bytes[i] + at, BLOCK) != 0)
			fail_msg("generation %zu differs at %zu of %llu: %02x, "
				 "not %02x; %llu written, %llu zeroed",
				i, at, (unsigned long long)w->size[i],
				disk.bytes[at], w->bytes[i][at],
				(unsigned long long)disk.written,
				(unsigned long long)disk.zeroed);
}

static struct restore_image_result
restore_ok(struct world *w, size_t i, const struct restore_image_conf *conf)
{
	struct restore_image_result result = { 0 };
	struct error err = ERROR_INIT;

	must(restore(w, i, conf, &result, &err), &err);
	assert_int_equal(result.bytes, w->size[i]);
	if (!conf->dry_run)
		must_hold(w, i);
	return result;
}

/* Bytes in blocks that are not all zeroes. */
static uint64_t
bytes_of_data(const struct world *w, size_t i)
{
	static const uint8_t zeroes[BLOCK];
	uint64_t sum = 0;

	for (size_t at = 0; at < w->size[i]; at += BLOCK)
		if (memcmp(w->bytes[i] + at, zeroes, BLOCK) != 0)
			sum += BLOCK;
	return sum;
}

static void
test_new(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(4); seed++) {
		struct world w;

		world_init(&w, seed, GENERATIONS);
		for (size_t i = 0; i < w.n; i++) {
			struct restore_image_conf conf = usual_conf();
			struct restore_image_result r;

			disk_reset();
			disk_set(NULL, 0);
			disk.ordered = i % 2 == 1;
			conf.verify = true;
			conf.subpath = i == 2 ? image_path : NULL;
			conf.mark_every = seed % 2 == 0 ? MIB : 0;
			conf.workers = 1 + (unsigned)seed;
			r = restore_ok(&w, i, &conf);
			assert_int_equal(r.bytes_written, r.bytes_data);
			assert_int_equal(r.bytes_written, disk.written);
			assert_int_equal(disk.zeroed, 0);
			/* Sparse, but for parts of blocks and small holes in
			 * windows that were stored anew. */
			assert_true(r.bytes_data <=
				    2 * bytes_of_data(&w, i) + 64 * KIB);
			assert_true(r.bytes_verified >=
				    bytes_of_data(&w, i) - 2 * BLOCK);
			assert_int_equal(r.bytes_compared, 0);
		}
		world_fini(&w);
	}
}

/* Blocks in which the disk is not generation i. */
static uint64_t
bytes_unlike(const struct world *w, size_t i)
{
	uint64_t sum = 0;

	for (size_t at = 0; at < w->size[i]; at += BLOCK) {
		size_t len = w->size[i] - at < BLOCK ? w->size[i] - at : BLOCK;

		if (memcmp(disk.bytes + at, w->bytes[i] + at, len) != 0)
			sum += len;
	}
	return sum;
}

/* The disk holds generation j, and somebody wrote here and there. */
static void
set_dirty(struct world *w, size_t j, unsigned writes)
{
	disk_set(w->bytes[j], w->size[j]);
	disk_point(w->record[j], strlen(w->record[j]));
	for (unsigned i = 0; i < writes; i++) {
		uint64_t off = prng_below(&w->dice, w->size[j] - 100);

		if (i % 3 == 0)
			memset(disk.bytes + off, 0, 100);
		else
			prng_fill(&w->dice, disk.bytes + off, 100);
	}
}

static void
test_over(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(24); seed++) {
		struct restore_image_conf conf = usual_conf();
		struct restore_image_result r, dry;
		uint64_t unlike;
		struct world w;
		size_t i, j;

		world_init(&w, seed, 3);
		i = prng_below(&w.dice, w.n);
		j = prng_below(&w.dice, w.n);
		disk_reset();
		set_dirty(&w, j, seed % 4 == 0 ? 0 : 10);
		disk.no_each_data = seed % 2 == 0;
		conf.overwrite = true;
		conf.verify = seed % 3 == 0;
		/* What is cut off by another size is gone in any case. */
		if (w.size[i] < disk.size)
			memset(disk.bytes + w.size[i], 0,
				(size_t)(DISK_MAX - w.size[i]));
		unlike = bytes_unlike(&w, i);
		conf.dry_run = true;
		dry = restore_ok(&w, i, &conf);
		conf.dry_run = false;
		r = restore_ok(&w, i, &conf);
		/* Of a block that is a hole in part, only a part may differ. */
		assert_true(r.bytes_written + r.bytes_zeroed <= unlike);
		assert_int_equal(dry.bytes_written, r.bytes_written);
		assert_int_equal(dry.bytes_zeroed, r.bytes_zeroed);
		world_fini(&w);
	}
}

/* A disk that remembers a restore point is not read where neither it nor the
 * image has changed since. */
static void
test_over_known(void **state)
{
	for (uint64_t seed = 1; seed <= test_scale(24); seed++) {
		struct restore_image_conf conf = usual_conf();
		struct buf record = BUF_INIT(MIB);
		struct restore_image_result r;
		uint64_t unlike;
		struct world w;
		size_t i, j, all;

		world_init(&w, seed, 4);
		i = prng_below(&w.dice, w.n);
		j = prng_below(&w.dice, w.n);
		disk_reset();
		disk_set(w.bytes[j], w.size[j]);
		all = w.n;
		w.n = j;
		make_record(&w, &record);
		w.n = all;
		disk_point(record.data, record.len);
		prng_fill(&w.dice, disk.bytes + MIB + 5000, 3000);
		disk.grainy = seed % 2 == 0;
		conf.overwrite = true;
		if (w.size[i] < disk.size)
			memset(disk.bytes + w.size[i], 0,
				(size_t)(DISK_MAX - w.size[i]));
		unlike = bytes_unlike(&w, i);
		r = restore_ok(&w, i, &conf);
		assert_true(r.bytes_written + r.bytes_zeroed <= unlike);
		if (i == j && seed % 2 == 1)
			assert_true(r.bytes_compared <= 2 * BLOCK);
		buf_fini(&record);
		world_fini(&w);
	}
}

static void
test_each_failure(void **state)
{
	struct restore_image_conf conf = usual_conf();
	struct restore_image_result r;
	struct error err = ERROR_INIT;
	unsigned n_calls;
	struct world w;

	world_init(&w, 7, 3);
	conf.mark_every = MIB;
	conf.verify = true;
	disk_reset();
	disk_set(NULL, 0);
	(void)restore_ok(&w, 2, &conf);
	n_calls = disk.n_calls;
	assert_true(n_calls > 50);
	for (unsigned n = 1; n <= n_calls - 2;
		n += 1 + (unsigned)prng_below(&w.dice, 20)) {
		disk_reset();
		disk_set(NULL, 0);
		disk.fail_at = n;
		disk.late = n % 2 == 0;
		disk.ordered = n % 3 == 0;
		err = ERROR_INIT;
		assert_int_equal(restore(&w, 2, &conf, &r, &err), ERR_NOSPACE);
		assert_non_null(strstr(err.msg, "fails"));
		assert_int_equal(disk.n_finish, 0);
		/* The same again goes on. */
		disk_reset();
		(void)restore_ok(&w, 2, &conf);
	}
	world_fini(&w);
}

static void
test_each_death(void **state)
{
	unsigned resumed = 0;

	for (uint64_t seed = 1; seed <= test_scale(6); seed++) {
		struct restore_image_conf conf = usual_conf();
		struct restore_image_result r;
		struct error err = ERROR_INIT;
		struct world w;

		world_init(&w, seed, 3);
		conf.mark_every = 512 * KIB;
		conf.overwrite = seed % 2 == 0;
		for (unsigned n = 1; n < 8; n++) {
			uint64_t done;

			disk_reset();
			if (conf.overwrite)
				set_dirty(&w, 0, 20);
			else
				disk_set(NULL, 0);
			disk.n_points = 0;
			disk.die_at = n;
			if (restore(&w, 2, &conf, &r, &err) == ERR_OK)
				break;
			done = disk.done;
			assert_int_equal(disk.n_finish, 0);
			disk_reset();
			r = restore_ok(&w, 2, &conf);
			assert_int_equal(r.bytes_resumed, done);
			resumed += done > 0 ? 1 : 0;
			/* Another restore point does not go on with it. */
			disk.restoring = true;
			disk_reset();
			if (conf.overwrite) {
				r = restore_ok(&w, 1, &conf);
				assert_int_equal(r.bytes_resumed, 0);
			} else {
				assert_int_equal(restore(&w, 1, &conf, &r,
							 &err),
					ERR_EXISTS);
			}
		}
		world_fini(&w);
	}
	assert_true(resumed > 3);
}

static void
test_stopped(void **state)
{
	struct restore_image_conf conf = usual_conf();
	struct restore_image_result r;
	struct error err = ERROR_INIT;
	unsigned resumed = 0;
	struct world w;

	world_init(&w, 3, 3);
	conf.mark_every = MIB;
	for (unsigned n = 1; n < 200; n += 13) {
		disk_reset();
		disk_set(NULL, 0);
		disk.stop_at = n;
		w.f.stop = false;
		if (restore(&w, 2, &conf, &r, &err) == ERR_OK)
			break;
		assert_int_equal(err.code, ERR_CANCELLED);
		w.f.stop = false;
		disk_reset();
		r = restore_ok(&w, 2, &conf);
		resumed += r.bytes_resumed > 0 ? 1 : 0;
	}
	assert_true(resumed > 0);
	world_fini(&w);
}

static void
test_verify_finds(void **state)
{
	struct restore_image_conf conf = usual_conf();
	struct restore_image_result r;
	unsigned found = 0;
	struct world w;

	world_init(&w, 5, 2);
	conf.verify = true;
	for (unsigned n = 0; n < 20; n++) {
		struct error err = ERROR_INIT;
		enum err rc;

		disk_reset();
		disk_set(NULL, 0);
		disk.rot_at = 1 + prng_below(&w.dice, w.size[1] - 1);
		disk.no_mark = n % 2 == 0;
		disk.no_each_data = n % 3 == 0;
		rc = restore(&w, 1, &conf, &r, &err);
		/* Where nothing was written nothing rots. */
		if (memcmp(disk.bytes, w.bytes[1], DISK_MAX) == 0) {
			must(rc, &err);
			continue;
		}
		found++;
		assert_int_equal(rc, ERR_CORRUPT);
		assert_non_null(strstr(err.msg, "differs"));
		assert_int_equal(disk.n_finish, disk.no_mark ? 1 : 0);
	}
	assert_true(found > 5);
	world_fini(&w);
}

static void
test_dry_run(void **state)
{
	struct restore_image_conf conf = usual_conf();
	struct restore_image_result dry, r;
	struct world w;

	world_init(&w, 6, 3);
	disk_reset();
	disk_set(NULL, 0);
	conf.dry_run = true;
	dry = restore_ok(&w, 2, &conf);
	assert_int_equal(disk.n_calls, 0);
	assert_int_equal(disk.n_finish, 0);
	assert_false(disk.is_there);
	conf.dry_run = false;
	r = restore_ok(&w, 2, &conf);
	assert_int_equal(dry.bytes_written, r.bytes_written);
	assert_int_equal(dry.bytes_data, r.bytes_data);
	world_fini(&w);
}

/* An image without its parent's data: what is not its own is the parent's. */
static void
test_layer(void **state)
{
	struct restore_image_conf conf = usual_conf();
	struct restore_image_result r;
	struct error err = ERROR_INIT;
	uint8_t *parent = malloc(DISK_MAX);
	struct world w;

	assert_non_null(parent);
	world_init(&w, 8, 0);
	prng_fill(&w.dice, parent, DISK_MAX);
	w.is_clone = true;
	w.own[0] = 0x35;
	next_generation(&w);
	next_generation(&w);
	assert_int_equal(restore(&w, 1, &conf, &r, &err), ERR_USAGE);
	assert_non_null(strstr(err.msg, "pool/parent@s"));
	assert_int_equal(disk.n_open, 0);

	disk_reset();
	disk_set(parent, w.size[1]);
	disk.layers = disk_ops.layers = true;
	conf.overwrite = true;
	conf.verify = true;
	must(restore(&w, 1, &conf, &r, &err), &err);
	for (size_t at = 0; at < w.size[1]; at += BLOCK) {
		bool own = w.own[0] >> (at / MIB) & 1;

		assert_memory_equal(disk.bytes + at,
			own ? w.bytes[1] + at : parent + at, BLOCK);
	}
	disk_ops.layers = false;
	free(parent);
	world_fini(&w);
}

static void
test_refused(void **state)
{
	static const struct setting unknown = { "nothing", "x" };
	struct restore_image_conf conf = usual_conf();
	struct restore_image_result r;
	struct error err = ERROR_INIT;
	struct world w;

	world_init(&w, 9, 1);
	conf.subpath = "/images/pool/other";
	assert_int_equal(restore(&w, 0, &conf, &r, &err), ERR_NOTFOUND);
	assert_non_null(strstr(err.msg, "/images/pool/other"));
	conf.subpath = "/another";
	assert_int_equal(restore(&w, 0, &conf, &r, &err), ERR_USAGE);
	conf.subpath = NULL;
	conf.settings = (struct settings){ &unknown, 1 };
	assert_int_equal(restore(&w, 0, &conf, &r, &err), ERR_USAGE);
	conf.settings.n = 0;
	assert_int_equal(disk.n_open, 0);
	disk_set(w.bytes[0], w.size[0]);
	assert_int_equal(restore(&w, 0, &conf, &r, &err), ERR_EXISTS);
	assert_int_equal(disk.n_calls, 0);
	disk.no_read = true;
	disk_ops.read = NULL;
	conf.verify = true;
	assert_int_equal(restore(&w, 0, &conf, &r, &err), ERR_USAGE);
	world_fini(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_over),
		cmocka_unit_test(test_over_known),
		cmocka_unit_test(test_each_failure),
		cmocka_unit_test(test_each_death),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_verify_finds),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_layer),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
