/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft: items are encoded as they come, except for the numbers of their
 * references: nodes are numbered first, so those of chunks are known only
 * when the node ends.  draft_encode then puts them between.
 */
#include "tree/draft.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "model/path.h"
#include "tree/rules.h"

enum {
	VARINT_LEN = 10,
	TWO_VARINTS = 2 * VARINT_LEN,
	SLOTS_MIN = 512, /* a node of small files refers to fewer */
	START_MAX = 2 + VARINT_LEN,
	NUMBER_LEN = 3, /* of a reference; REFS_ALL are fewer than 2^21 */
	/* What fits into one node: the rule ends it behind the item that
	 * passes NODE_CUT_MAX. */
	REFS_ALL = NODE_CUT_MAX / ID_LEN + REFS_MAX,
	REFS_ALL_LEN = ID_LEN * REFS_ALL
};

_Static_assert(REFS_ALL < 1 << 21, "NUMBER_LEN");

/* The references of one leaf item belong behind so many bytes of items. */
struct mark {
	uint32_t at, n;
};

static uint8_t *
put_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *
put_raw(uint8_t *p, const uint8_t *data, size_t len)
{
	if (len > 0)
		memcpy(p, data, len);
	return p + len;
}

static size_t
shared_prefix(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t max = a_len < b_len ? a_len : b_len, i = 0;

	for (; i + 8 <= max; i += 8) {
		uint64_t x, y;

		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y)
			break;
	}
	while (i < max && a[i] == b[i])
		i++;
	return i;
}

static void
ref_set_init(struct ref_set *s)
{
	*s = (struct ref_set){ .nodes = BUF_INIT(REFS_ALL_LEN),
		.data = BUF_INIT(REFS_ALL_LEN) };
	random_bytes(s->key.b, sizeof(s->key.b));
}

static void
ref_set_fini(struct ref_set *s)
{
	buf_fini(&s->nodes);
	buf_fini(&s->data);
	free(s->slots);
}

static void
ref_set_clear(struct ref_set *s)
{
	buf_clear(&s->nodes);
	buf_clear(&s->data);
	s->mask = 0;
}

/* The slot that holds ref, or the free one where it belongs. */
static uint32_t *
ref_set_slot(const struct ref_set *s, const struct ref *ref)
{
	const struct buf *ids = ref->node ? &s->nodes : &s->data;
	size_t i = shorthash(&s->key, ref->id.b, ID_LEN) & s->mask;

	for (;; i = (i + 1) & s->mask) {
		uint32_t v = s->slots[i] - 1;

		if (s->slots[i] == 0)
			return &s->slots[i];
		if ((v & 1) == (ref->node ? 1 : 0) &&
			memcmp(ids->data + (size_t)(v >> 1) * ID_LEN, ref->id.b,
				ID_LEN) == 0)
			return &s->slots[i];
	}
}

static void
ref_set_fill(struct ref_set *s, bool nodes)
{
	const struct buf *ids = nodes ? &s->nodes : &s->data;
	struct ref ref = { .node = nodes };

	for (uint32_t i = 0; i < ids->len / ID_LEN; i++) {
		memcpy(ref.id.b, ids->data + (size_t)i * ID_LEN, ID_LEN);
		*ref_set_slot(s, &ref) = 1 + i * 2 + (nodes ? 1 : 0);
	}
}

/* Room for one more, at most half full. */
static enum err
ref_set_grow(struct ref_set *s, struct error *err)
{
	size_t n = (s->nodes.len + s->data.len) / ID_LEN;
	size_t slots = s->mask == 0 ? SLOTS_MIN : 2 * (s->mask + 1);
	uint32_t *mem;

	if (s->mask != 0 && n < s->mask / 2)
		return ERR_OK;
	if (slots > s->cap) {
		mem = realloc(s->slots, slots * sizeof(*mem));
		if (mem == NULL)
			return err_set(err, ERR_NOMEM,
				"no memory for %zu references", slots);
		s->slots = mem;
		s->cap = slots;
	}
	s->mask = slots - 1;
	memset(s->slots, 0, slots * sizeof(*s->slots));
	ref_set_fill(s, true);
	ref_set_fill(s, false);
	return ERR_OK;
}

static enum err
ref_set_add(struct ref_set *s, const struct ref *ref, uint32_t *number,
	struct error *err)
{
	struct buf *ids = ref->node ? &s->nodes : &s->data;
	uint32_t *slot;
	enum err rc;

	rc = ref_set_grow(s, err);
	if (rc != ERR_OK)
		return rc;
	slot = ref_set_slot(s, ref);
	if (*slot == 0) {
		uint32_t i = (uint32_t)(ids->len / ID_LEN);

		rc = buf_put(ids, ref->id.b, ID_LEN, err);
		if (rc != ERR_OK)
			return rc;
		*slot = 1 + i * 2 + (ref->node ? 1 : 0);
	}
	*number = *slot - 1;
	return ERR_OK;
}

void
draft_init(struct draft *d, enum tree_kind kind, unsigned level)
{
	*d = (struct draft){ .level = level,
		.kind = kind,
		.last = BUF_INIT(1 + KEY_MAX),
		.first = BUF_INIT(KEY_MAX),
		.items = BUF_INIT(NODE_MAX),
		.marks = BUF_INIT(NODE_MAX),
		.numbers = BUF_INIT(NODE_MAX) };
	ref_set_init(&d->refs);
}

void
draft_fini(struct draft *d)
{
	buf_fini(&d->last);
	buf_fini(&d->first);
	buf_fini(&d->items);
	buf_fini(&d->marks);
	buf_fini(&d->numbers);
	ref_set_fini(&d->refs);
}

void
draft_reset(struct draft *d)
{
	d->n = 0;
	d->size = d->count = d->weight = 0;
	buf_clear(&d->first);
	buf_clear(&d->items);
	buf_clear(&d->marks);
	buf_clear(&d->numbers);
	ref_set_clear(&d->refs);
}

/* Make key the last one; *shared is what it has in common with the one
 * before. */
static enum err
move_last(struct draft *d, struct bytes key, size_t *shared, struct error *err)
{
	static const uint8_t none[1];
	const uint8_t *last = d->has_last ? d->last.data + 1 : none;
	size_t last_len = d->has_last ? d->last.len - 1 : 0;
	enum err rc;

	if (key.len == 0)
		key.data = none;
	*shared = shared_prefix(last, last_len, key.data, key.len);
	if (d->has_last && (*shared == key.len ||
				   (*shared < last_len &&
					   key.data[*shared] < last[*shared])))
		return err_set(err, ERR_CORRUPT,
			"the items of a tree are not in order");
	d->last.len = d->has_last ? 1 + *shared : 0;
	rc = buf_reserve(&d->last, 1 + key.len - d->last.len, err);
	if (rc != ERR_OK)
		return rc;
	d->last.data[0] = (uint8_t)d->level;
	d->last.len = 1 + key.len;
	put_raw(d->last.data + 1 + *shared, key.data + *shared,
		key.len - *shared);
	d->has_last = true;
	return ERR_OK;
}

/* Begin an item: room for extra bytes beside its key, and the key. */
static enum err
put_key(struct draft *d, struct bytes key, size_t extra, struct error *err)
{
	size_t shared;
	uint8_t *p;
	enum err rc;

	if (key.len > KEY_MAX)
		return err_set(err, ERR_USAGE,
			"a key of %zu bytes is longer than %d", key.len,
			KEY_MAX);
	rc = move_last(d, key, &shared, err);
	if (rc != ERR_OK)
		return rc;
	if (d->n == 0) {
		shared = 0;
		rc = buf_put(&d->first, key.data, key.len, err);
		if (rc != ERR_OK)
			return rc;
	}
	rc = buf_reserve(&d->items, TWO_VARINTS + key.len + extra, err);
	if (rc != ERR_OK)
		return rc;
	p = d->items.data + d->items.len;
	p = put_varint(p, shared);
	p = put_varint(p, key.len - shared);
	p = put_raw(p, d->last.data + 1 + shared, key.len - shared);
	d->items.len = (size_t)(p - d->items.data);
	return ERR_OK;
}

static enum err
put_refs(struct draft *d, const struct item *item, struct error *err)
{
	struct mark mark = { (uint32_t)d->items.len, (uint32_t)item->n_refs };
	enum err rc;

	rc = buf_put(&d->marks, &mark, sizeof(mark), err);
	for (size_t i = 0; rc == ERR_OK && i < item->n_refs; i++) {
		uint32_t number;

		rc = ref_set_add(&d->refs, &item->refs[i], &number, err);
		if (rc == ERR_OK)
			rc = buf_put(&d->numbers, &number, sizeof(number), err);
	}
	return rc;
}

static void
account(struct draft *d, uint64_t size, uint64_t count, uint64_t weight)
{
	d->n++;
	d->last_size = size;
	d->size += size;
	d->count += count;
	d->weight = weight_add(d->weight, weight);
}

enum err
draft_put_item(struct draft *d, const struct item *item, struct error *err)
{
	uint8_t *p;
	enum err rc;

	assert(d->level == 0);
	if (item->val.len > VALUE_MAX || item->n_refs > REFS_MAX)
		return err_set(err, ERR_USAGE,
			"an item of %zu bytes and %zu references is too large "
			"for a tree",
			item->val.len, item->n_refs);
	rc = put_key(d, item->key, TWO_VARINTS + item->val.len, err);
	if (rc != ERR_OK)
		return rc;
	rc = put_refs(d, item, err);
	if (rc != ERR_OK)
		return rc;
	p = d->items.data + d->items.len;
	p = put_varint(p, item->val.len);
	p = put_raw(p, item->val.data, item->val.len);
	p = put_varint(p, item->weight);
	d->items.len = (size_t)(p - d->items.data);
	account(d, item_size(item->key.len, item->val.len, item->n_refs), 1,
		item->weight);
	return ERR_OK;
}

enum err
draft_put_child(struct draft *d, const struct child *child, struct error *err)
{
	uint8_t *p;
	enum err rc;

	assert(d->level > 0);
	rc = put_key(d, child->key, TWO_VARINTS, err);
	if (rc != ERR_OK)
		return rc;
	rc = buf_put(&d->refs.nodes, child->id.b, ID_LEN, err);
	if (rc != ERR_OK)
		return rc;
	p = d->items.data + d->items.len;
	p = put_varint(p, child->count);
	p = put_varint(p, child->weight);
	d->items.len = (size_t)(p - d->items.data);
	account(d, child_size(child->key.len), child->count, child->weight);
	return ERR_OK;
}

enum err
draft_skip(struct draft *d, struct bytes key, struct error *err)
{
	size_t shared;

	assert(d->n == 0);
	return move_last(d, key, &shared, err);
}

bool
draft_ended(const struct draft *d, const struct shorthash_key *boundary)
{
	/* 2^64 / NODE_CUT_TARGET */
	const uint64_t unit = UINT64_C(1) << 49;
	uint64_t below;

	_Static_assert(NODE_CUT_TARGET == 1 << 15, "unit");
	/* A level of nodes with one item each would be as long as the one
	 * below: keys of 32 KiB and more would make a tree without an end. */
	if (d->size < NODE_CUT_MIN || (d->level > 0 && d->n < 2))
		return false;
	if (d->size >= NODE_CUT_MAX)
		return true;
	if (__builtin_mul_overflow(unit, d->last_size, &below))
		below = UINT64_MAX;
	return shorthash(boundary, d->last.data, d->last.len) < below;
}

static enum err
encode_head(const struct draft *d, struct buf *head, struct error *err)
{
	const struct ref_set *r = &d->refs;
	enum err rc;

	buf_clear(head);
	rc = buf_put_u32(head, (uint32_t)(r->nodes.len / ID_LEN), err);
	if (rc == ERR_OK)
		rc = buf_put_u32(head, (uint32_t)(r->data.len / ID_LEN), err);
	if (rc == ERR_OK)
		rc = buf_put(head, r->nodes.data, r->nodes.len, err);
	if (rc == ERR_OK)
		rc = buf_put(head, r->data.data, r->data.len, err);
	return rc;
}

/* The items, with their references put in at each mark; the end of it. */
static uint8_t *
encode_items(const struct draft *d, uint8_t *p)
{
	uint32_t n_nodes = (uint32_t)(d->refs.nodes.len / ID_LEN);
	const uint8_t *number = d->numbers.data;
	size_t done = 0;

	if (d->n == 0)
		return p;
	for (size_t i = 0; i < d->marks.len; i += sizeof(struct mark)) {
		struct mark m;

		memcpy(&m, d->marks.data + i, sizeof(m));
		p = put_raw(p, d->items.data + done, m.at - done);
		done = m.at;
		p = put_varint(p, m.n);
		for (uint32_t k = 0; k < m.n; k++) {
			uint32_t v;

			memcpy(&v, number, sizeof(v));
			number += sizeof(v);
			p = put_varint(p,
				(v >> 1) + ((v & 1) != 0 ? 0 : n_nodes));
		}
	}
	return put_raw(p, d->items.data + done, d->items.len - done);
}

enum err
draft_encode(const struct draft *d, struct buf *head, struct buf *body,
	struct node_bytes *out, struct error *err)
{
	size_t n_marks = d->marks.len / sizeof(struct mark);
	size_t n_numbers = d->numbers.len / sizeof(uint32_t);
	uint8_t *p;
	enum err rc;

	rc = encode_head(d, head, err);
	if (rc != ERR_OK)
		return rc;
	buf_clear(body);
	rc = buf_reserve(body,
		START_MAX + d->items.len + NUMBER_LEN * (n_marks + n_numbers),
		err);
	if (rc != ERR_OK)
		return rc;
	p = body->data;
	*p++ = (uint8_t)d->level;
	*p++ = (uint8_t)d->kind;
	p = put_varint(p, d->n);
	p = encode_items(d, p);
	body->len = (size_t)(p - body->data);
	*out = (struct node_bytes){ .head = head->data,
		.head_len = head->len,
		.body = body->data,
		.body_len = body->len };
	return ERR_OK;
}
