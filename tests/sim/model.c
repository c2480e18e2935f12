/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/model.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tree/cursor.h"
#include "tree/edit.h"

enum { KEY_ROOM = 8 };

static uint8_t chunks[MODEL_CHUNKS][MODEL_CHUNK_MAX];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static uint64_t
mix(uint64_t a, uint64_t b, uint64_t c)
{
	struct prng p;

	prng_init(&p, a * 1000003 + b * 1009 + c);
	return prng_next(&p);
}

static size_t
chunk_len(unsigned n)
{
	return 200 + mix(1, n, 0) % (MODEL_CHUNK_MAX - 200);
}

static void
fill_chunks(void)
{
	struct prng p;

	for (unsigned n = 0; n < MODEL_CHUNKS; n++) {
		prng_init(&p, mix(2, n, 0));
		prng_fill(&p, chunks[n], chunk_len(n));
	}
}

const uint8_t *
model_chunk(unsigned n, size_t *len)
{
	(void)pthread_once(&filled, fill_chunks);
	*len = chunk_len(n);
	return chunks[n];
}

static struct bytes
key_of(unsigned k, char room[KEY_ROOM])
{
	int n = snprintf(room, KEY_ROOM, "k%03u", k);

	return (struct bytes){ (const uint8_t *)room, (size_t)n };
}

/* Long enough that a tree has several leaves, and quick to compress. */
static size_t
value_of(unsigned k, unsigned version, uint8_t room[MODEL_VALUE_MAX])
{
	uint64_t z = mix(3, k, version);
	size_t len = 1500 + z % (MODEL_VALUE_MAX - 1500);

	memset(room, (int)(z >> 32 & 0xff), len);
	memcpy(room, &z, sizeof(z));
	return len;
}

/* The chunks that an entry refers to. */
static size_t
refs_of(unsigned k, unsigned version, unsigned out[MODEL_REFS])
{
	size_t n = 1 + mix(4, k, version) % MODEL_REFS;

	for (size_t i = 0; i < n; i++)
		out[i] = (unsigned)(mix(5 + i, k, version) % MODEL_CHUNKS);
	return n;
}

void
model_random(struct model *m, struct prng *dice)
{
	struct prng p;

	prng_init(&p, mix(9, prng_below(dice, MODEL_PROFILES), 0));
	memset(m, 0, sizeof(*m));
	for (unsigned k = 0; k < MODEL_KEYS; k++)
		if (prng_below(&p, 3) > 0)
			m->version[k] =
				(uint8_t)(1 + prng_below(&p, MODEL_VERSIONS));
}

void
model_change(struct model *m, struct prng *dice)
{
	for (uint64_t n = 1 + prng_below(dice, 4); n > 0; n--)
		m->version[prng_below(dice, MODEL_KEYS)] =
			(uint8_t)prng_below(dice, MODEL_VERSIONS + 1);
}

struct making {
	struct tree_io *io;
	char key[KEY_ROOM];
	uint8_t value[MODEL_VALUE_MAX];
	struct ref refs[MODEL_REFS];
	struct item item;
};

/* Store the chunks of an entry and describe it. */
static enum err
make_item(struct making *mk, unsigned k, unsigned version, struct error *err)
{
	unsigned numbers[MODEL_REFS];
	size_t n = refs_of(k, version, numbers);
	enum err rc = ERR_OK;

	for (size_t i = 0; i < n && rc == ERR_OK; i++) {
		size_t len;
		const uint8_t *data = model_chunk(numbers[i], &len);
		struct ticket t;

		rc = mk->io->ops->put_data(mk->io, data, len, &t, err);
		if (rc == ERR_OK)
			rc = ticket_wait(&t, err);
		mk->refs[i] = (struct ref){ .id = t.id };
	}
	mk->item = (struct item){
		.key = key_of(k, mk->key),
		.val = { mk->value, value_of(k, version, mk->value) },
		.refs = mk->refs,
		.n_refs = n,
		.weight = k,
	};
	return rc;
}

static enum err
build_new(const struct model *m, struct making *mk, struct id *root,
	struct error *err)
{
	struct builder *b = NULL;
	struct tree_root made;
	enum err rc = builder_new(&b, mk->io, TREE_ENTRIES, err);

	for (unsigned k = 0; k < MODEL_KEYS && rc == ERR_OK; k++) {
		if (m->version[k] == 0)
			continue;
		rc = make_item(mk, k, m->version[k], err);
		if (rc == ERR_OK)
			rc = builder_add(b, &mk->item, err);
	}
	if (rc == ERR_OK)
		rc = builder_finish(b, &made, err);
	if (rc == ERR_OK)
		*root = made.id;
	builder_free(b);
	return rc;
}

static enum err
change_entry(const struct model *m, struct making *mk, struct edit *e,
	unsigned k, struct error *err)
{
	char end_key[KEY_ROOM];
	struct bytes from = key_of(k, mk->key), to = key_of(k + 1, end_key);
	enum err rc;

	if (m->version[k] == 0)
		return edit_remove(e, from, to, err);
	rc = make_item(mk, k, m->version[k], err);
	return rc == ERR_OK ? edit_put(e, &mk->item, err) : rc;
}

static enum err
build_changed(const struct model *m, struct making *mk,
	const struct model_parent *old, struct id *root, struct error *err)
{
	struct edit *e = NULL;
	struct tree_root made;
	enum err rc = edit_open(&e, mk->io, TREE_ENTRIES, &old->root, err);

	for (unsigned k = 0; k < MODEL_KEYS && rc == ERR_OK; k++)
		if (m->version[k] != old->m.version[k])
			rc = change_entry(m, mk, e, k, err);
	if (rc == ERR_OK)
		rc = edit_finish(e, &made, err);
	if (rc == ERR_OK)
		*root = made.id;
	edit_free(e);
	return rc;
}

enum err
model_build(const struct model *m, struct tree_io *io,
	const struct model_parent *old, struct id *root, struct error *err)
{
	struct making mk = { .io = io };

	if (old != NULL)
		return build_changed(m, &mk, old, root, err);
	return build_new(m, &mk, root, err);
}

struct comparing {
	struct tree_io *io;
	bool *seen;
	struct model_verdict *verdict;
	struct buf data;
};

static void
wrong(struct comparing *c, const char *what, unsigned k)
{
	c->verdict->right = false;
	(void)snprintf(c->verdict->why, sizeof(c->verdict->why),
		"%s of entry %u", what, k);
}

static enum err
compare_chunk(struct comparing *c, unsigned k, unsigned number,
	const struct id *id, struct error *err)
{
	size_t len;
	const uint8_t *want = model_chunk(number, &len);
	enum err rc;

	if (c->seen != NULL && c->seen[number])
		return ERR_OK;
	buf_clear(&c->data);
	rc = c->io->ops->get_data(c->io, id, &c->data, err);
	if (rc != ERR_OK)
		return rc;
	if (c->data.len != len || memcmp(c->data.data, want, len) != 0)
		wrong(c, "a chunk", k);
	else if (c->seen != NULL)
		c->seen[number] = true;
	return ERR_OK;
}

static enum err
compare_item(struct comparing *c, unsigned k, unsigned version,
	const struct item *item, struct error *err)
{
	unsigned numbers[MODEL_REFS];
	char room[KEY_ROOM];
	uint8_t value[MODEL_VALUE_MAX];
	struct bytes key = key_of(k, room);
	size_t len = value_of(k, version, value);
	size_t n = refs_of(k, version, numbers);
	enum err rc = ERR_OK;

	if (item->key.len != key.len ||
		memcmp(item->key.data, key.data, key.len) != 0)
		wrong(c, "the key", k);
	else if (item->val.len != len ||
		 memcmp(item->val.data, value, len) != 0)
		wrong(c, "the value", k);
	else if (item->n_refs != n)
		wrong(c, "the number of references", k);
	for (size_t i = 0; i < n && c->verdict->right && rc == ERR_OK; i++)
		rc = compare_chunk(c, k, numbers[i], &item->refs[i].id, err);
	return rc;
}

enum err
model_compare(const struct model *m, struct tree_io *io, const struct id *root,
	bool *seen, struct model_verdict *verdict, struct error *err)
{
	struct comparing c = { io, seen, verdict, BUF_INIT(1 << 20) };
	struct cursor *cursor = NULL;
	struct item item;
	enum err rc = cursor_open(&cursor, io, TREE_ENTRIES, root, err);

	*verdict = (struct model_verdict){ .right = true };
	for (unsigned k = 0; k <= MODEL_KEYS && rc == ERR_OK; k++) {
		if (k < MODEL_KEYS && m->version[k] == 0)
			continue;
		rc = cursor_next(cursor, &item, err);
		if (rc != ERR_OK || !verdict->right)
			break;
		if ((item.key.data == NULL) != (k == MODEL_KEYS))
			wrong(&c, "presence", k);
		else if (k < MODEL_KEYS)
			rc = compare_item(&c, k, m->version[k], &item, err);
		if (!verdict->right)
			break;
	}
	cursor_close(cursor);
	buf_fini(&c.data);
	return rc;
}
