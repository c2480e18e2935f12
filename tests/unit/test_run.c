/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "repo/run.h"
#include "repo/run_batch.h"
#include "repo/run_merge.h"
#include "tests/lib/packs.h"

enum { RECS = 40, RUNS_MAX = 90 };

static const struct secret key = { { 3, 1, 4 } };
static const struct run_choice all = { NULL, NULL };

/* What runs are made of. */
struct model {
	struct location *locs;
	size_t n, cap;
};

static void
model_put(struct model *m, const struct location *loc)
{
	if (m->n == m->cap) {
		m->cap = m->cap > 0 ? m->cap * 2 : 64;
		m->locs = reallocarray(m->locs, m->cap, sizeof(*m->locs));
		assert_non_null(m->locs);
	}
	m->locs[m->n++] = *loc;
}

static int
cmp_locs(const void *a, const void *b)
{
	const struct location *x = a, *y = b;
	int cmp = id_cmp(&x->rec.id, &y->rec.id);

	if (cmp == 0)
		cmp = id_cmp(&x->pack, &y->pack);
	return cmp != 0 ? cmp : (x->off > y->off) - (x->off < y->off);
}

static void
model_sort(struct model *m)
{
	if (m->n > 0)
		qsort(m->locs, m->n, sizeof(*m->locs), cmp_locs);
}

static bool
model_has(const struct model *m, const struct location *loc)
{
	const struct location *at;

	at = m->n > 0 ? bsearch(loc, m->locs, m->n, sizeof(*loc), cmp_locs)
		      : NULL;
	return at != NULL && packs_same(&at->rec, &loc->rec);
}

/* Make some ids alike in their first bytes, or wholly. */
static void
tie(struct prng *p, struct record *recs, uint32_t n, const struct id *often)
{
	for (uint32_t i = 0; i < n; i++) {
		unsigned what = (unsigned)prng_below(p, 8);

		if (what == 0)
			recs[i].id = *often;
		if (what == 1)
			memcpy(recs[i].id.b, often->b, 8);
	}
}

/* A segment with n_packs packs of up to RECS records each. */
static void
batch_fill(struct prng *p, struct run_batch *b, unsigned n_packs,
	const struct id *often, struct model *m)
{
	struct segment_ref seg = { .epoch = 0 };
	struct error err = ERROR_INIT;
	struct record recs[RECS];
	struct location loc;

	prng_fill(p, seg.id.b, ID_LEN);
	assert_int_equal(run_batch_seg(b, &seg, &err), ERR_OK);
	for (unsigned i = 0; i < n_packs; i++) {
		struct pack_info pack;

		packs_make(p, &pack, recs, (uint32_t)prng_below(p, RECS + 1));
		tie(p, recs, pack.n_records, often);
		assert_int_equal(run_batch_pack(b, &pack, &err), ERR_OK);
		loc.pack = pack.id;
		loc.off = PACK_HEADER;
		for (uint32_t k = 0; k < pack.n_records; k++) {
			loc.rec = recs[k];
			assert_int_equal(run_batch_item(b, &recs[k], loc.off,
						 &err),
				ERR_OK);
			model_put(m, &loc);
			loc.off += 100;
		}
	}
}

static int
new_file(void)
{
	int fd = memfd_create("run", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct run *
batch_run(struct prng *p, struct run_batch *b)
{
	struct error err = ERROR_INIT;
	struct uid uid;
	struct run_target to = { new_file(), &uid, &key };
	struct run *r = NULL;

	prng_fill(p, uid.b, UID_LEN);
	assert_int_equal(run_batch_write(b, &to, &err), ERR_OK);
	assert_int_equal(run_open(&r, to.fd, &uid, &key, &err), ERR_OK);
	return r;
}

static struct run *
random_run(struct prng *p, unsigned n_packs, const struct id *often,
	struct model *m)
{
	struct run_batch b = { 0 };
	struct run *r;

	batch_fill(p, &b, n_packs, often, m);
	r = batch_run(p, &b);
	run_batch_fini(&b);
	return r;
}

static enum err
find(struct run *r, const struct id *id, struct location *loc, bool *found,
	struct error *err)
{
	struct filter_key sought;
	struct run_hit hit;
	enum err rc;

	filter_key(&sought, id);
	rc = run_find(r, id, &sought, &hit, found, err);
	if (rc == ERR_OK && *found)
		*loc = hit.loc;
	return rc;
}

/* Every location of the id of m's item i is found, once and in order. */
static void
expect_all_places(struct run *r, const struct model *m, size_t i)
{
	struct error err = ERROR_INIT;
	const struct id *id = &m->locs[i].rec.id;
	struct filter_key sought;
	struct segment_ref seg;
	struct run_hit hit;
	bool found;

	while (i > 0 && id_eq(&m->locs[i - 1].rec.id, id))
		i--;
	filter_key(&sought, id);
	assert_int_equal(run_find(r, id, &sought, &hit, &found, &err), ERR_OK);
	while (i < m->n && id_eq(&m->locs[i].rec.id, id)) {
		assert_true(found);
		assert_int_equal(cmp_locs(&hit.loc, &m->locs[i]), 0);
		assert_int_equal(run_seg(r, hit.seg, &seg, &err), ERR_OK);
		assert_int_equal(run_find_next(r, &hit, &found, &err), ERR_OK);
		i++;
	}
	assert_false(found);
}

/* The run holds what the model does, neither less nor more. */
static void
expect_same(struct prng *p, struct run *r, const struct model *m)
{
	struct error err = ERROR_INIT;
	struct run_cursor c;
	struct location loc;
	struct run_pack pack;
	bool got;

	assert_int_equal(run_count(r, RUN_RECORDS), m->n);
	assert_int_equal(run_cursor_init(&c, r, &err), ERR_OK);
	for (size_t i = 0; i < m->n; i++) {
		assert_int_equal(run_cursor_next(&c, &got, &err), ERR_OK);
		assert_true(got);
		assert_int_equal(run_pack(r, c.item.pack, &pack, &err), ERR_OK);
		loc = (struct location){ pack.info.id, c.item.off, c.item.rec };
		assert_int_equal(cmp_locs(&loc, &m->locs[i]), 0);
		assert_true(packs_same(&loc.rec, &m->locs[i].rec));
		assert_int_equal(find(r, &m->locs[i].rec.id, &loc, &got, &err),
			ERR_OK);
		assert_true(got && model_has(m, &loc));
		assert_true(id_eq(&loc.rec.id, &m->locs[i].rec.id));
		if (i % 16 == 0 ||
			(i + 1 < m->n && id_eq(&m->locs[i + 1].rec.id,
						 &m->locs[i].rec.id)))
			expect_all_places(r, m, i);
	}
	assert_int_equal(run_cursor_next(&c, &got, &err), ERR_OK);
	assert_false(got);
	run_cursor_fini(&c);
	for (unsigned i = 0; i < 300; i++) {
		struct id id;

		prng_fill(p, id.b, ID_LEN);
		/* near one that is there, and at the ends */
		if (m->n > 0 && i % 3 == 0)
			memcpy(id.b, m->locs[i % m->n].rec.id.b, 12);
		if (i < 2)
			memset(id.b, i == 0 ? 0 : 0xff, ID_LEN);
		assert_int_equal(find(r, &id, &loc, &got, &err), ERR_OK);
		assert_false(got);
	}
	assert_false(run_is_bad(r));
}

static void
test_runs_hold_what_they_are_made_of(void **state)
{
	static const unsigned n_packs[] = { 0, 1, 2, 30, 400 };

	for (uint64_t seed = 1; seed <= ARRAY_LEN(n_packs); seed++) {
		struct model m = { NULL, 0, 0 };
		struct prng p;
		struct id often;
		struct run *r;

		prng_init(&p, seed);
		prng_fill(&p, often.b, ID_LEN);
		r = random_run(&p, n_packs[seed - 1], &often, &m);
		model_sort(&m);
		expect_same(&p, r, &m);
		run_unref(r);
		free(m.locs);
	}
}

static void
test_merges_hold_what_their_runs_hold(void **state)
{
	static const unsigned counts[] = { 1, 2, 5, RUNS_MAX };

	for (uint64_t seed = 1; seed <= ARRAY_LEN(counts); seed++) {
		struct run *runs[RUNS_MAX], *merged = NULL;
		struct error err = ERROR_INIT;
		struct model m = { NULL, 0, 0 };
		unsigned n = counts[seed - 1];
		struct uid uid = { { (uint8_t)seed } };
		struct run_target to = { new_file(), &uid, &key };
		struct id often;
		struct prng p;
		bool empty;

		prng_init(&p, seed);
		prng_fill(&p, often.b, ID_LEN);
		for (unsigned i = 0; i < n; i++)
			runs[i] = random_run(&p, (unsigned)prng_below(&p, 12),
				&often, &m);
		assert_int_equal(run_merge_write(runs, n, &all, &to, &empty,
					 &err),
			ERR_OK);
		assert_false(empty);
		assert_int_equal(run_open(&merged, to.fd, &uid, &key, &err),
			ERR_OK);
		assert_int_equal(run_count(merged, RUN_SEGS), n);
		model_sort(&m);
		expect_same(&p, merged, &m);
		for (unsigned i = 0; i < n; i++)
			run_unref(runs[i]);
		run_unref(merged);
		free(m.locs);
	}
}

/* Keeps the segments whose ids begin with an even byte. */
static bool
keep_even(void *arg, const struct segment_ref *seg)
{
	return seg->id.b[0] % 2 == 0;
}

static void
test_what_is_not_kept_is_left_out(void **state)
{
	const struct run_choice even = { keep_even, NULL };
	unsigned n_empty = 0;

	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct error err = ERROR_INIT;
		struct model kept = { NULL, 0, 0 }, gone = { NULL, 0, 0 };
		struct uid uid = { { (uint8_t)seed } };
		struct run_target to = { new_file(), &uid, &key };
		struct run *r, *rest = NULL;
		struct run_batch b = { 0 };
		struct id often;
		struct prng p;
		bool empty;

		prng_init(&p, seed);
		prng_fill(&p, often.b, ID_LEN);
		for (unsigned i = 0; i < 1 + seed / 2; i++) {
			struct prng look = p;

			batch_fill(&p, &b, 3, &often,
				prng_next(&look) % 2 == 0 ? &kept : &gone);
		}
		r = batch_run(&p, &b);
		run_batch_fini(&b);
		assert_int_equal(run_merge_write(&r, 1, &even, &to, &empty,
					 &err),
			ERR_OK);
		n_empty += empty;
		assert_int_equal(empty, kept.n == 0);
		if (empty) {
			(void)close(to.fd);
		} else {
			assert_int_equal(run_open(&rest, to.fd, &uid, &key,
						 &err),
				ERR_OK);
			model_sort(&kept);
			expect_same(&p, rest, &kept);
		}
		run_unref(rest);
		run_unref(r);
		free(kept.locs);
		free(gone.locs);
	}
	assert_in_range(n_empty, 1, 11);
}

/* Look everything up in a run that may be damaged: what is told is true. */
static bool
look_up_all(struct run *r, const struct model *m)
{
	struct error err = ERROR_INIT;
	struct run_cursor c;
	struct location loc;
	struct segment_ref seg;
	bool found, got = true;
	enum err rc = ERR_OK;

	for (size_t i = 0; i < m->n; i++) {
		rc = find(r, &m->locs[i].rec.id, &loc, &found, &err);
		if (rc == ERR_OK)
			assert_true(found && model_has(m, &loc));
		else
			assert_true(rc == ERR_CORRUPT && run_is_bad(r));
	}
	assert_int_equal(run_cursor_init(&c, r, &err), ERR_OK);
	for (size_t i = 0; i <= m->n && got; i++) {
		rc = run_cursor_next(&c, &got, &err);
		if (rc != ERR_OK)
			break;
		assert_int_equal(got, i < m->n);
		if (got)
			assert_true(packs_same(&c.item.rec, &m->locs[i].rec));
	}
	assert_true(rc == ERR_OK || (rc == ERR_CORRUPT && run_is_bad(r)));
	run_cursor_fini(&c);
	for (uint64_t i = 0; i < run_count(r, RUN_SEGS); i++)
		(void)!run_seg(r, i, &seg, &err);
	return !run_is_bad(r);
}

static int
copy_flipped(const uint8_t *file, size_t len, uint64_t bit)
{
	int fd = new_file();
	uint8_t byte = (uint8_t)(file[bit / 8] ^ (1u << bit % 8));

	assert_int_equal(write(fd, file, len), len);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
	return fd;
}

struct file {
	struct model m;
	struct uid uid;
	uint8_t *data;
	size_t len;
};

static void
file_make(struct file *f, uint64_t seed, unsigned n_packs)
{
	struct run_batch b = { 0 };
	struct error err = ERROR_INIT;
	struct run_target to = { new_file(), &f->uid, &key };
	struct id often;
	struct stat st;
	struct prng p;

	f->m = (struct model){ NULL, 0, 0 };
	prng_init(&p, seed);
	prng_fill(&p, f->uid.b, UID_LEN);
	prng_fill(&p, often.b, ID_LEN);
	batch_fill(&p, &b, n_packs, &often, &f->m);
	model_sort(&f->m);
	assert_int_equal(run_batch_write(&b, &to, &err), ERR_OK);
	assert_int_equal(fstat(to.fd, &st), 0);
	f->len = (size_t)st.st_size;
	f->data = malloc(f->len);
	assert_non_null(f->data);
	assert_int_equal(pread(to.fd, f->data, f->len, 0), f->len);
	(void)close(to.fd);
	run_batch_fini(&b);
}

static void
file_fini(struct file *f)
{
	free(f->m.locs);
	free(f->data);
}

/* Single bits all over a small run: nothing wrong is ever told, and all
 * of the pages are under a MAC. */
static void
test_flipped_bits_are_noticed(void **state)
{
	struct file f;
	struct prng p;

	prng_init(&p, 77);
	file_make(&f, 11, 6);
	for (size_t at = 0; at < f.len; at += 1 + prng_below(&p, 8)) {
		struct error err = ERROR_INIT;
		int fd =
			copy_flipped(f.data, f.len, at * 8 + prng_below(&p, 8));
		struct run *r = NULL;
		enum err rc = run_open(&r, fd, &f.uid, &key, &err);

		if (rc == ERR_OK)
			assert_false(look_up_all(r, &f.m));
		else
			assert_int_equal(rc, ERR_CORRUPT);
		run_unref(r);
	}
	file_fini(&f);
}

static enum err
open_copy(const struct file *f, size_t len, const struct uid *uid,
	const struct secret *k)
{
	struct error err = ERROR_INIT;
	struct run *r = NULL;
	int fd = new_file();
	enum err rc;

	assert_int_equal(ftruncate(fd, (off_t)len), 0);
	assert_true(pwrite(fd, f->data, len < f->len ? len : f->len, 0) >= 0);
	rc = run_open(&r, fd, uid, k, &err);
	run_unref(r);
	return rc;
}

static void
test_only_whole_files_under_their_own_name_open(void **state)
{
	const struct secret other = { { 3, 1, 5 } };
	struct uid uid;
	struct file f;

	file_make(&f, 12, 30);
	uid = f.uid;
	assert_int_equal(open_copy(&f, f.len, &uid, &key), ERR_OK);
	assert_int_equal(open_copy(&f, f.len, &uid, &other), ERR_CORRUPT);
	assert_int_equal(open_copy(&f, 0, &uid, &key), ERR_CORRUPT);
	assert_int_equal(open_copy(&f, 100, &uid, &key), ERR_CORRUPT);
	for (size_t len = RUN_PAGE; len < f.len; len += RUN_PAGE)
		assert_int_equal(open_copy(&f, len, &uid, &key), ERR_CORRUPT);
	assert_int_equal(open_copy(&f, f.len - 1, &uid, &key), ERR_CORRUPT);
	assert_int_equal(open_copy(&f, f.len + 1, &uid, &key), ERR_CORRUPT);
	assert_int_equal(open_copy(&f, f.len + RUN_PAGE, &uid, &key),
		ERR_CORRUPT);
	uid.b[3] ^= 1;
	assert_int_equal(open_copy(&f, f.len, &uid, &key), ERR_CORRUPT);
	file_fini(&f);
}

/* A page is genuine in its own place only. */
static void
test_swapped_pages_are_noticed(void **state)
{
	struct error err = ERROR_INIT;
	struct run *r = NULL;
	uint8_t page[RUN_PAGE];
	struct file f;
	int fd;

	file_make(&f, 13, 30);
	assert_true(f.len >= 3 * RUN_PAGE);
	memcpy(page, f.data + f.len - RUN_PAGE, RUN_PAGE);
	memcpy(f.data + f.len - RUN_PAGE, f.data + f.len - 2 * RUN_PAGE,
		RUN_PAGE);
	memcpy(f.data + f.len - 2 * RUN_PAGE, page, RUN_PAGE);
	fd = copy_flipped(f.data, f.len, 0);
	assert_int_equal(pwrite(fd, f.data, 1, 0), 1);
	assert_int_equal(run_open(&r, fd, &f.uid, &key, &err), ERR_OK);
	assert_false(look_up_all(r, &f.m));
	run_unref(r);
	file_fini(&f);
}

/* What a full disk, or a read-only file, leaves is an error and not a run. */
static void
test_failed_writes_are_told(void **state)
{
	struct error err = ERROR_INIT;
	struct model m = { NULL, 0, 0 };
	struct uid uid = { { 1 } };
	struct run_target to = { open("/dev/full", O_RDWR | O_CLOEXEC), &uid,
		&key };
	struct run_batch b = { 0 };
	struct id often = { { 9 } };
	struct run *r = NULL;
	struct prng p;

	prng_init(&p, 15);
	batch_fill(&p, &b, 100, &often, &m);
	assert_true(to.fd >= 0);
	assert_int_equal(run_batch_write(&b, &to, &err), ERR_NOSPACE);
	(void)close(to.fd);
	/* and the batch can still be written elsewhere */
	to.fd = new_file();
	assert_int_equal(run_batch_write(&b, &to, &err), ERR_OK);
	assert_int_equal(run_open(&r, to.fd, &uid, &key, &err), ERR_OK);
	model_sort(&m);
	expect_same(&p, r, &m);
	run_unref(r);
	run_batch_fini(&b);
	free(m.locs);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_hold_what_they_are_made_of),
		cmocka_unit_test(test_merges_hold_what_their_runs_hold),
		cmocka_unit_test(test_what_is_not_kept_is_left_out),
		cmocka_unit_test(test_flipped_bits_are_noticed),
		cmocka_unit_test(
			test_only_whole_files_under_their_own_name_open),
		cmocka_unit_test(test_swapped_pages_are_noticed),
		cmocka_unit_test(test_failed_writes_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
