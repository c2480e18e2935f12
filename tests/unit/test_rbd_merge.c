/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of random edits, applied one after the other or merged in any groups
 * and then applied, give the image that was edited; streams that do not follow
 * each other are refused by the names of their snapshots.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fsx.h"
#include "format/rbd_apply.h"
#include "format/rbd_merge.h"
#include "tests/lib/rbd_world.h"

enum { STEPS = 6, STREAM_MAX = 1 << 20 };

/* A life: its streams, and the image after each of them. */
struct life {
	struct rbd_world w;
	struct buf diffs[STEPS];
	uint8_t *images[STEPS];
	size_t sizes[STEPS];
};

static struct life *
life_new(uint64_t seed)
{
	struct life *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	rbd_world_init(&l->w, seed);
	for (unsigned i = 0; i < STEPS; i++) {
		rbd_world_live(&l->w);
		buf_init(&l->diffs[i], STREAM_MAX);
		rbd_world_diff(&l->w, &l->diffs[i], i, false, false);
		l->images[i] = malloc(RBD_WORLD_MAX);
		assert_non_null(l->images[i]);
		memcpy(l->images[i], l->w.data, RBD_WORLD_MAX);
		l->sizes[i] = l->w.size;
	}
	return l;
}

static void
life_free(struct life *l)
{
	for (unsigned i = 0; i < STEPS; i++) {
		buf_fini(&l->diffs[i]);
		free(l->images[i]);
	}
	free(l);
}

static enum err
apply(const struct buf *stream, int fd, bool blank, struct error *err)
{
	struct rbd_apply_figures figures = { 0 };
	struct rbd_diff *d = NULL;
	struct rbd_mem mem;
	struct rbd_in *in = rbd_mem_in(&mem, stream->data, stream->len, false);
	enum err rc = rbd_diff_open(&d, in, RBD_DIFF_V1, err);

	if (rc == ERR_OK)
		rc = rbd_apply(d, fd, "image", blank, &figures, err);
	rbd_diff_close(d);
	rbd_in_free(in);
	return rc;
}

static void
check_image(const struct life *l, unsigned i, int fd)
{
	uint8_t *got = malloc(RBD_WORLD_MAX + 1);
	struct error err = ERROR_INIT;
	size_t n;

	assert_non_null(got);
	must(fsx_pread(fd, got, RBD_WORLD_MAX + 1, 0, &n, "image", &err), &err);
	assert_int_equal(n, l->sizes[i]);
	assert_memory_equal(got, l->images[i], n);
	free(got);
}

/* Streams first .. last of the life as one. */
static enum err
merge(const struct life *l, unsigned first, unsigned last, struct buf *to,
	struct error *err)
{
	struct rbd_merge_part parts[STEPS];
	struct rbd_merge_figures figures;
	struct rbd_diff *diffs[STEPS] = { NULL };
	struct rbd_in *ins[STEPS];
	struct rbd_mem mems[STEPS];
	struct rbd_out *out = NULL;
	unsigned n = last - first + 1;
	enum err rc = ERR_OK;

	buf_clear(to);
	must(rbd_out_new(&out, rbd_buf_write, to, err), err);
	for (unsigned i = 0; i < n; i++) {
		const struct buf *b = &l->diffs[first + i];

		ins[i] = rbd_mem_in(&mems[i], b->data, b->len, i % 2 == 0);
		if (rc == ERR_OK)
			rc = rbd_diff_open(&diffs[i], ins[i], RBD_DIFF_V1, err);
		parts[i] = (struct rbd_merge_part){ diffs[i], "a part" };
	}
	if (rc == ERR_OK)
		rc = rbd_merge(parts, n, out, &figures, err);
	for (unsigned i = 0; i < n; i++) {
		rbd_diff_close(diffs[i]);
		rbd_in_free(ins[i]);
	}
	rbd_out_free(out);
	return rc;
}

static void
test_apply(void **state)
{
	struct error err = ERROR_INIT;

	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct life *l = life_new(seed);
		int fd = memfd_create("image", MFD_CLOEXEC);

		assert_true(fd >= 0);
		for (unsigned i = 0; i < STEPS; i++) {
			must(apply(&l->diffs[i], fd, i == 0, &err), &err);
			check_image(l, i, fd);
		}
		/* A chain that was applied in part is applied once more. */
		for (unsigned i = 0; i < STEPS; i++)
			must(apply(&l->diffs[i], fd, false, &err), &err);
		check_image(l, STEPS - 1, fd);
		(void)close(fd);
		life_free(l);
	}
}

/* Cut the chain into groups at random, merge each, apply what comes out. */
static void
merge_and_apply(struct life *l, uint64_t seed)
{
	struct buf merged = BUF_INIT(STREAM_MAX);
	struct error err = ERROR_INIT;
	int fd = memfd_create("image", MFD_CLOEXEC);
	unsigned last;

	assert_true(fd >= 0);
	for (unsigned first = 0; first < STEPS; first = last + 1) {
		last = first + (unsigned)prng_below(&l->w.p, STEPS - first);
		must(merge(l, first, last, &merged, &err), &err);
		must(apply(&merged, fd, first == 0, &err), &err);
		check_image(l, last, fd);
	}
	(void)close(fd);
	buf_fini(&merged);
}

static void
test_merge(void **state)
{
	for (uint64_t seed = 1; seed <= 150; seed++) {
		struct life *l = life_new(seed);

		merge_and_apply(l, seed);
		life_free(l);
	}
}

static void
test_wrong_order(void **state)
{
	struct life *l = life_new(3);
	struct buf to = BUF_INIT(STREAM_MAX), gone = l->diffs[1];
	struct error err = ERROR_INIT;

	l->diffs[1] = l->diffs[0];
	assert_int_equal(merge(l, 0, 1, &to, &err), ERR_USAGE);
	assert_non_null(strstr(err.msg, "'s1'"));
	l->diffs[1] = l->diffs[2];
	assert_int_equal(merge(l, 0, 1, &to, &err), ERR_USAGE);
	assert_non_null(strstr(err.msg, "ends at snapshot 's1'"));
	assert_non_null(strstr(err.msg, "begins at snapshot 's2'"));
	assert_int_equal(to.len, 0);
	l->diffs[1] = gone;
	life_free(l);
	buf_fini(&to);
}

/* Whatever part is cut short, there is no merge, and its name is told. */
static void
test_truncated_part(void **state)
{
	struct life *l = life_new(5);
	struct buf to = BUF_INIT(STREAM_MAX);

	for (unsigned i = 0; i < STEPS; i++) {
		struct error err = ERROR_INIT;
		size_t cut = 1 + prng_below(&l->w.p, l->diffs[i].len / 2);

		l->diffs[i].len -= cut;
		assert_int_equal(merge(l, 0, STEPS - 1, &to, &err),
			ERR_CORRUPT);
		assert_non_null(strstr(err.msg, "at byte "));
		l->diffs[i].len += cut;
	}
	life_free(l);
	buf_fini(&to);
}

/* Zeroes take no room in a new file, whichever way they are told. */
static void
test_sparse(void **state)
{
	struct buf b = BUF_INIT(STREAM_MAX);
	struct error err = ERROR_INIT;
	int fd = memfd_create("image", MFD_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	must(buf_put(&b, "rbd diff v1\ns", 13, &err), &err);
	must(buf_put_u64(&b, 1 << 30, &err), &err);
	must(buf_put_u8(&b, 'w', &err), &err);
	must(buf_put_u64(&b, 4096, &err), &err);
	must(buf_put_u64(&b, 256 << 10, &err), &err);
	must(buf_put_zero(&b, 256 << 10, &err), &err);
	must(buf_put_u8(&b, 'e', &err), &err);
	for (int blank = 1; blank >= 0; blank--) {
		must(apply(&b, fd, blank, &err), &err);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(st.st_size, 1 << 30);
		assert_int_equal(st.st_blocks, 0);
		must(fsx_pwrite(fd, "data", 4, 8192, "image", &err), &err);
	}
	(void)close(fd);
	buf_fini(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_merge),
		cmocka_unit_test(test_wrong_order),
		cmocka_unit_test(test_truncated_part),
		cmocka_unit_test(test_sparse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
