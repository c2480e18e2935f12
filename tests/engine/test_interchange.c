/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams of a random image come in, as files or in a container, and each
 * snapshot then goes out again, whole, and as the difference to any other:
 * what comes of it is the image that it was.  Of a stream that is cut short
 * there is no snapshot, wherever it is cut.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* Several windows of an image (tree/image.h), and nothing aligned to them. */
#define RBD_WORLD_MAX  ((size_t)5 << 20)
#define RBD_WORLD_UNIT ((size_t)4608)

#include "base/fsx.h"
#include "engine/backup.h"
#include "engine/select.h"
#include "format/rbd_apply.h"
#include "format/rbd_export.h"
#include "source/rbd_diff/src_rbd_diff.h"
#include "tests/engine/rig.h"
#include "tests/lib/rbd_world.h"
#include "view/export_rbd.h"

enum { STEPS = 5, STREAM_MAX = 32 << 20, SEEDS = 8 };

struct life {
	struct rig rig;
	struct rbd_world w;
	struct buf streams[STEPS];
	uint8_t *images[STEPS];
	size_t sizes[STEPS];
	struct snapshot snaps[STEPS];
	unsigned n; /* of them */
};

static struct life *
life_new(uint64_t seed, bool v2)
{
	struct life *l = calloc(1, sizeof(*l));

	assert_non_null(l);
	rig_init(&l->rig);
	rbd_world_init(&l->w, seed);
	for (unsigned i = 0; i < STEPS; i++) {
		rbd_world_live(&l->w);
		buf_init(&l->streams[i], STREAM_MAX);
		rbd_world_diff(&l->w, &l->streams[i], i, v2 && i + 1 == STEPS,
			v2);
		l->images[i] = malloc(RBD_WORLD_MAX);
		assert_non_null(l->images[i]);
		memcpy(l->images[i], l->w.data, RBD_WORLD_MAX);
		l->sizes[i] = l->w.size;
		snapshot_init(&l->snaps[i]);
	}
	return l;
}

static void
life_free(struct life *l)
{
	for (unsigned i = 0; i < STEPS; i++) {
		buf_fini(&l->streams[i]);
		free(l->images[i]);
		snapshot_fini(&l->snaps[i]);
	}
	rig_fini(&l->rig);
	free(l);
}

static const char *
put_file(struct life *l, const char *name, const void *data, size_t len)
{
	const char *path = rig_path(&l->rig, name);
	struct error err = ERROR_INIT;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	must(fsx_write(fd, data, len, path, &err), &err);
	fsx_close(&fd);
	return path;
}

/* ---- in ---- */

/* Every stream of the files; what was saved before a failure is there. */
static enum err
import(struct life *l, const char *const *files, size_t n_files,
	struct error *err)
{
	const struct src_rbd_diff_conf conf = { .files = files,
		.n_files = n_files,
		.image = "vol/ns/img" };
	struct backup_conf backup = { .host = "h", .workers = 2 };
	struct src_rbd_diff_item item;
	struct source *src = NULL;
	char parent[UID_HEX + 1];
	enum err rc;

	must(src_rbd_diff_open(&src, &conf, err), err);
	for (;;) {
		rc = src_rbd_diff_next(src, &item, NULL, NULL, err);
		if (rc != ERR_OK || item.file == NULL)
			break;
		if (l->n > 0) {
			hex_encode(l->snaps[l->n - 1].uid.b, UID_LEN, parent);
			backup.parent = parent;
		}
		rc = backup_run(l->rig.repo, src, &backup, &l->rig.report,
			&l->snaps[l->n], err);
		if (rc != ERR_OK)
			break;
		l->n++;
	}
	src->ops->close(src);
	return rc;
}

static void
import_files(struct life *l)
{
	struct error err = ERROR_INIT;
	const char *files[STEPS];
	char name[16];

	for (unsigned i = 0; i < STEPS; i++) {
		(void)snprintf(name, sizeof(name), "d%u", i);
		files[i] = put_file(l, name, l->streams[i].data,
			l->streams[i].len);
	}
	must(import(l, files, STEPS, &err), &err);
}

static void
import_container(struct life *l)
{
	const struct rbd_export_head head = { .order = 12, .n_diffs = STEPS };
	struct buf all = BUF_INIT(STEPS * (size_t)STREAM_MAX);
	struct error err = ERROR_INIT;
	struct rbd_out *out = NULL;
	const char *file;

	must(rbd_out_new(&out, rbd_buf_write, &all, &err), &err);
	must(rbd_export_write_head(out, &head, &err), &err);
	for (unsigned i = 0; i < STEPS; i++)
		must(rbd_out_put(out, l->streams[i].data, l->streams[i].len,
			     &err),
			&err);
	must(rbd_out_flush(out, &err), &err);
	file = put_file(l, "container", all.data, all.len);
	must(import(l, &file, 1, &err), &err);
	rbd_out_free(out);
	buf_fini(&all);
}

/* ---- out ---- */

static void
find(struct life *l, struct tree_io *io, unsigned i, struct export_image *out)
{
	struct bytes all = { NULL, 0 };
	struct error err = ERROR_INIT;

	must(export_find(out, io, &l->snaps[i].root, all, &err), &err);
	assert_int_equal(out->size, l->sizes[i]);
	assert_true(out->has_record);
}

/* The stream from one snapshot (-1: nothing) to another. */
static void export(struct life *l, int from, unsigned to, struct buf *stream)
{
	struct export_conf conf = { .workers = 2 };
	struct export_image a = { .size = 0 }, b;
	struct export_state sa = { &a, "from" }, sb = { &b, "to" };
	struct error err = ERROR_INIT;
	struct rbd_out *out = NULL;
	struct lane *lane = NULL;
	struct tree_io_repo io;

	buf_clear(stream);
	must(lane_new(&lane, l->rig.repo, &err), &err);
	tree_io_repo_init(&io, l->rig.repo, lane, NULL);
	if (from >= 0)
		find(l, &io.io, (unsigned)from, &a);
	find(l, &io.io, to, &b);
	must(rbd_out_new(&out, rbd_buf_write, stream, &err), &err);
	must(export_rbd_diff(l->rig.repo, &io.io, from >= 0 ? &sa : NULL, &sb,
		     &conf, out, &err),
		&err);
	rbd_out_free(out);
	if (from >= 0)
		export_image_fini(&a);
	export_image_fini(&b);
	lane_free(lane);
}

static void
check_stream(struct life *l, const struct buf *stream, int from, unsigned to)
{
	struct rbd_apply_figures figures = { 0 };
	uint8_t *got = malloc(RBD_WORLD_MAX + 1);
	struct error err = ERROR_INIT;
	struct rbd_diff *d = NULL;
	struct rbd_mem mem;
	struct rbd_in *in = rbd_mem_in(&mem, stream->data, stream->len, false);
	int fd = memfd_create("image", MFD_CLOEXEC);
	size_t n;

	assert_true(fd >= 0 && got != NULL);
	if (from >= 0)
		must(fsx_pwrite(fd, l->images[from], l->sizes[from], 0, "image",
			     &err),
			&err);
	must(rbd_diff_open(&d, in, RBD_DIFF_V1, &err), &err);
	must(rbd_apply(d, fd, "image", from < 0, &figures, &err), &err);
	must(fsx_pread(fd, got, RBD_WORLD_MAX + 1, 0, &n, "image", &err), &err);
	assert_int_equal(n, l->sizes[to]);
	if (memcmp(got, l->images[to], n) != 0)
		fail_msg("from %d to %u: other bytes", from, to);
	rbd_diff_close(d);
	rbd_in_free(in);
	(void)close(fd);
	free(got);
}

static void
check_all(struct life *l)
{
	struct buf stream = BUF_INIT(STREAM_MAX);

	for (unsigned to = 0; to < STEPS; to++)
		for (int from = -1; from < STEPS; from++) {
			export(l, from, to, &stream);
			check_stream(l, &stream, from, to);
		}
	buf_fini(&stream);
}

static void
test_files(void **state)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct life *l = life_new(seed, false);

		print_message("seed %llu\n", (unsigned long long)seed);
		import_files(l);
		check_all(l);
		life_free(l);
	}
}

static void
test_container(void **state)
{
	for (uint64_t seed = 100; seed < 100 + SEEDS; seed++) {
		struct life *l = life_new(seed, true);

		print_message("seed %llu\n", (unsigned long long)seed);
		import_container(l);
		/* The head is passed over where nothing was written. */
		assert_true(l->n == STEPS || l->n == STEPS - 1);
		if (l->n == STEPS)
			check_all(l);
		life_free(l);
	}
}

/* ---- what is not whole ---- */

static size_t
count(struct life *l)
{
	struct snapshot_list list = { NULL, 0 };
	struct snapshot_filter all = { 0 };
	struct error err = ERROR_INIT;
	size_t n;

	must(snapshot_list_load(&list, l->rig.repo, &all, &err), &err);
	n = list.n;
	snapshot_list_fini(&list);
	return n;
}

static void
test_cut(void **state)
{
	static const char stream[] = "rbd diff v1\nt\x02\0\0\0s1"
				     "s\0\x10\0\0\0\0\0\0"
				     "w\x10\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0"
				     "payload."
				     "z\x20\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0"
				     "e";
	struct life *l = life_new(1, false);
	size_t len = sizeof(stream) - 1;
	const char *file;

	for (size_t n = 0; n < len; n++) {
		struct error err = ERROR_INIT;

		file = put_file(l, "cut", stream, n);
		must_fail(import(l, &file, 1, &err), ERR_CORRUPT, &err,
			"at byte ");
		assert_int_equal(l->n, 0);
	}
	assert_int_equal(count(l), 0);
	file = put_file(l, "whole", stream, len);
	{
		struct error err = ERROR_INIT;

		must(import(l, &file, 1, &err), &err);
	}
	assert_int_equal(count(l), 1);
	life_free(l);
}

/* The files before it stay. */
static void
test_cut_later(void **state)
{
	struct life *l = life_new(2, false);
	struct error err = ERROR_INIT;
	const char *files[STEPS];
	char name[16];

	for (unsigned i = 0; i < STEPS; i++) {
		size_t cut = i == 3 ? 1 : 0;

		(void)snprintf(name, sizeof(name), "d%u", i);
		files[i] = put_file(l, name, l->streams[i].data,
			l->streams[i].len - cut);
	}
	must_fail(import(l, files, STEPS, &err), ERR_CORRUPT, &err,
		"without its end mark");
	assert_int_equal(l->n, 3);
	assert_int_equal(count(l), 3);
	life_free(l);
}

static void
test_gap(void **state)
{
	struct life *l = life_new(3, false);
	struct error err = ERROR_INIT;
	const char *files[2];

	files[0] = put_file(l, "d0", l->streams[0].data, l->streams[0].len);
	files[1] = put_file(l, "d2", l->streams[2].data, l->streams[2].len);
	must_fail(import(l, files, 2, &err), ERR_USAGE, &err,
		"begins at snapshot 's2', and the previous snapshot of "
		"vol/ns/img here is 's1'");
	assert_int_equal(count(l), 1);
	life_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_container),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_later),
		cmocka_unit_test(test_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
