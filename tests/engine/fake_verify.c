/* SPDX-License-Identifier: Apache-2.0 */
/* fake_verify: a snapshot beside what it has to be. */
#include <stdlib.h>

#include "engine/ingest.h"
#include "tests/engine/fake.h"
#include "tree/content.h"
#include "tree/cursor.h"

enum { PIECE = 1 << 20, VERIFY_VAL = VALUE_MAX };

struct verify {
	struct fake *f;
	struct tree_io_repo io;
	struct lane *lane;
	const struct snapshot *snap;
	uint8_t *want, *have;
	unsigned n_problems;
};

static void
verify_content(struct verify *v, const struct fake_file *file,
	const struct fake_outcome *o, const struct entry *e)
{
	struct error err = ERROR_INIT;
	struct content_view *view;
	size_t got;

	must(content_open(&view, &v->io.io, &v->snap->root, e, &err), &err);
	if (content_size(view) != o->size)
		fail_msg("%s: %llu bytes, not %llu", file->name,
			(unsigned long long)content_size(view),
			(unsigned long long)o->size);
	for (uint64_t off = 0; off < o->size; off += got) {
		must(content_read(view, off, v->have, PIECE, &got, &err), &err);
		assert_int_equal(got,
			o->size - off < PIECE ? o->size - off : PIECE);
		fake_content(file, o->seed, off, v->want, got);
		if (memcmp(v->want, v->have, got) != 0)
			fail_msg("%s: other bytes at %llu and on", file->name,
				(unsigned long long)off);
	}
	content_close(view);
}

/* The block of extended attributes of e, wherever it is kept; owned. */
static struct buf
xattrs_of(struct verify *v, const struct entry *e)
{
	struct entry kept = { .type = ENTRY_FILE,
		.content = { .kind = CONTENT_SLICES,
			.slices = e->xattr_slices } };
	struct buf block = BUF_INIT(1 << 24);
	struct error err = ERROR_INIT;
	struct content_view *view;

	must(buf_put(&block, e->xattrs.data, e->xattrs.len, &err), &err);
	if (e->xattr_slices.n == 0)
		return block;
	for (size_t i = 0; i < e->xattr_slices.n; i++)
		kept.size += e->xattr_slices.v[i].len;
	assert_true(kept.size > XATTRS_IN_TREE);
	must(content_open(&view, &v->io.io, &v->snap->root, &kept, &err), &err);
	must(buf_reserve(&block, (size_t)kept.size, &err), &err);
	must(content_read(view, 0, block.data, (size_t)kept.size, &block.len,
		     &err),
		&err);
	content_close(view);
	return block;
}

static void
verify_xattrs(struct verify *v, const struct fake_file *file,
	const struct entry *e)
{
	struct buf block = xattrs_of(v, e);
	struct error err = ERROR_INIT;
	struct bytes name, value;
	struct xattr_iter it;
	size_t len = 0;

	if (block.len > 0) {
		must(xattrs_open(&it, (struct bytes){ block.data, block.len },
			     &err),
			&err);
		for (size_t i = 0; xattrs_next(&it, &name, &value); i++) {
			len += value.len;
			assert_int_equal(value.data[value.len / 2], (uint8_t)i);
		}
	}
	assert_int_equal(len, file->xattrs_len);
	buf_fini(&block);
}

/* The first name of the same file. */
static const struct fake_file *
first_name(const struct fake *f, const struct fake_file *file)
{
	for (size_t i = 0; f->linked && file->nlink > 1 && i < f->n; i++)
		if (f->files[i]->ino == file->ino)
			return f->files[i];
	return file;
}

static void
verify_file(struct verify *v, const struct fake_file *file,
	const struct item *item)
{
	const struct fake_file *first = first_name(v->f, file);
	struct fake_outcome o = fake_outcome(first);
	struct error err = ERROR_INIT;
	unsigned marks = 0;
	struct entry e;

	entry_init(&e);
	must(entry_decode(&e, item->val.data, item->val.len, item->refs,
		     item->n_refs, &err),
		&err);
	assert_int_equal(e.type, file->type);
	assert_int_equal(item->weight, e.size);
	if (first == file) {
		marks |= o.unreadable ? MARK_UNREADABLE : 0;
		marks |= o.changed ? MARK_CHANGED : 0;
	} else {
		assert_int_equal(e.content.kind, CONTENT_LINK);
	}
	if (e.marks != marks)
		fail_msg("%s: marks %x, not %x", file->name, e.marks, marks);
	if (o.unreadable && first == file)
		assert_int_equal(e.content.kind, CONTENT_NONE);
	else if (!o.unreadable &&
		 (file->type == ENTRY_FILE || file->type == ENTRY_STREAM))
		verify_content(v, first, &o, &e);
	if (!o.unreadable && first == file)
		verify_xattrs(v, file, &e);
	entry_fini(&e);
}

static void
verify_problems(const struct fake_file *file, bool read)
{
	struct fake_outcome o = fake_outcome(file);
	unsigned wanted = read && o.unreadable;

	if (file->n_problems != wanted)
		fail_msg("%s: %u problems, not %u", file->name,
			file->n_problems, wanted);
	assert_true(file->n_closed <= 1);
}

static void
verify_all(struct verify *v)
{
	struct error err = ERROR_INIT;
	struct fake *f = v->f;
	struct cursor *c;
	struct item item;
	uint8_t room[128];

	must(cursor_open(&c, &v->io.io, TREE_ENTRIES, &v->snap->root, &err),
		&err);
	for (size_t i = 0; i < f->n; i++) {
		struct fake_file *file = f->files[i];
		struct bytes key = fake_key(file->name, room);
		bool read = file->n_opened > 0;

		verify_problems(file, read);
		v->n_problems += file->n_problems;
		if (first_name(f, file) == file && fake_outcome(file).dropped)
			continue;
		must(cursor_next(c, &item, &err), &err);
		if (item.key.data == NULL || item.key.len != key.len ||
			memcmp(item.key.data, key.data, key.len) != 0)
			fail_msg("%s is not where it belongs", file->name);
		verify_file(v, file, &item);
	}
	must(cursor_next(c, &item, &err), &err);
	assert_null(item.key.data);
	cursor_close(c);
}

void
fake_verify(struct fake *f, const struct snapshot *snap)
{
	struct verify v = { .f = f,
		.snap = snap,
		.want = malloc(PIECE),
		.have = malloc(PIECE) };

	assert_non_null(v.want);
	assert_non_null(v.have);
	v.lane = tool_lane(f->repo);
	tree_io_repo_init(&v.io, f->repo, v.lane, NULL);
	verify_all(&v);
	assert_int_equal(v.n_problems, f->n_problems);
	assert_int_equal(snap->figures.errors, f->n_problems);
	assert_int_equal(snap->flags,
		f->n_problems > 0 ? SNAPSHOT_INCOMPLETE : 0);
	lane_free(v.lane);
	free(v.want);
	free(v.have);
}

bool
fake_entry(struct fake *f, const struct snapshot *snap, const char *name,
	struct entry *e, struct buf *val)
{
	struct lane *lane = tool_lane(f->repo);
	struct error err = ERROR_INIT;
	struct tree_io_repo io;
	struct cursor *c;
	struct item item;
	uint8_t room[128];
	bool found;

	entry_init(e);
	buf_init(val, VERIFY_VAL);
	tree_io_repo_init(&io, f->repo, lane, NULL);
	must(cursor_open(&c, &io.io, TREE_ENTRIES, &snap->root, &err), &err);
	must(cursor_find(c, fake_key(name, room), &item, &found, &err), &err);
	if (found) {
		must(buf_put(val, item.val.data, item.val.len, &err), &err);
		must(entry_decode(e, val->data, val->len, item.refs,
			     item.n_refs, &err),
			&err);
	}
	cursor_close(c);
	lane_free(lane);
	return found;
}
