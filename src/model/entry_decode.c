/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry_decode: hostile bytes to an entry (docs/format.md, section 8).  One
 * reader goes straight through; it is asked at the end whether anything of
 * that can be believed, and on the way only before a count is used.
 */
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "model/entry.h"
#include "model/fields.h"
#include "model/path.h"

enum { VARINT_FAST = 8 };

/* rd_varint for the many short numbers of an entry, where no byte needs to
 * ask for the end; it decides what is no number. */
static inline uint64_t
varint(struct rd *r)
{
	const uint8_t *p = r->p;
	uint64_t v = 0;

	if (r->bad || r->end - p < VARINT_FAST)
		return rd_varint(r);
	for (unsigned shift = 0; shift < 7 * VARINT_FAST; shift += 7) {
		uint8_t b = *p++;

		v |= (uint64_t)(b & 0x7f) << shift;
		if (b >= 0x80)
			continue;
		if (b == 0 && shift > 0)
			break;
		r->p = p;
		return v;
	}
	return rd_varint(r);
}

static inline uint64_t
varint_max(struct rd *r, uint64_t max)
{
	uint64_t v = varint(r);

	if (v <= max)
		return v;
	r->bad = true;
	return 0;
}

static struct bytes
get_bytes(struct rd *r)
{
	struct bytes b;

	b.data = rd_bytes(r, VALUE_MAX, &b.len);
	return b;
}

static struct when
get_when(struct rd *r)
{
	struct when t;

	uint64_t sec = varint(r);

	t.sec = (int64_t)((sec >> 1) ^ (0 - (sec & 1)));
	t.nsec = (uint32_t)varint_max(r, NSEC_END - 1);
	return t;
}

static enum err
bad(struct error *err, const char *what)
{
	return err_set(err, ERR_CORRUPT, "entry: %s", what);
}

static enum err
too_new(struct error *err)
{
	return err_set(err, ERR_VERSION,
		"entry: a newer program wrote it, with fields that are "
		"not known here");
}

/* What begins each value. */
static uint64_t
get_start(struct rd *r, enum entry_type *type)
{
	uint8_t t = rd_u8(r);

	if (t < ENTRY_FILE || t > ENTRY_RECORD)
		r->bad = true;
	*type = (enum entry_type)t;
	return varint(r);
}

static void
skip_bytes(struct rd *r)
{
	(void)rd_raw(r, varint_max(r, VALUE_MAX));
}

enum err
entry_decode_stamp(struct entry_stamp *s, const uint8_t *val, size_t val_len,
	struct error *err)
{
	struct entry_stamp made = { .nlink = 1 };
	uint64_t fields;
	struct rd r;

	rd_init(&r, val, val_len);
	fields = get_start(&r, &made.type);
	(void)varint_max(&r, MODE_MAX);
	(void)varint_max(&r, UINT32_MAX);
	(void)varint_max(&r, UINT32_MAX);
	made.mtime = get_when(&r);
	made.ctime = get_when(&r);
	made.ino = varint(&r);
	made.size = varint(&r);
	if (rd_ok(&r) && (fields & FIELDS_REFUSED) != 0)
		return too_new(err);
	if ((fields & FIELD_USER) != 0)
		skip_bytes(&r);
	if ((fields & FIELD_GROUP) != 0)
		skip_bytes(&r);
	if ((fields & FIELD_NLINK) != 0)
		made.nlink = varint(&r);
	/* Few entries have marks, and only they need what lies between. */
	if ((fields & FIELD_MARKS) != 0) {
		if ((fields & FIELD_RDEV) != 0) {
			(void)varint_max(&r, UINT32_MAX);
			(void)varint_max(&r, UINT32_MAX);
		}
		if ((fields & FIELD_TARGET) != 0)
			skip_bytes(&r);
		if ((fields & FIELD_XATTRS) != 0)
			skip_bytes(&r);
		if ((fields & FIELD_FLAGS) != 0)
			(void)varint_max(&r, UINT32_MAX);
		made.marks = (unsigned)varint_max(&r, UINT32_MAX);
	}
	if (!rd_ok(&r))
		return bad(err, "its value is cut off or malformed");
	*s = made;
	return ERR_OK;
}

/* What references of a value may refer to. */
struct refs_in {
	const struct ref *v;
	size_t n;
};

static bool
get_slice(struct rd *r, struct slice *s, struct refs_in refs)
{
	uint64_t number;

	s->len = varint(r);
	number = varint(r);
	s->hole = number == 0;
	if (!rd_ok(r) || s->len == 0)
		return false;
	if (s->hole)
		return true;
	if (number > refs.n || refs.v[number - 1].node ||
		s->len > SLICE_END_MAX)
		return false;
	s->off = (uint32_t)varint_max(r, SLICE_END_MAX - s->len);
	s->chunk = refs.v[number - 1].id;
	return rd_ok(r);
}

/* len: what the lengths have to add up to. */
static enum err
get_slices(struct rd *r, struct slices *out, uint64_t len, struct refs_in refs,
	struct error *err)
{
	/* Each takes two bytes at least. */
	size_t n = (size_t)rd_varint_max(r, rd_left(r) / 2);
	uint64_t sum = 0;

	if (!rd_ok(r))
		return bad(err, "more slices than there is room for");
	if (n > 0) {
		out->v = calloc(n, sizeof(*out->v));
		if (out->v == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for %zu slices", n);
		out->cap = n;
	}
	for (; out->n < n; out->n++) {
		struct slice *s = &out->v[out->n];

		if (!get_slice(r, s, refs) ||
			__builtin_add_overflow(sum, s->len, &sum))
			return bad(err, "a slice that cannot be");
	}
	if (sum != len)
		return bad(err, "the slices do not add up to the size");
	return ERR_OK;
}

static bool
keeps_content(enum entry_type t)
{
	return t == ENTRY_FILE || t == ENTRY_IMAGE || t == ENTRY_STREAM ||
	       t == ENTRY_RECORD;
}

static enum err
get_link(struct rd *r, struct entry *e, struct error *err)
{
	e->content.bytes = get_bytes(r);
	if (e->type == ENTRY_DIR || e->content.bytes.len == 0 ||
		!key_ok(e->content.bytes.data, e->content.bytes.len))
		return bad(err, "a link that cannot be");
	return ERR_OK;
}

static enum err
get_content(struct rd *r, struct entry *e, struct refs_in refs,
	struct error *err)
{
	struct content *c = &e->content;
	uint8_t kind = rd_u8(r);
	uint64_t number;

	c->kind = (enum content_kind)kind;
	if (rd_ok(r) && kind == CONTENT_LINK)
		return get_link(r, e, err);
	if (!rd_ok(r) || !keeps_content(e->type))
		return bad(err, "content where none can be");
	switch (c->kind) {
	case CONTENT_INLINE:
		c->bytes = get_bytes(r);
		if (c->bytes.len != e->size)
			return bad(err, "the content has not its size");
		return ERR_OK;
	case CONTENT_SLICES:
		return get_slices(r, &c->slices, e->size, refs, err);
	case CONTENT_EXTENTS:
		number = varint(r);
		if (!rd_ok(r) || number >= refs.n || !refs.v[number].node)
			return bad(err, "a reference that cannot be");
		c->root = refs.v[number].id;
		return ERR_OK;
	case CONTENT_NONE:
	case CONTENT_LINK:
		break;
	}
	return err_set(err, ERR_VERSION,
		"entry: content of kind %u is not known here", kind);
}

static enum err
get_xattrs(struct rd *r, struct entry *e, struct error *err)
{
	struct xattr_iter it;

	e->xattrs.data = rd_bytes(r, XATTR_INLINE_MAX, &e->xattrs.len);
	return rd_ok(r) ? xattrs_open(&it, e->xattrs, err) : ERR_OK;
}

static void
get_fixed(struct rd *r, struct entry *e)
{
	e->mode = (uint32_t)varint_max(r, MODE_MAX);
	e->uid = (uint32_t)varint_max(r, UINT32_MAX);
	e->gid = (uint32_t)varint_max(r, UINT32_MAX);
	e->mtime = get_when(r);
	e->ctime = get_when(r);
	e->ino = varint(r);
	e->size = varint(r);
}

/* Bits 0 to 4. */
static void
get_names(struct rd *r, struct entry *e, unsigned fields)
{
	if ((fields & FIELD_USER) != 0)
		e->user = get_bytes(r);
	if ((fields & FIELD_GROUP) != 0)
		e->group = get_bytes(r);
	if ((fields & FIELD_NLINK) != 0)
		e->nlink = varint(r);
	if ((fields & FIELD_RDEV) != 0) {
		e->major = (uint32_t)varint_max(r, UINT32_MAX);
		e->minor = (uint32_t)varint_max(r, UINT32_MAX);
	}
	if ((fields & FIELD_TARGET) != 0)
		e->target = get_bytes(r);
}

/* Bits 5 to 10. */
static enum err
get_rest(struct rd *r, struct entry *e, unsigned fields, struct refs_in refs,
	struct error *err)
{
	enum err rc = ERR_OK;

	if ((fields & FIELD_XATTRS) != 0)
		rc = get_xattrs(r, e, err);
	if ((fields & FIELD_FLAGS) != 0) {
		e->has_flags = true;
		e->flags = (uint32_t)varint_max(r, UINT32_MAX);
	}
	if ((fields & FIELD_MARKS) != 0)
		e->marks = (unsigned)varint_max(r, UINT32_MAX);
	if (rc == ERR_OK && (fields & FIELD_CONTENT) != 0)
		rc = get_content(r, e, refs, err);
	if (rc == ERR_OK && (fields & FIELD_XATTR_SLICES) != 0)
		rc = get_slices(r, &e->xattr_slices, varint(r), refs, err);
	if ((fields & FIELD_DEV) != 0)
		e->dev = varint(r);
	return rc;
}

/* Fields that do not belong together, and a target that no link can have. */
static bool
fields_fit(const struct entry *e, unsigned fields)
{
	bool device = e->type == ENTRY_CHR || e->type == ENTRY_BLK;

	if ((fields & FIELD_RDEV) != 0 && !device)
		return false;
	if ((fields & FIELD_XATTRS) != 0 && (fields & FIELD_XATTR_SLICES) != 0)
		return false;
	if ((fields & FIELD_TARGET) == 0)
		return true;
	return e->type == ENTRY_SYMLINK && e->target.len > 0 &&
	       memchr(e->target.data, 0, e->target.len) == NULL;
}

static enum err
get_all(struct entry *e, const uint8_t *val, size_t val_len,
	struct refs_in refs, struct error *err)
{
	unsigned fields;
	uint64_t mask;
	struct rd r;
	enum err rc;

	rd_init(&r, val, val_len);
	mask = get_start(&r, &e->type);
	if (rd_ok(&r) && (mask & FIELDS_REFUSED) != 0)
		return too_new(err);
	fields = (unsigned)(mask & FIELDS_KNOWN);
	get_fixed(&r, e);
	get_names(&r, e, fields);
	if (!rd_ok(&r))
		return bad(err, "its value is cut off or malformed");
	if (!fields_fit(e, fields))
		return bad(err, "fields that it cannot have");
	rc = get_rest(&r, e, fields, refs, err);
	if (rc == ERR_OK && !rd_ok(&r))
		return bad(err, "its value is cut off or malformed");
	return rc;
}

enum err
entry_decode(struct entry *e, const uint8_t *val, size_t val_len,
	const struct ref *refs, size_t n_refs, struct error *err)
{
	struct entry made;
	enum err rc;

	if (val_len > VALUE_MAX || n_refs > REFS_MAX)
		return bad(err, "it is larger than an entry can be");
	entry_init(&made);
	rc = get_all(&made, val, val_len,
		(struct refs_in){ .v = refs, .n = n_refs }, err);
	if (rc != ERR_OK) {
		entry_fini(&made);
		return rc;
	}
	entry_fini(e);
	*e = made;
	return ERR_OK;
}
