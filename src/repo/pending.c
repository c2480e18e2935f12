/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pending: 64 hash tables with chains, each of its own, entries in an array
 * with a list of free ones.  An id is its own hash; the last bytes, since the
 * first decide about places elsewhere.
 */
#include "repo/pending.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "repo/pack.h"

_Static_assert(sizeof(struct record) % _Alignof(uint32_t) == 0,
	"offsets stand behind the records");

enum { SHARDS = 64, SLOTS_MIN = 64, NONE = UINT32_MAX };

struct entry {
	struct id id;
	uint32_t next; /* in its chain, or of the free ones */
	uint32_t item;
	const struct pending_pack *pack; /* NULL: claimed and not added yet */
};

struct shard {
	pthread_mutex_t lock;
	uint32_t *slots; /* first entries of chains; cap of them */
	struct entry *entries; /* cap of them, too: a power of two, or 0 */
	uint32_t cap;
	uint32_t used; /* entries that were ever in use */
	uint32_t free;
};

struct pending {
	struct shard shards[SHARDS];
	pthread_mutex_t lock; /* of the list */
	struct pending_pack *first, **last;
	_Atomic uint32_t n_packs;
	_Atomic uint64_t n_records;
};

enum err
pending_new(struct pending **out, struct error *err)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return err_set(err, ERR_NOMEM, "no memory for an index");
	for (size_t i = 0; i < SHARDS; i++) {
		(void)pthread_mutex_init(&p->shards[i].lock, NULL);
		p->shards[i].free = NONE;
	}
	(void)pthread_mutex_init(&p->lock, NULL);
	p->last = &p->first;
	*out = p;
	return ERR_OK;
}

void
pending_free(struct pending *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		free(p->shards[i].slots);
		free(p->shards[i].entries);
		(void)pthread_mutex_destroy(&p->shards[i].lock);
	}
	while (p->first != NULL) {
		struct pending_pack *next = p->first->next;

		free(p->first);
		p->first = next;
	}
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

static struct shard *
shard_of(struct pending *p, const struct id *id)
{
	return &p->shards[id->b[ID_LEN - 1] % SHARDS];
}

static uint32_t *
slot_of(const struct shard *s, const struct id *id)
{
	uint32_t hash;

	memcpy(&hash, id->b + ID_LEN - 5, sizeof(hash));
	return &s->slots[hash & (s->cap - 1)];
}

static struct entry *
lookup(const struct shard *s, const struct id *id)
{
	uint32_t at = s->cap > 0 ? *slot_of(s, id) : NONE;

	while (at != NONE && !id_eq(&s->entries[at].id, id))
		at = s->entries[at].next;
	return at != NONE ? &s->entries[at] : NULL;
}

/* Twice as many slots and entries; all entries are in use. */
static enum err
grow(struct shard *s, struct error *err)
{
	uint32_t cap = s->cap > 0 ? s->cap * 2 : SLOTS_MIN;
	uint32_t *slots;
	struct entry *entries;

	if (cap >= NONE / 2)
		return err_set(err, ERR_NOMEM, "too many new chunks at once");
	slots = malloc(cap * sizeof(*slots));
	entries = reallocarray(s->entries, cap, sizeof(*entries));
	if (entries != NULL)
		s->entries = entries;
	if (slots == NULL || entries == NULL) {
		free(slots);
		return err_set(err, ERR_NOMEM, "no memory for %u new chunks",
			cap);
	}
	free(s->slots);
	s->slots = slots;
	s->cap = cap;
	memset(slots, 0xff, cap * sizeof(*slots));
	for (uint32_t i = 0; i < s->used; i++) {
		uint32_t *slot = slot_of(s, &entries[i].id);

		entries[i].next = *slot;
		*slot = i;
	}
	return ERR_OK;
}

static enum err
insert(struct shard *s, const struct id *id, struct entry **out,
	struct error *err)
{
	uint32_t at = s->free, *slot;
	enum err rc;

	if (at != NONE) {
		s->free = s->entries[at].next;
	} else {
		rc = s->used == s->cap ? grow(s, err) : ERR_OK;
		if (rc != ERR_OK)
			return rc;
		at = s->used++;
	}
	slot = slot_of(s, id);
	s->entries[at] = (struct entry){ .id = *id, .next = *slot };
	*slot = at;
	*out = &s->entries[at];
	return ERR_OK;
}

/* Remove id, if it is there as a chunk of this pack. */
static void
forget(struct shard *s, const struct id *id, const struct pending_pack *pack)
{
	uint32_t *link = s->cap > 0 ? slot_of(s, id) : NULL, at;

	if (link == NULL)
		return;
	while (*link != NONE && !id_eq(&s->entries[*link].id, id))
		link = &s->entries[*link].next;
	at = *link;
	if (at == NONE || s->entries[at].pack != pack)
		return;
	*link = s->entries[at].next;
	s->entries[at].next = s->free;
	s->free = at;
}

enum err
pending_claim(struct pending *p, const struct id *id,
	const _Atomic uint64_t *gen, uint64_t seen, enum pending_claim *claim,
	struct error *err)
{
	struct shard *s = shard_of(p, id);
	struct entry *e;
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&s->lock);
	if (lookup(s, id) != NULL) {
		*claim = PENDING_THERE;
	} else if (atomic_load(gen) != seen) {
		*claim = PENDING_STALE;
	} else {
		rc = insert(s, id, &e, err);
		if (rc == ERR_OK)
			*claim = PENDING_TAKEN;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

static enum err
add_item(struct pending *p, const struct pending_pack *pack, uint32_t item,
	struct error *err)
{
	const struct id *id = &pack->recs[item].id;
	struct shard *s = shard_of(p, id);
	struct entry *e;
	enum err rc = ERR_OK;

	(void)pthread_mutex_lock(&s->lock);
	e = lookup(s, id);
	if (e == NULL)
		rc = insert(s, id, &e, err);
	if (rc == ERR_OK) {
		e->pack = pack;
		e->item = item;
	}
	(void)pthread_mutex_unlock(&s->lock);
	return rc;
}

/* Back to what a claim alone is. */
static void
take_back(struct pending *p, const struct pending_pack *pack, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct id *id = &pack->recs[i].id;
		struct shard *s = shard_of(p, id);
		struct entry *e;

		(void)pthread_mutex_lock(&s->lock);
		e = lookup(s, id);
		if (e != NULL && e->pack == pack)
			e->pack = NULL;
		(void)pthread_mutex_unlock(&s->lock);
	}
}

static enum err
pack_copy(struct pending_pack **out, const struct pack_info *info,
	const struct record *recs, struct error *err)
{
	size_t each = sizeof(struct record) + sizeof(uint32_t);
	struct pending_pack *pack =
		calloc(1, sizeof(*pack) + info->n_records * each);
	uint32_t off = PACK_HEADER;
	enum err rc = ERR_OK;

	if (pack == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %u new chunks",
			info->n_records);
	pack->info = *info;
	pack->offs = (uint32_t *)(void *)&pack->recs[info->n_records];
	for (uint32_t i = 0; i < info->n_records && rc == ERR_OK; i++) {
		pack->recs[i] = recs[i];
		pack->offs[i] = off;
		rc = segment_step(info, &recs[i], &off, err);
	}
	if (rc == ERR_OK)
		*out = pack;
	else
		free(pack);
	return rc;
}

enum err
pending_add(struct pending *p, const struct pack_info *info,
	const struct record *recs, struct error *err)
{
	struct pending_pack *pack = NULL;
	uint32_t n = 0;
	enum err rc = pack_copy(&pack, info, recs, err);

	if (rc != ERR_OK)
		return rc;
	while (n < info->n_records && rc == ERR_OK) {
		rc = add_item(p, pack, n, err);
		if (rc == ERR_OK)
			n++;
	}
	if (rc != ERR_OK) {
		take_back(p, pack, n);
		free(pack);
		return rc;
	}
	(void)pthread_mutex_lock(&p->lock);
	*p->last = pack;
	p->last = &pack->next;
	atomic_fetch_add(&p->n_packs, 1);
	atomic_fetch_add(&p->n_records, info->n_records);
	(void)pthread_mutex_unlock(&p->lock);
	return ERR_OK;
}

bool
pending_find(struct pending *p, const struct id *id, struct location *out)
{
	struct shard *s = shard_of(p, id);
	const struct entry *e;
	bool found;

	(void)pthread_mutex_lock(&s->lock);
	e = lookup(s, id);
	found = e != NULL && e->pack != NULL;
	if (found) {
		*out = (struct location){ e->pack->info.id,
			e->pack->offs[e->item], e->pack->recs[e->item] };
	}
	(void)pthread_mutex_unlock(&s->lock);
	return found;
}

uint32_t
pending_packs(const struct pending *p)
{
	return atomic_load(&p->n_packs);
}

uint64_t
pending_records(const struct pending *p)
{
	return atomic_load(&p->n_records);
}

const struct pending_pack *
pending_first(struct pending *p)
{
	const struct pending_pack *first;

	(void)pthread_mutex_lock(&p->lock);
	first = p->first;
	(void)pthread_mutex_unlock(&p->lock);
	return first;
}

static struct pending_pack *
pop(struct pending *p)
{
	struct pending_pack *pack = NULL;

	(void)pthread_mutex_lock(&p->lock);
	pack = p->first;
	p->first = pack->next;
	if (p->first == NULL)
		p->last = &p->first;
	atomic_fetch_sub(&p->n_packs, 1);
	atomic_fetch_sub(&p->n_records, pack->info.n_records);
	(void)pthread_mutex_unlock(&p->lock);
	return pack;
}

void
pending_drop(struct pending *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct pending_pack *pack = pop(p);

		for (uint32_t k = 0; k < pack->info.n_records; k++) {
			const struct id *id = &pack->recs[k].id;
			struct shard *s = shard_of(p, id);

			(void)pthread_mutex_lock(&s->lock);
			forget(s, id, pack);
			(void)pthread_mutex_unlock(&s->lock);
		}
		free(pack);
	}
}

void
pending_clear(struct pending *p)
{
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &p->shards[i];

		(void)pthread_mutex_lock(&s->lock);
		free(s->slots);
		free(s->entries);
		s->slots = NULL;
		s->entries = NULL;
		s->cap = s->used = 0;
		s->free = NONE;
		(void)pthread_mutex_unlock(&s->lock);
	}
	while (pending_packs(p) > 0)
		free(pop(p));
}
