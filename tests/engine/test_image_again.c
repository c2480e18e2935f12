/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A content that is an edit of what the previous snapshot has under its name,
 * whatever kind that is: what it reads as, what it costs, and when it is not
 * begun.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/engine/fake.h"
#include "tests/lib/scale.h"
#include "tree/content.h"

#define WRITER_PASS ((struct pass){ "writer", 6 })

enum { KIB = 1 << 10, MIB = 1 << 20, ROOM = 16 * MIB };

/* How the content comes where it cannot be an edit. */
enum whole { AS_STREAM, AS_ENTRY, AS_IMAGE };

struct model;

struct model_origin {
	struct origin base; /* comes first */
	struct model *m;
};

struct model {
	struct fake f;
	struct model_origin origin;
	struct prng dice;
	uint8_t *bytes, *old; /* ROOM */
	uint64_t size, old_size;
	struct entry was, is;
	enum whole whole;
	bool same; /* nothing changes */
	bool fails; /* halfway */
	bool begun; /* it came to be an edit */
	uint64_t put; /* bytes given as new */
	const char *user;
};

static enum err
read_origin(const struct origin *o, uint64_t off, void *data, size_t len,
	struct error *err)
{
	const struct model *m =
		((const struct model_origin *)(const void *)o)->m;

	assert_true(off <= m->size && len <= m->size - off);
	memcpy(data, m->bytes + off, len);
	return ERR_OK;
}

static struct bytes
image_key(void)
{
	return (struct bytes){ (const uint8_t *)"image", 5 };
}

/* Of bytes, which hold the old content, the new one is made and given. */
static enum err
give_edits(struct model *m, struct sink *sink, struct error *err)
{
	uint64_t off = 0, old = 0, len;
	enum err rc = ERR_OK;

	if (m->same)
		return sink->ops->image_take(sink, 0, 0, m->size, err);
	while (rc == ERR_OK && off < m->size) {
		bool takes = prng_below(&m->dice, 2) == 0 && old < m->old_size;

		len = 1 + prng_below(&m->dice, takes ? 20000 : 100);
		len = len < m->size - off ? len : m->size - off;
		if (takes && len > m->old_size - old)
			len = m->old_size - old;
		if (takes) {
			memcpy(m->bytes + off, m->old + old, len);
			rc = sink->ops->image_take(sink, off, old, len, err);
			old += len;
		} else {
			prng_fill(&m->dice, m->bytes + off, len);
			m->put += len;
			rc = sink->ops->image_replace(sink, off, m->bytes + off,
				len, err);
		}
		off += len;
		/* Something goes. */
		if (prng_below(&m->dice, 4) == 0 && m->old_size - old > 300)
			old += prng_below(&m->dice, 300);
		if (m->fails && off > m->size / 2)
			return err_set(err, ERR_IO, "the image broke");
	}
	return rc;
}

static enum err
give_whole(struct model *m, struct sink *sink, struct error *err)
{
	const struct sink_ops *ops = sink->ops;
	const struct bytes none = { 0 };
	struct entry e = m->is;
	enum err rc = ERR_OK;

	m->put = m->size;
	if (m->whole == AS_ENTRY) {
		e.content.kind = CONTENT_INLINE;
		e.content.bytes = (struct bytes){ m->bytes, m->size };
		return ops->entry(sink, image_key(), &e, err);
	}
	if (m->whole == AS_IMAGE) {
		rc = ops->image_begin(sink, image_key(), &e, none, NULL, err);
		if (rc == ERR_OK)
			rc = ops->image_replace(sink, 0, m->bytes, m->size,
				err);
		return rc == ERR_OK ? ops->image_end(sink, err) : rc;
	}
	rc = ops->stream_begin(sink, image_key(), &e, err);
	for (uint64_t off = 0; off < m->size && rc == ERR_OK; off += MIB)
		rc = ops->stream_write(sink, m->bytes + off,
			m->size - off < MIB ? m->size - off : MIB, err);
	return rc == ERR_OK ? ops->stream_end(sink, err) : rc;
}

static enum err
capture(struct fake *f, struct sink *sink, struct error *err)
{
	struct model *m = f->capture_arg;
	bool done;
	enum err rc;

	m->put = 0;
	rc = sink->ops->offer(sink, image_key(), &m->is, &done, err);
	assert_false(rc == ERR_OK && done);
	m->begun = true;
	if (rc == ERR_OK)
		rc = sink->ops->image_again(sink, image_key(), &m->is, &m->was,
			&m->origin.base, &m->begun, err);
	if (rc != ERR_OK)
		return rc;
	if (!m->begun)
		return give_whole(m, sink, err);
	rc = give_edits(m, sink, err);
	return rc == ERR_OK ? sink->ops->image_end(sink, err) : rc;
}

static void
model_init(struct model *m, uint64_t size, uint64_t seed, bool small)
{
	memset(m, 0, sizeof(*m));
	fake_init(&m->f, small);
	m->f.capture = capture;
	m->f.capture_arg = m;
	m->origin = (struct model_origin){ { read_origin }, m };
	prng_init(&m->dice, seed);
	m->bytes = malloc(ROOM);
	m->old = malloc(ROOM);
	assert_true(m->bytes != NULL && m->old != NULL);
	prng_fill(&m->dice, m->bytes, (size_t)size);
	m->size = size;
	entry_init(&m->is);
	m->is.type = ENTRY_STREAM;
	m->is.size = size;
	m->is.mtime = (struct when){ 1000000000, 5 };
	m->is.ino = 7;
	m->is.user = (struct bytes){ (const uint8_t *)"owner", 5 };
	m->was = m->is;
}

static void
model_fini(struct model *m)
{
	fake_fini(&m->f);
	free(m->bytes);
	free(m->old);
}

/* What comes next is an edit of what is there. */
static void
next_version(struct model *m, uint64_t size)
{
	memcpy(m->old, m->bytes, ROOM);
	m->old_size = m->size;
	m->was = m->is;
	m->size = m->is.size = size;
	m->is.mtime.sec++;
	m->is.ino++;
}

static void
reads_as_wanted(struct model *m, const struct snapshot *snap,
	enum content_kind kind)
{
	struct lane *lane = tool_lane(m->f.repo);
	struct error err = ERROR_INIT;
	uint8_t *have = malloc(ROOM);
	struct content_view *v;
	struct tree_io_repo io;
	struct entry e;
	struct buf val;
	size_t got;

	assert_non_null(have);
	tree_io_repo_init(&io, m->f.repo, lane, NULL);
	assert_true(fake_entry(&m->f, snap, "image", &e, &val));
	assert_int_equal(e.content.kind, kind);
	assert_int_equal(e.type, ENTRY_STREAM);
	assert_int_equal(e.ino, m->is.ino);
	assert_memory_equal(e.user.data, "owner", 5);
	must(content_open(&v, &io.io, &snap->root, &e, &err), &err);
	must(content_read(v, 0, have, ROOM, &got, &err), &err);
	assert_int_equal(got, m->size);
	assert_true(memcmp(have, m->bytes, got) == 0);
	content_close(v);
	entry_fini(&e);
	buf_fini(&val);
	lane_free(lane);
	free(have);
}

static void
take(struct model *m, enum content_kind kind)
{
	struct snapshot snap;

	snapshot_init(&snap);
	fake_backup_ok(&m->f, &snap);
	reads_as_wanted(m, &snap, kind);
	assert_int_equal(snap.figures.bytes_read, m->put);
	snapshot_fini(&snap);
}

/* ---- the tests ---- */

/* From slices, from an upload's extents, and from an image's. */
static void
generations(uint64_t seed, uint64_t size, bool small, enum whole whole,
	enum content_kind kind)
{
	struct model m;

	print_message("seed %llu\n", (unsigned long long)seed);
	model_init(&m, size, seed, small);
	m.whole = whole;
	take(&m, kind);
	assert_false(m.begun);
	for (uint64_t i = 0; i < test_scale(8) + 1; i++) {
		next_version(&m, m.size + prng_below(&m.dice, MIB) - MIB / 2);
		take(&m, CONTENT_EXTENTS);
		assert_true(m.begun);
		assert_true(m.put < m.size / 4);
	}
	model_fini(&m);
}

static void
test_generations(void **state)
{
	generations(1, 5 * MIB, false, AS_STREAM, CONTENT_SLICES);
	generations(2, 5 * MIB, true, AS_STREAM, CONTENT_EXTENTS);
	generations(3, 5 * MIB, false, AS_IMAGE, CONTENT_EXTENTS);
}

/* An edit that changes nothing. */
static void
test_unchanged(void **state)
{
	for (unsigned small = 0; small < 2; small++) {
		struct snapshot snap;
		struct model m;

		model_init(&m, 5 * MIB, 4, small == 1);
		take(&m, small == 1 ? CONTENT_EXTENTS : CONTENT_SLICES);
		for (unsigned i = 0; i < 2; i++) {
			next_version(&m, m.size);
			m.same = true;
			m.f.progress.bytes_done = 0;
			snapshot_init(&snap);
			fake_backup_ok(&m.f, &snap);
			assert_true(m.begun);
			reads_as_wanted(&m, &snap, CONTENT_EXTENTS);
			assert_int_equal(snap.figures.bytes_read, 0);
			assert_in_range(snap.figures.bytes_added, 1, 2 * KIB);
			assert_int_equal(m.f.progress.bytes_done, m.size);
			snapshot_fini(&snap);
		}
		model_fini(&m);
	}
}

/* What is there is not what the source takes it for. */
static void
test_was_another(void **state)
{
	enum { SIZE, SECONDS, NANOSECONDS, INODE, CASES };

	for (unsigned i = 0; i < CASES; i++) {
		struct model m;

		model_init(&m, MIB + 10, i, false);
		take(&m, CONTENT_SLICES);
		next_version(&m, m.size);
		m.was.size -= i == SIZE;
		m.was.mtime.sec += i == SECONDS;
		m.was.mtime.nsec -= i == NANOSECONDS;
		m.was.ino -= i == INODE;
		take(&m, CONTENT_SLICES);
		assert_false(m.begun);
		next_version(&m, m.size);
		take(&m, CONTENT_EXTENTS);
		assert_true(m.begun);
		model_fini(&m);
	}
}

/* What lies in the tree itself is as quickly given anew. */
static void
test_was_inline(void **state)
{
	static const uint64_t sizes[] = { 0, 100 };

	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		struct model m;

		model_init(&m, sizes[i], i, true);
		m.whole = sizes[i] > 0 ? AS_ENTRY : AS_STREAM;
		for (unsigned k = 0; k < 2; k++) {
			struct snapshot snap;

			snapshot_init(&snap);
			fake_backup_ok(&m.f, &snap);
			assert_false(m.begun);
			snapshot_fini(&snap);
			next_version(&m, m.size);
		}
		model_fini(&m);
	}
}

/* One that was being written to, or could not be read, is no base. */
static void
test_was_marked(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct fake_file *file;
		struct snapshot snap;
		struct model m;

		model_init(&m, MIB, i, false);
		m.f.capture = NULL;
		file = fake_add(&m.f, "image", MIB);
		if (i == 0)
			file->trouble.changes = FAKE_ATTEMPTS;
		else
			file->trouble.open_code = ERR_IO;
		snapshot_init(&snap);
		fake_backup_ok(&m.f, &snap);
		fake_verify(&m.f, &snap);
		snapshot_fini(&snap);
		m.was.size = file->size;
		m.was.mtime = file->time;
		m.was.ino = file->ino;
		m.f.capture = capture;
		take(&m, CONTENT_SLICES);
		assert_false(m.begun);
		model_fini(&m);
	}
}

/* The same with no troubles: a file may be a base. */
static void
test_was_a_file(void **state)
{
	struct fake_file *file;
	struct snapshot snap;
	struct model m;

	model_init(&m, MIB, 1, false);
	m.f.capture = NULL;
	file = fake_add(&m.f, "image", MIB);
	snapshot_init(&snap);
	fake_backup_ok(&m.f, &snap);
	snapshot_fini(&snap);
	fake_content(file, file->seed, 0, m.bytes, MIB);
	m.is.size = file->size;
	m.is.mtime = file->time;
	m.is.ino = file->ino;
	next_version(&m, MIB + 5000);
	m.f.capture = capture;
	take(&m, CONTENT_EXTENTS);
	assert_true(m.begun);
	model_fini(&m);
}

/* One that breaks halfway leaves nothing that the next would be built upon. */
static void
test_broken(void **state)
{
	struct error err = ERROR_INIT;
	struct snapshot snap;
	struct model m;

	model_init(&m, 5 * MIB, 6, false);
	take(&m, CONTENT_SLICES);
	next_version(&m, m.size);
	m.fails = true;
	snapshot_init(&snap);
	assert_int_equal(fake_backup(&m.f, NULL, &snap, &err), ERR_IO);
	assert_string_equal(err.msg, "the image broke");
	assert_true(m.begun);
	m.fails = false;
	fake_reopen(&m.f, NULL);
	take(&m, CONTENT_EXTENTS);
	assert_true(m.begun);
	model_fini(&m);
}

/* ---- a key that cannot read ---- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void
take_as_writer(struct model *m, const char *cache, enum content_kind kind)
{
	struct repo_conf conf = { .pass = WRITER_PASS, .cache_root = cache };
	struct repo *admin = m->f.repo;
	struct error err = ERROR_INIT;
	struct snapshot snap;

	snapshot_init(&snap);
	must(repo_open(&m->f.repo, m->f.st, &conf, &err), &err);
	must(fake_backup(&m->f, NULL, &snap, &err), &err);
	repo_close(m->f.repo);
	m->f.repo = admin;
	fake_reopen(&m->f, NULL);
	reads_as_wanted(m, &snap, kind);
	snapshot_fini(&snap);
}

/* Nodes of contents are in its cache where the source edits trees; else, and
 * without a cache, everything is given anew. */
static void
test_as_writer(void **state)
{
	struct source_ops ops;
	char dir[64];
	struct model m;

	(void)snprintf(dir, sizeof(dir), "/tmp/coffer-again-XXXXXX");
	assert_non_null(mkdtemp(dir));
	model_init(&m, 5 * MIB, 7, true);
	tool_add_key(m.f.st, m.f.repo, ROLE_WRITER, WRITER_PASS);
	ops = *m.f.base.ops;
	m.f.base.ops = &ops;
	for (unsigned edits = 0; edits < 2; edits++) {
		ops.caps.change_map = edits == 1;
		take_as_writer(&m, dir, CONTENT_EXTENTS);
		for (unsigned i = 0; i < 4; i++) {
			next_version(&m, m.size + 1000);
			take_as_writer(&m, dir, CONTENT_EXTENTS);
			assert_int_equal(m.begun, edits == 1);
		}
		next_version(&m, m.size);
		take_as_writer(&m, NULL, CONTENT_EXTENTS);
		assert_false(m.begun);
		next_version(&m, m.size);
	}
	model_fini(&m);
	(void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_generations),
		cmocka_unit_test(test_unchanged),
		cmocka_unit_test(test_was_another),
		cmocka_unit_test(test_was_inline),
		cmocka_unit_test(test_was_marked),
		cmocka_unit_test(test_was_a_file),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_as_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
