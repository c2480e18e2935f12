/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "model/entry.h"
#include "tests/lib/prng.h"

enum { ROUNDS = 2000, OUT_MAX = 1 << 20, TEXT_MAX = 64 };

static struct error err;

/* What a random entry borrows its strings from. */
struct pantry {
	uint8_t text[6][TEXT_MAX];
	struct buf xattrs;
};

static uint64_t
random_number(struct prng *p)
{
	return prng_next(p) >> prng_below(p, 64);
}

static struct bytes
random_bytes(struct prng *p, uint8_t *out)
{
	size_t len = prng_below(p, 3) == 0 ? 0 : prng_below(p, TEXT_MAX);

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)('a' + prng_below(p, 26));
	return (struct bytes){ .data = out, .len = len };
}

/* Some chunks are used several times, also by slices that continue. */
static uint64_t
random_slices(struct prng *p, struct slices *s)
{
	uint64_t n = prng_below(p, prng_below(p, 8) == 0 ? 300 : 12), sum = 0;

	for (uint64_t i = 0; i < n; i++) {
		struct slice one = { .len = 1 + prng_below(p, 1 << 20),
			.hole = prng_below(p, 5) == 0 };

		if (!one.hole) {
			one.off = (uint32_t)prng_below(p,
				(16 << 20) - one.len + 1);
			one.chunk.b[0] = (uint8_t)prng_below(p, 4);
			one.chunk.b[7] = (uint8_t)prng_below(p, 64);
		}
		sum += one.len;
		assert_int_equal(slices_add(s, &one, &err), ERR_OK);
	}
	return sum;
}

static void
random_content(struct prng *p, struct entry *e, struct pantry *from)
{
	switch (prng_below(p, 5)) {
	case 0:
		e->content.kind = CONTENT_INLINE;
		e->content.bytes = random_bytes(p, from->text[4]);
		e->size = e->content.bytes.len;
		break;
	case 1:
		e->content.kind = CONTENT_SLICES;
		e->size = random_slices(p, &e->content.slices);
		break;
	case 2:
		e->content.kind = CONTENT_EXTENTS;
		e->content.root.b[0] = (uint8_t)prng_below(p, 4);
		break;
	case 3:
		e->content.kind = CONTENT_LINK;
		e->content.bytes = random_bytes(p, from->text[4]);
		if (e->content.bytes.len == 0)
			e->content.kind = CONTENT_NONE;
		break;
	default:
		break;
	}
}

static void
random_xattrs(struct prng *p, struct pantry *from)
{
	struct bytes names[3], values[3];
	uint8_t name[3][4] = { { 'a' }, { 'b' }, { 'c' } };
	size_t n = prng_below(p, 4);

	for (size_t i = 0; i < n; i++) {
		names[i] = (struct bytes){ name[i], 1 };
		values[i] = random_bytes(p, from->text[5]);
	}
	buf_clear(&from->xattrs);
	assert_int_equal(xattrs_encode(&from->xattrs, names, values, n, &err),
		ERR_OK);
}

static void
random_entry(struct prng *p, struct entry *e, struct pantry *from)
{
	entry_init(e);
	e->type = (enum entry_type)(1 + prng_below(p, 10));
	e->mode = (uint32_t)prng_below(p, 010000);
	e->uid = (uint32_t)prng_next(p);
	e->gid = (uint32_t)random_number(p);
	e->mtime = (struct when){ (int64_t)prng_next(p),
		(uint32_t)prng_below(p, 1000000000) };
	e->ctime = (struct when){ (int64_t)random_number(p), 0 };
	e->ino = random_number(p);
	e->size = random_number(p);
	e->user = random_bytes(p, from->text[0]);
	e->group = random_bytes(p, from->text[1]);
	e->nlink = prng_below(p, 4);
	e->dev = prng_below(p, 2) == 0 ? random_number(p) : 0;
	e->has_flags = prng_below(p, 2) == 0;
	e->flags = e->has_flags ? (uint32_t)prng_next(p) : 0;
	e->marks = prng_below(p, 4) == 0 ? (unsigned)prng_below(p, 8) : 0;
	if (prng_below(p, 3) == 0) {
		random_xattrs(p, from);
		e->xattrs =
			(struct bytes){ from->xattrs.data, from->xattrs.len };
	} else if (prng_below(p, 4) == 0) {
		(void)random_slices(p, &e->xattr_slices);
	}
	if (e->type == ENTRY_CHR || e->type == ENTRY_BLK) {
		e->major = (uint32_t)prng_next(p);
		e->minor = (uint32_t)random_number(p);
	} else if (e->type == ENTRY_SYMLINK) {
		e->target = random_bytes(p, from->text[2]);
	} else if (e->type == ENTRY_FILE || e->type >= ENTRY_IMAGE) {
		random_content(p, e, from);
	}
}

static void
same_bytes(struct bytes a, struct bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len > 0)
		assert_memory_equal(a.data, b.data, a.len);
}

static void
same_slices(const struct slices *a, const struct slices *b)
{
	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++) {
		assert_int_equal(a->v[i].len, b->v[i].len);
		assert_int_equal(a->v[i].hole, b->v[i].hole);
		assert_int_equal(a->v[i].off, b->v[i].off);
		assert_true(id_eq(&a->v[i].chunk, &b->v[i].chunk));
	}
}

static void
same_entry(const struct entry *a, const struct entry *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(when_cmp(&a->mtime, &b->mtime), 0);
	assert_int_equal(when_cmp(&a->ctime, &b->ctime), 0);
	assert_int_equal(a->ino, b->ino);
	assert_int_equal(a->size, b->size);
	same_bytes(a->user, b->user);
	same_bytes(a->group, b->group);
	assert_int_equal(a->nlink > 1 ? a->nlink : 0,
		b->nlink > 1 ? b->nlink : 0);
	assert_int_equal(a->dev, b->dev);
	assert_int_equal(a->major, b->major);
	assert_int_equal(a->minor, b->minor);
	same_bytes(a->target, b->target);
	same_bytes(a->xattrs, b->xattrs);
	same_slices(&a->xattr_slices, &b->xattr_slices);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->has_flags, b->has_flags);
	assert_int_equal(a->marks, b->marks);
	assert_int_equal(a->content.kind, b->content.kind);
	same_bytes(a->content.bytes, b->content.bytes);
	same_slices(&a->content.slices, &b->content.slices);
	assert_true(id_eq(&a->content.root, &b->content.root));
}

static void
no_ref_twice(const struct refs *refs)
{
	for (size_t i = 0; i < refs->n; i++) {
		for (size_t k = 0; k < i; k++)
			assert_false(id_eq(&refs->v[i].id, &refs->v[k].id) &&
				     refs->v[i].node == refs->v[k].node);
	}
}

static void
stamp_agrees(const struct entry *e, const struct buf *val)
{
	struct entry_stamp s;

	assert_int_equal(entry_decode_stamp(&s, val->data, val->len, &err),
		ERR_OK);
	assert_int_equal(s.type, e->type);
	assert_int_equal(s.marks, e->marks);
	assert_int_equal(entry_unchanged(e, &s), e->marks == 0);
	s.marks = e->marks == 0 ? MARK_FRESH : 0;
	assert_false(entry_unchanged(e, &s));
}

static void
round_trip(void **state)
{
	struct buf val = BUF_INIT(OUT_MAX);
	struct pantry from = { .xattrs = BUF_INIT(OUT_MAX) };
	struct refs refs = { 0 };
	struct entry a, b;
	struct prng p;

	prng_init(&p, 31);
	entry_init(&b);
	for (int i = 0; i < ROUNDS; i++) {
		random_entry(&p, &a, &from);
		buf_clear(&val);
		assert_int_equal(entry_encode(&a, &val, &refs, &err), ERR_OK);
		no_ref_twice(&refs);
		assert_int_equal(entry_decode(&b, val.data, val.len, refs.v,
					 refs.n, &err),
			ERR_OK);
		same_entry(&a, &b);
		stamp_agrees(&a, &val);
		entry_fini(&a);
	}
	entry_fini(&b);
	refs_fini(&refs);
	buf_fini(&val);
	buf_fini(&from.xattrs);
}

/* Property: of damaged values, those that are accepted are entries: they can
 * be encoded, and that gives them back. */
static void
damage(void **state)
{
	struct buf val = BUF_INIT(OUT_MAX), again = BUF_INIT(OUT_MAX);
	struct pantry from = { .xattrs = BUF_INIT(OUT_MAX) };
	struct refs refs = { 0 }, refs2 = { 0 };
	unsigned refused = 0;
	struct entry a, b;
	struct prng p;

	prng_init(&p, 32);
	entry_init(&b);
	for (int i = 0; i < ROUNDS; i++) {
		random_entry(&p, &a, &from);
		buf_clear(&val);
		buf_clear(&again);
		assert_int_equal(entry_encode(&a, &val, &refs, &err), ERR_OK);
		entry_fini(&a);
		if (prng_below(&p, 2) == 0)
			val.len = prng_below(&p, val.len);
		else
			val.data[prng_below(&p, val.len)] ^=
				(uint8_t)(1u << prng_below(&p, 8));
		if (entry_decode(&b, val.data, val.len, refs.v, refs.n, &err) !=
			ERR_OK) {
			assert_true(err.code == ERR_CORRUPT ||
				    err.code == ERR_VERSION);
			refused++;
			continue;
		}
		assert_int_equal(entry_encode(&b, &again, &refs2, &err),
			ERR_OK);
		assert_int_equal(entry_decode(&a, again.data, again.len,
					 refs2.v, refs2.n, &err),
			ERR_OK);
		same_entry(&a, &b);
		entry_fini(&a);
	}
	assert_in_range(refused, ROUNDS / 4, ROUNDS * 3 / 4);
	entry_fini(&b);
	refs_fini(&refs);
	refs_fini(&refs2);
	buf_fini(&val);
	buf_fini(&again);
	buf_fini(&from.xattrs);
}

static enum err
decode_file(const void *tail, size_t len, uint64_t fields, uint64_t size,
	const struct ref *ref)
{
	struct buf val = BUF_INIT(OUT_MAX);
	struct entry e;
	enum err rc;

	entry_init(&e);
	assert_int_equal(buf_put_u8(&val, ENTRY_FILE, &err), ERR_OK);
	assert_int_equal(buf_put_varint(&val, fields, &err), ERR_OK);
	assert_int_equal(buf_put_zero(&val, 8, &err), ERR_OK);
	assert_int_equal(buf_put_varint(&val, size, &err), ERR_OK);
	assert_int_equal(buf_put(&val, tail, len, &err), ERR_OK);
	rc = entry_decode(&e, val.data, val.len, ref, ref != NULL, &err);
	entry_fini(&e);
	buf_fini(&val);
	return rc;
}

static void
hostile_values(void **state)
{
	static const uint8_t huge_hole[] = { 2, 2, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 1, 0, 2, 0 };
	const struct ref data = { .node = false }, node = { .node = true };
	const uint64_t bit = 1;

	assert_int_equal(decode_file("", 0, 0, 5, NULL), ERR_OK);
	/* A field to be known, one to be passed over, and a tail. */
	assert_int_equal(decode_file("", 0, bit << 23, 5, NULL), ERR_VERSION);
	assert_int_equal(decode_file("tail", 4, bit << 24, 5, NULL), ERR_OK);
	assert_int_equal(decode_file("", 0, bit << 63, 5, NULL), ERR_OK);
	/* Inline of another size; a count without room; sums that wrap. */
	assert_int_equal(decode_file("\1\2ab", 4, 256, 2, NULL), ERR_OK);
	assert_int_equal(decode_file("\1\2ab", 4, 256, 3, NULL), ERR_CORRUPT);
	assert_int_equal(decode_file("\2\x7f", 2, 256, 0, NULL), ERR_CORRUPT);
	assert_int_equal(decode_file(huge_hole, sizeof(huge_hole), 256, 1,
				 NULL),
		ERR_CORRUPT);
	/* One slice: of reference 1, at its largest offset, and behind. */
	assert_int_equal(decode_file("\2\1\1\1\xff\xff\xff\7", 8, 256, 1,
				 &data),
		ERR_OK);
	assert_int_equal(decode_file("\2\1\2\1\xff\xff\xff\7", 8, 256, 2,
				 &data),
		ERR_CORRUPT);
	assert_int_equal(decode_file("\2\1\1\2\0", 5, 256, 1, &data),
		ERR_CORRUPT);
	assert_int_equal(decode_file("\2\1\1\1\0", 5, 256, 1, &node),
		ERR_CORRUPT);
	assert_int_equal(decode_file("\2\1\0\0", 4, 256, 0, &data),
		ERR_CORRUPT);
	assert_int_equal(decode_file("\3\0", 2, 256, 9, &node), ERR_OK);
	assert_int_equal(decode_file("\3\0", 2, 256, 9, &data), ERR_CORRUPT);
	/* Links: to a name that a restore must not follow. */
	assert_int_equal(decode_file("\4\3a\0b", 5, 256, 9, NULL), ERR_OK);
	assert_int_equal(decode_file("\4\4a\0..", 6, 256, 9, NULL),
		ERR_CORRUPT);
	assert_int_equal(decode_file("\4\0", 2, 256, 9, NULL), ERR_CORRUPT);
	assert_int_equal(decode_file("\5\0", 2, 256, 9, NULL), ERR_VERSION);
	/* A target or a device number of a file. */
	assert_int_equal(decode_file("\1a", 2, 16, 0, NULL), ERR_CORRUPT);
	assert_int_equal(decode_file("\0\0", 2, 8, 0, NULL), ERR_CORRUPT);
}

static void
xattr_blocks(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool good;
	} cases[] = {
		{ "\0", 1, true },
		{ "", 0, false },
		{ "\0x", 2, false },
		{ "\2\1a\0\1b\1v", 8, true },
		{ "\2\1b\0\1a\0", 7, false },
		{ "\2\1a\0\1a\0", 7, false },
		{ "\1\0\0", 3, false },
		{ "\1\2a\0\0", 5, false },
		{ "\2\1a\0", 4, false },
		{ "\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 10, false },
	};
	struct bytes name, value;
	struct xattr_iter it;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct bytes b = { (const uint8_t *)cases[i].bytes,
			cases[i].len };

		assert_int_equal(xattrs_open(&it, b, &err),
			cases[i].good ? ERR_OK : ERR_CORRUPT);
	}
	assert_int_equal(xattrs_open(&it,
				 (struct bytes){
					 (const uint8_t *)cases[3].bytes, 8 },
				 &err),
		ERR_OK);
	assert_true(xattrs_next(&it, &name, &value));
	assert_memory_equal(name.data, "a", 1);
	assert_int_equal(value.len, 0);
	assert_true(xattrs_next(&it, &name, &value));
	assert_memory_equal(name.data, "b", 1);
	assert_memory_equal(value.data, "v", 1);
	assert_false(xattrs_next(&it, &name, &value));
}

static void
what_does_not_fit_is_refused(void **state)
{
	struct buf val = BUF_INIT(OUT_MAX);
	struct refs refs = { 0 };
	struct slice one = { .len = 1 };
	struct entry e;

	entry_init(&e);
	e.type = ENTRY_FILE;
	e.content.kind = CONTENT_SLICES;
	for (uint32_t i = 0; i < 30000; i++) {
		memcpy(one.chunk.b, &i, sizeof(i));
		assert_int_equal(slices_add(&e.content.slices, &one, &err),
			ERR_OK);
	}
	e.size = 30000;
	assert_int_equal(entry_encode(&e, &val, &refs, &err), ERR_NOMEM);
	assert_int_equal(val.len, 0);
	e.mtime.nsec = 1000000000;
	assert_int_equal(entry_encode(&e, &val, &refs, &err), ERR_USAGE);
	entry_fini(&e);
	refs_fini(&refs);
	buf_fini(&val);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(damage),
		cmocka_unit_test(hostile_values),
		cmocka_unit_test(xattr_blocks),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
