/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node: decoding in two passes over the bytes.
 *
 * The first checks every number and records where things lie; what the second
 * needs is then known, and it only copies: keys made whole, references
 * resolved.  Prefixes and references let few bytes stand for many, so the
 * sizes of the items, not only their encoding, stay below NODE_MAX.
 */
#include "tree/node.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/rd.h"
#include "model/path.h"
#include "tree/rules.h"

enum {
	HEAD_MIN = 8,
	COUNT_MAX = NODE_MAX / 32, /* by the smallest size of an item */
	ENCODED_MIN = 4 /* bytes that an item takes at least */
};

struct rec {
	uint32_t key; /* in node.keys; after the first pass: rest, in raw */
	uint16_t key_len;
	uint16_t shared;
	union {
		struct {
			uint32_t val, val_len; /* in raw */
			uint32_t refs; /* in node.refs; first pass: in raw */
			uint32_t n_refs;
		} leaf;
		uint64_t count;
	};
	uint64_t weight;
};

struct node {
	unsigned level;
	enum tree_kind kind;
	size_t n;
	uint64_t count, weight;
	uint32_t n_nodes, n_data; /* references in the head */
	struct ref *refs; /* those of all items; keys lie behind them */
	uint8_t *keys;
	uint8_t *raw; /* head and body, behind recs */
	size_t raw_len;
	struct rec recs[];
};

/* The state of the first pass. */
struct scan {
	struct rd rd;
	struct node *node;
	const uint8_t *base; /* offset 0 of raw */
	uint64_t size, key_bytes, n_refs;
	size_t prev_len;
	const char *why; /* what is wrong */
};

static enum err
head_counts(const uint8_t *head, size_t head_len, uint32_t *n_nodes,
	uint32_t *n_data, struct error *err)
{
	uint64_t want;
	struct rd rd;

	rd_init(&rd, head, head_len);
	*n_nodes = rd_u32(&rd);
	*n_data = rd_u32(&rd);
	want = HEAD_MIN + ID_LEN * ((uint64_t)*n_nodes + *n_data);
	if (!rd_ok(&rd) || head_len > NODE_MAX || head_len != want)
		return err_set(err, ERR_CORRUPT,
			"a node's list of references is damaged");
	return ERR_OK;
}

/* Most numbers take one byte. */
static inline uint64_t
varint(struct rd *rd)
{
	if (!rd->bad && rd->p < rd->end && *rd->p < 0x80)
		return *rd->p++;
	return rd_varint(rd);
}

static inline uint64_t
varint_max(struct rd *rd, uint64_t max)
{
	uint64_t v = varint(rd);

	if (v <= max)
		return v;
	rd->bad = true;
	return 0;
}

static uint32_t
offset(const struct scan *s)
{
	return (uint32_t)(s->rd.p - s->base);
}

static bool
scan_key(struct scan *s, struct rec *rec)
{
	size_t shared = varint_max(&s->rd, s->prev_len);
	size_t len = varint_max(&s->rd, KEY_MAX - shared);

	rec->shared = (uint16_t)shared;
	rec->key_len = (uint16_t)(shared + len);
	rec->key = offset(s);
	s->key_bytes += rec->key_len;
	s->prev_len = rec->key_len;
	return rd_raw(&s->rd, len) != NULL;
}

static bool
scan_leaf(struct scan *s, struct rec *rec)
{
	uint32_t refs_end = s->node->n_nodes + s->node->n_data;
	size_t len;

	if (!scan_key(s, rec))
		return false;
	rec->leaf.n_refs = (uint32_t)varint_max(&s->rd, REFS_MAX);
	rec->leaf.refs = offset(s);
	for (uint32_t i = 0; i < rec->leaf.n_refs; i++)
		if (varint(&s->rd) >= refs_end || !rd_ok(&s->rd))
			return false;
	len = varint_max(&s->rd, VALUE_MAX);
	rec->leaf.val = offset(s);
	rec->leaf.val_len = (uint32_t)len;
	if (rd_raw(&s->rd, len) == NULL)
		return false;
	rec->weight = varint(&s->rd);
	s->n_refs += rec->leaf.n_refs;
	s->size += item_size(rec->key_len, len, rec->leaf.n_refs);
	s->node->count++;
	return rd_ok(&s->rd);
}

static bool
scan_inner(struct scan *s, struct rec *rec)
{
	if (!scan_key(s, rec))
		return false;
	rec->count = varint(&s->rd);
	rec->weight = varint(&s->rd);
	s->size += child_size(rec->key_len);
	return rec->count > 0 && rd_ok(&s->rd) &&
	       !__builtin_add_overflow(s->node->count, rec->count,
		       &s->node->count);
}

static enum err
scan_items(struct scan *s, struct error *err)
{
	struct node *n = s->node;

	for (size_t i = 0; i < n->n; i++) {
		struct rec *rec = &n->recs[i];

		if (n->level == 0 ? !scan_leaf(s, rec) : !scan_inner(s, rec))
			return err_set(err, ERR_CORRUPT,
				"a node's item %zu is damaged", i);
		if (s->size > NODE_MAX)
			return err_set(err, ERR_CORRUPT, "a node is too large");
		n->weight = weight_add(n->weight, rec->weight);
	}
	if (!rd_done(&s->rd))
		return err_set(err, ERR_CORRUPT,
			"a node has %zu bytes behind its last item",
			rd_left(&s->rd));
	return ERR_OK;
}

/*
 * Make rec's key whole behind its neighbour's.  The longest shared prefix and
 * the ascending order show in one byte.
 */
static bool
build_key(struct node *n, struct rec *rec, const struct rec *prev, size_t at)
{
	const uint8_t *rest = n->raw + rec->key;
	size_t shared = rec->shared, len = rec->key_len - shared;

	if (prev != NULL) {
		const uint8_t *before = n->keys + prev->key;

		if (len == 0 ||
			(shared < prev->key_len && rest[0] <= before[shared]))
			return false;
		memcpy(n->keys + at, before, shared);
	}
	memcpy(n->keys + at + shared, rest, len);
	rec->key = (uint32_t)at;
	return true;
}

static void
build_refs(struct node *n, struct rec *rec, size_t at)
{
	const uint8_t *ids = n->raw + HEAD_MIN;
	struct rd rd;

	rd_init(&rd, n->raw + rec->leaf.refs, n->raw_len - rec->leaf.refs);
	for (uint32_t i = 0; i < rec->leaf.n_refs; i++) {
		struct ref *ref = &n->refs[at + i];
		uint64_t number = varint(&rd);

		memcpy(ref->id.b, ids + ID_LEN * number, ID_LEN);
		ref->node = number < n->n_nodes;
	}
	rec->leaf.refs = (uint32_t)at;
}

static enum err
build_items(const struct scan *s, struct error *err)
{
	struct node *n = s->node;
	size_t refs_len = sizeof(*n->refs) * s->n_refs;
	size_t key_at = 0, ref_at = 0;

	n->refs = malloc(refs_len + s->key_bytes + 1);
	if (n->refs == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a node");
	n->keys = (uint8_t *)n->refs + refs_len;
	for (size_t i = 0; i < n->n; i++) {
		struct rec *rec = &n->recs[i];

		if (!build_key(n, rec, i > 0 ? rec - 1 : NULL, key_at))
			return err_set(err, ERR_CORRUPT,
				"a node's key %zu is not in its place", i);
		key_at += rec->key_len;
		if (n->level > 0 || rec->leaf.n_refs == 0)
			continue;
		build_refs(n, rec, ref_at);
		ref_at += rec->leaf.n_refs;
	}
	return ERR_OK;
}

/* What stands before the items. */
static enum err
scan_start(struct rd *rd, struct node *proto, struct error *err)
{
	unsigned kind;

	proto->level = rd_u8(rd);
	kind = rd_u8(rd);
	proto->n = varint_max(rd, COUNT_MAX);
	if (!rd_ok(rd) || proto->level >= TREE_LEVELS_MAX ||
		proto->n > rd_left(rd) / ENCODED_MIN ||
		(kind != TREE_ENTRIES && kind != TREE_EXTENTS))
		return err_set(err, ERR_CORRUPT, "a node's start is damaged");
	proto->kind = kind == TREE_ENTRIES ? TREE_ENTRIES : TREE_EXTENTS;
	if (proto->level == 0)
		return ERR_OK;
	if (proto->n == 0 || proto->n != proto->n_nodes || proto->n_data > 0)
		return err_set(err, ERR_CORRUPT,
			"a node's items do not match its references");
	return ERR_OK;
}

/* Room for proto.n items, and the bytes behind them. */
static struct node *
copy_of(const struct node *proto, const uint8_t *data, size_t len)
{
	size_t recs_len = sizeof(struct rec) * proto->n;
	struct node *n = malloc(sizeof(*n) + recs_len + len);

	if (n == NULL)
		return NULL;
	*n = *proto;
	n->raw = (uint8_t *)n->recs + recs_len;
	n->raw_len = len;
	memcpy(n->raw, data, len);
	return n;
}

enum err
node_decode(struct node **out, const uint8_t *data, size_t len, size_t head_len,
	struct error *err)
{
	struct node proto = { .n = 0 }, *n = NULL;
	struct scan s = { .prev_len = 0 };
	enum err rc;

	if (len > NODE_MAX || head_len > len)
		return err_set(err, ERR_CORRUPT, "a node of %zu bytes", len);
	rc = head_counts(data, head_len, &proto.n_nodes, &proto.n_data, err);
	if (rc != ERR_OK)
		goto out;
	rd_init(&s.rd, data + head_len, len - head_len);
	rc = scan_start(&s.rd, &proto, err);
	if (rc != ERR_OK)
		goto out;

	n = copy_of(&proto, data, len);
	if (n == NULL) {
		rc = err_set(err, ERR_NOMEM, "no memory for a node");
		goto out;
	}
	s.base = data;
	s.node = n;
	rc = scan_items(&s, err);
	if (rc != ERR_OK)
		goto out;
	rc = build_items(&s, err);
	if (rc != ERR_OK)
		goto out;
	*out = n;
	n = NULL;

out:
	node_free(n);
	return rc;
}

void
node_free(struct node *n)
{
	if (n == NULL)
		return;
	free(n->refs);
	free(n);
}

unsigned
node_level(const struct node *n)
{
	return n->level;
}

enum tree_kind
node_kind(const struct node *n)
{
	return n->kind;
}

size_t
node_count(const struct node *n)
{
	return n->n;
}

void
node_item(const struct node *n, size_t i, struct item *out)
{
	const struct rec *rec = &n->recs[i];

	assert(n->level == 0 && i < n->n);
	out->key.data = n->keys + rec->key;
	out->key.len = rec->key_len;
	out->val.data = n->raw + rec->leaf.val;
	out->val.len = rec->leaf.val_len;
	out->refs = n->refs + (rec->leaf.n_refs > 0 ? rec->leaf.refs : 0);
	out->n_refs = rec->leaf.n_refs;
	out->weight = rec->weight;
}

void
node_child(const struct node *n, size_t i, struct child *out)
{
	const struct rec *rec = &n->recs[i];

	assert(n->level > 0 && i < n->n);
	out->key.data = n->keys + rec->key;
	out->key.len = rec->key_len;
	memcpy(out->id.b, n->raw + HEAD_MIN + ID_LEN * i, ID_LEN);
	out->count = rec->count;
	out->weight = rec->weight;
}

uint64_t
node_items_below(const struct node *n)
{
	return n->count;
}

uint64_t
node_weight_below(const struct node *n)
{
	return n->weight;
}

size_t
node_lower_bound(const struct node *n, struct bytes key)
{
	size_t lo = 0, hi = n->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct rec *rec = &n->recs[mid];

		if (key_cmp(n->keys + rec->key, rec->key_len, key.data,
			    key.len) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct node_sort
node_sort(const uint8_t *body, size_t len)
{
	struct node_sort sort;
	struct rd rd;

	rd_init(&rd, body, len);
	sort.level = rd_u8(&rd);
	sort.kind = rd_u8(&rd);
	return sort;
}

enum err
node_each_ref(const uint8_t *head, size_t head_len, node_ref_fn *fn, void *arg,
	struct error *err)
{
	uint32_t n_nodes, n_data;
	enum err rc;

	rc = head_counts(head, head_len, &n_nodes, &n_data, err);
	if (rc != ERR_OK)
		return rc;
	for (size_t i = 0; i < (size_t)n_nodes + n_data; i++) {
		struct ref ref;

		memcpy(ref.id.b, head + HEAD_MIN + ID_LEN * i, ID_LEN);
		ref.node = i < n_nodes;
		rc = fn(arg, &ref, err);
		if (rc != ERR_OK)
			return rc;
	}
	return ERR_OK;
}
