/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry: what an entry is made of, and its encoding, field by field as in
 * docs/format.md, section 8.  The way back is in entry_decode.c.
 */
#include "model/entry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "model/fields.h"

/* A type and ten varints. */
enum { FIXED_MAX = 1 + 10 * 10 };

void
entry_init(struct entry *e)
{
	*e = (struct entry){ 0 };
}

void
entry_fini(struct entry *e)
{
	free(e->content.slices.v);
	free(e->xattr_slices.v);
	entry_init(e);
}

void
refs_fini(struct refs *r)
{
	free(r->v);
	*r = (struct refs){ 0 };
}

/* Whether b begins where a ends, so that both are one. */
static bool
continues(const struct slice *a, const struct slice *b)
{
	if (a->hole || b->hole)
		return a->hole && b->hole;
	return a->off + a->len == b->off && id_eq(&a->chunk, &b->chunk);
}

enum err
slices_add(struct slices *s, const struct slice *slice, struct error *err)
{
	uint64_t len;

	if (slice->len == 0)
		return ERR_OK;
	if (s->n > 0 && continues(&s->v[s->n - 1], slice) &&
		!__builtin_add_overflow(s->v[s->n - 1].len, slice->len, &len)) {
		s->v[s->n - 1].len = len;
		return ERR_OK;
	}
	if (s->n == s->cap) {
		size_t cap = s->cap > 0 ? 2 * s->cap : 4;
		struct slice *v = reallocarray(s->v, cap, sizeof(*v));

		if (v == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for %zu slices", cap);
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = *slice;
	return ERR_OK;
}

/*
 * Numbers references.  Few are looked for one by one; many through a table of
 * their numbers, addressed by the ids, which are uniformly distributed.
 */
struct numbering {
	struct refs *refs;
	uint32_t *table; /* number + 1, 0 where free; NULL: few */
	size_t mask;
};

enum { NUMBERING_FEW = 16 };

static enum err
numbering_init(struct numbering *nb, struct refs *refs, size_t most,
	struct error *err)
{
	size_t size = 64;

	*nb = (struct numbering){ .refs = refs };
	refs->n = 0;
	if (most <= NUMBERING_FEW)
		return ERR_OK;
	while (size < 2 * most)
		size *= 2;
	nb->table = calloc(size, sizeof(*nb->table));
	if (nb->table == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu references",
			most);
	nb->mask = size - 1;
	return ERR_OK;
}

static bool
same_ref(const struct ref *ref, const struct id *id, bool node)
{
	return ref->node == node && id_eq(&ref->id, id);
}

/* The number of the reference, or of the place behind the last one. */
static size_t
number_find(const struct numbering *nb, const struct id *id, bool node,
	size_t *slot)
{
	const struct refs *refs = nb->refs;
	size_t i;

	*slot = 0;
	if (nb->table == NULL) {
		for (i = 0; i < refs->n; i++) {
			if (same_ref(&refs->v[i], id, node))
				break;
		}
		return i;
	}
	i = (size_t)id_prefix(id) & nb->mask;
	while (nb->table[i] != 0 &&
		!same_ref(&refs->v[nb->table[i] - 1], id, node))
		i = (i + 1) & nb->mask;
	*slot = i;
	return nb->table[i] != 0 ? nb->table[i] - 1 : refs->n;
}

static enum err
number_of(struct numbering *nb, const struct id *id, bool node, size_t *number,
	struct error *err)
{
	struct refs *refs = nb->refs;
	size_t slot;

	*number = number_find(nb, id, node, &slot);
	if (*number < refs->n)
		return ERR_OK;
	if (refs->n == REFS_MAX)
		return err_set(err, ERR_NOMEM,
			"an entry has more than %d references", REFS_MAX);
	if (refs->n == refs->cap) {
		size_t cap = refs->cap > 0 ? 2 * refs->cap : 8;
		struct ref *v = reallocarray(refs->v, cap, sizeof(*v));

		if (v == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for %zu references", cap);
		refs->v = v;
		refs->cap = cap;
	}
	refs->v[refs->n++] = (struct ref){ .id = *id, .node = node };
	if (nb->table != NULL)
		nb->table[slot] = (uint32_t)refs->n;
	return ERR_OK;
}

static enum err
put_slice(struct buf *val, const struct slice *s, struct numbering *nb,
	struct error *err)
{
	size_t number = 0;
	enum err rc;

	rc = buf_put_varint(val, s->len, err);
	if (rc == ERR_OK && s->hole)
		return buf_put_varint(val, 0, err);
	if (rc == ERR_OK)
		rc = number_of(nb, &s->chunk, false, &number, err);
	if (rc == ERR_OK)
		rc = buf_put_varint(val, number + 1, err);
	return rc == ERR_OK ? buf_put_varint(val, s->off, err) : rc;
}

static enum err
put_slices(struct buf *val, const struct slices *s, struct numbering *nb,
	struct error *err)
{
	enum err rc = buf_put_varint(val, s->n, err);

	for (size_t i = 0; i < s->n && rc == ERR_OK; i++)
		rc = put_slice(val, &s->v[i], nb, err);
	return rc;
}

static enum err
put_content(struct buf *val, const struct content *c, struct numbering *nb,
	struct error *err)
{
	size_t number;
	enum err rc = buf_put_u8(val, (uint8_t)c->kind, err);

	if (rc != ERR_OK)
		return rc;
	switch (c->kind) {
	case CONTENT_NONE:
		break;
	case CONTENT_INLINE:
	case CONTENT_LINK:
		return buf_put_bytes(val, c->bytes.data, c->bytes.len, err);
	case CONTENT_SLICES:
		return put_slices(val, &c->slices, nb, err);
	case CONTENT_EXTENTS:
		rc = number_of(nb, &c->root, true, &number, err);
		return rc == ERR_OK ? buf_put_varint(val, number, err) : rc;
	}
	return rc;
}

static uint64_t
slices_len(const struct slices *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < s->n; i++)
		sum += s->v[i].len;
	return sum;
}

static unsigned
fields_of(const struct entry *e)
{
	unsigned f = 0;

	if (e->user.len > 0)
		f |= FIELD_USER;
	if (e->group.len > 0)
		f |= FIELD_GROUP;
	if (e->nlink > 1)
		f |= FIELD_NLINK;
	if (e->type == ENTRY_CHR || e->type == ENTRY_BLK)
		f |= FIELD_RDEV;
	if (e->target.len > 0)
		f |= FIELD_TARGET;
	if (e->xattrs.len > 0)
		f |= FIELD_XATTRS;
	if (e->has_flags)
		f |= FIELD_FLAGS;
	if (e->marks != 0)
		f |= FIELD_MARKS;
	if (e->content.kind != CONTENT_NONE)
		f |= FIELD_CONTENT;
	if (e->xattr_slices.n > 0)
		f |= FIELD_XATTR_SLICES;
	if (e->dev != 0)
		f |= FIELD_DEV;
	return f;
}

static size_t
varint(uint8_t *out, uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

static size_t
when(uint8_t *out, const struct when *t)
{
	uint64_t sign = t->sec < 0 ? UINT64_MAX : 0;
	size_t n = varint(out, ((uint64_t)t->sec << 1) ^ sign);

	return n + varint(out + n, t->nsec);
}

/* What each entry has, put together first: this is the hot part. */
static enum err
put_fixed(struct buf *val, const struct entry *e, unsigned fields,
	struct error *err)
{
	uint8_t raw[FIXED_MAX];
	size_t n = 0;

	raw[n++] = (uint8_t)e->type;
	n += varint(raw + n, fields);
	n += varint(raw + n, e->mode);
	n += varint(raw + n, e->uid);
	n += varint(raw + n, e->gid);
	n += when(raw + n, &e->mtime);
	n += when(raw + n, &e->ctime);
	n += varint(raw + n, e->ino);
	n += varint(raw + n, e->size);
	return buf_put(val, raw, n, err);
}

/* Bits 0 to 7. */
static enum err
put_plain(struct buf *val, const struct entry *e, unsigned fields,
	struct error *err)
{
	enum err rc = ERR_OK;

	if ((fields & FIELD_USER) != 0)
		rc = buf_put_bytes(val, e->user.data, e->user.len, err);
	if (rc == ERR_OK && (fields & FIELD_GROUP) != 0)
		rc = buf_put_bytes(val, e->group.data, e->group.len, err);
	if (rc == ERR_OK && (fields & FIELD_NLINK) != 0)
		rc = buf_put_varint(val, e->nlink, err);
	if (rc == ERR_OK && (fields & FIELD_RDEV) != 0)
		rc = buf_put_varint(val, e->major, err);
	if (rc == ERR_OK && (fields & FIELD_RDEV) != 0)
		rc = buf_put_varint(val, e->minor, err);
	if (rc == ERR_OK && (fields & FIELD_TARGET) != 0)
		rc = buf_put_bytes(val, e->target.data, e->target.len, err);
	if (rc == ERR_OK && (fields & FIELD_XATTRS) != 0)
		rc = buf_put_bytes(val, e->xattrs.data, e->xattrs.len, err);
	if (rc == ERR_OK && (fields & FIELD_FLAGS) != 0)
		rc = buf_put_varint(val, e->flags, err);
	if (rc == ERR_OK && (fields & FIELD_MARKS) != 0)
		rc = buf_put_varint(val, e->marks, err);
	return rc;
}

/* Bits 8 to 10. */
static enum err
put_stored(struct buf *val, const struct entry *e, unsigned fields,
	struct numbering *nb, struct error *err)
{
	enum err rc = ERR_OK;

	if ((fields & FIELD_CONTENT) != 0)
		rc = put_content(val, &e->content, nb, err);
	if (rc == ERR_OK && (fields & FIELD_XATTR_SLICES) != 0) {
		rc = buf_put_varint(val, slices_len(&e->xattr_slices), err);
		if (rc == ERR_OK)
			rc = put_slices(val, &e->xattr_slices, nb, err);
	}
	if (rc == ERR_OK && (fields & FIELD_DEV) != 0)
		rc = buf_put_varint(val, e->dev, err);
	return rc;
}

enum err
entry_encode(const struct entry *e, struct buf *val, struct refs *refs,
	struct error *err)
{
	size_t start = val->len;
	unsigned fields = fields_of(e);
	struct numbering nb;
	enum err rc;

	assert(e->xattrs.len == 0 || e->xattr_slices.n == 0);
	if (e->mode > MODE_MAX || e->mtime.nsec >= NSEC_END ||
		e->ctime.nsec >= NSEC_END)
		return err_set(err, ERR_USAGE,
			"an entry with an impossible mode or time");
	rc = numbering_init(&nb, refs,
		1 + e->content.slices.n + e->xattr_slices.n, err);
	if (rc != ERR_OK)
		return rc;
	rc = put_fixed(val, e, fields, err);
	if (rc == ERR_OK)
		rc = put_plain(val, e, fields, err);
	if (rc == ERR_OK)
		rc = put_stored(val, e, fields, &nb, err);
	if (rc == ERR_OK && val->len - start > VALUE_MAX)
		rc = err_set(err, ERR_NOMEM,
			"an entry takes %zu bytes: at most %d are possible",
			val->len - start, VALUE_MAX);
	if (rc != ERR_OK)
		val->len = start;
	free(nb.table);
	return rc;
}

bool
entry_unchanged(const struct entry *now, const struct entry_stamp *prev)
{
	return now->size == prev->size &&
	       when_cmp(&now->mtime, &prev->mtime) == 0 &&
	       when_cmp(&now->ctime, &prev->ctime) == 0 &&
	       now->ino == prev->ino && now->type == prev->type &&
	       (now->nlink > 1 ? now->nlink : 1) ==
		       (prev->nlink > 1 ? prev->nlink : 1) &&
	       now->marks == 0 && prev->marks == 0;
}

const char *
entry_type_name(enum entry_type t)
{
	static const char *const names[] = {
		[ENTRY_FILE] = "file",
		[ENTRY_DIR] = "dir",
		[ENTRY_SYMLINK] = "symlink",
		[ENTRY_CHR] = "chardev",
		[ENTRY_BLK] = "blockdev",
		[ENTRY_FIFO] = "fifo",
		[ENTRY_SOCKET] = "socket",
		[ENTRY_IMAGE] = "image",
		[ENTRY_STREAM] = "stream",
		[ENTRY_RECORD] = "record",
	};

	if (t < ENTRY_FILE || t > ENTRY_RECORD)
		return "unknown";
	return names[t];
}
