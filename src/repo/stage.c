/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: reservations.  The life of a pack:
 *
 *   FREE -> OPEN -> CLOSED (reservations not done yet) -> FULL -> STORING -+
 *    ^---------------------------------------------------------------------+
 *
 * One lock guards states and counters; nobody seals, hashes or stores under
 * it.  Bytes of a pack are written by those who reserved them and read by the
 * storer, ordered by the lock in stage_done and stage_take.
 */
#include "repo/stage.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FREE, OPEN, CLOSED, FULL, STORING };

enum {
	PAGE = 4096,
	RECS_LEN = (PACK_RECORDS_MAX * sizeof(struct record) + PAGE - 1) /
		   PAGE * PAGE,
	BEHIND = PACK_RECORD_MAX + PACK_RECORDS_MAX * PACK_LINE_MAX + 2 * PAGE
};

struct stage {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* for putters and flushers */
	pthread_cond_t full; /* for the storer */
	const struct keyset *ks;
	size_t target;
	struct stage_pack pack[STAGE_PACKS];
	uint64_t seq[STAGE_PACKS]; /* when it was opened */
	uint64_t clock;
	bool ended, lost;
	struct error failure;
};

static enum err
pack_map(struct stage_pack *p, size_t target, struct error *err)
{
	size_t len = PACK_HEADER + target + BEHIND;
	uint8_t *mem = mmap(NULL, RECS_LEN + len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (mem == MAP_FAILED)
		return err_sys(err, errno, "memory of a pack");
	p->recs = (struct record *)(void *)mem;
	p->bytes = mem + RECS_LEN;
	p->room = len;
	return ERR_OK;
}

static void
pack_unmap(struct stage_pack *p)
{
	if (p->recs != NULL)
		munmap(p->recs, RECS_LEN + p->room);
	pack_keys_wipe(&p->keys);
}

enum err
stage_new(struct stage **out, const struct keyset *ks, uint32_t target,
	struct error *err)
{
	struct stage *s = calloc(1, sizeof(*s));
	enum err rc = ERR_OK;

	if (s == NULL)
		return err_set(err, ERR_NOMEM, "no memory for packs");
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	pthread_cond_init(&s->full, NULL);
	s->ks = ks;
	s->target = target;
	for (unsigned i = 0; i < STAGE_PACKS && rc == ERR_OK; i++) {
		struct stage_pack *p = &s->pack[i];

		rc = pack_map(p, target, err);
		if (rc == ERR_OK)
			rc = pack_keys_make(&p->keys, &p->header.env, ks, err);
	}
	if (rc != ERR_OK) {
		stage_free(s);
		return rc;
	}
	*out = s;
	return ERR_OK;
}

void
stage_free(struct stage *s)
{
	if (s == NULL)
		return;
	for (unsigned i = 0; i < STAGE_PACKS; i++)
		pack_unmap(&s->pack[i]);
	pthread_cond_destroy(&s->full);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* The pack of that kind to put into, or NULL where one has to be waited for. */
static struct stage_pack *
usable(struct stage *s, enum pack_kind kind)
{
	struct stage_pack *vacant = NULL;
	unsigned taken = 0;

	for (unsigned i = 0; i < STAGE_PACKS; i++) {
		struct stage_pack *p = &s->pack[i];

		if (p->state == FREE)
			vacant = p;
		else if (p->header.kind == kind && p->state == OPEN)
			return p;
		else
			taken += p->header.kind == kind;
	}
	if (vacant == NULL || taken == STAGE_PACKS - 1)
		return NULL;
	vacant->header.kind = kind;
	vacant->state = OPEN;
	vacant->len = PACK_HEADER;
	vacant->n_recs = 0;
	s->seq[vacant - s->pack] = ++s->clock;
	return vacant;
}

static void
close_pack(struct stage *s, struct stage_pack *p)
{
	p->state = p->pending > 0 ? CLOSED : FULL;
	if (p->state == FULL)
		pthread_cond_signal(&s->full);
}

static void
reserve(struct stage *s, struct stage_pack *p, struct stage_slot *slot)
{
	assert(p->room - p->len >= slot->rec.stored_len);
	slot->rec.number = p->n_recs;
	slot->pack = p;
	slot->at = p->bytes + p->len;
	p->recs[p->n_recs++] = slot->rec;
	p->len += slot->rec.stored_len;
	p->pending++;
	if (p->len >= s->target || p->n_recs == PACK_RECORDS_MAX)
		close_pack(s, p);
}

enum err
stage_reserve(struct stage *s, const struct record *rec,
	struct stage_slot *slot, struct error *err)
{
	enum pack_kind kind = rec->type == CHUNK_NODE ? PACK_NODES : PACK_DATA;
	struct stage_pack *p = NULL;
	enum err rc = ERR_OK;

	slot->rec = *rec;
	pthread_mutex_lock(&s->lock);
	while (s->failure.code == ERR_OK && (p = usable(s, kind)) == NULL)
		pthread_cond_wait(&s->changed, &s->lock);
	if (s->failure.code == ERR_OK) {
		reserve(s, p, slot);
	} else {
		*err = s->failure;
		rc = err->code;
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

void
stage_done(struct stage *s, const struct stage_slot *slot)
{
	struct stage_pack *p = slot->pack;

	pthread_mutex_lock(&s->lock);
	assert(p->pending > 0);
	p->pending--;
	if (p->state == CLOSED && p->pending == 0)
		close_pack(s, p);
	pthread_mutex_unlock(&s->lock);
}

void
stage_fail(struct stage *s, const struct error *why)
{
	pthread_mutex_lock(&s->lock);
	if (s->failure.code == ERR_OK)
		s->failure = *why;
	s->lost = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

enum err
stage_failure(struct stage *s, struct error *err)
{
	enum err rc;

	pthread_mutex_lock(&s->lock);
	rc = s->failure.code;
	if (rc != ERR_OK)
		*err = s->failure;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

/* Something reserved before the time given is not stored yet. */
static bool
busy(const struct stage *s, uint64_t until)
{
	for (unsigned i = 0; i < STAGE_PACKS; i++)
		if (s->pack[i].state != FREE && s->seq[i] <= until)
			return true;
	return false;
}

static void
close_open(struct stage *s)
{
	for (unsigned i = 0; i < STAGE_PACKS; i++)
		if (s->pack[i].state == OPEN)
			close_pack(s, &s->pack[i]);
}

void
stage_close(struct stage *s)
{
	pthread_mutex_lock(&s->lock);
	close_open(s);
	pthread_mutex_unlock(&s->lock);
}

enum err
stage_flush(struct stage *s, struct error *err)
{
	uint64_t until;
	enum err rc;

	pthread_mutex_lock(&s->lock);
	until = s->clock;
	close_open(s);
	while (s->failure.code == ERR_OK && busy(s, until))
		pthread_cond_wait(&s->changed, &s->lock);
	rc = s->failure.code;
	if (rc != ERR_OK)
		*err = s->failure;
	pthread_mutex_unlock(&s->lock);
	return rc;
}

bool
stage_has_lost(struct stage *s)
{
	bool lost;

	pthread_mutex_lock(&s->lock);
	lost = s->lost || busy(s, s->clock);
	pthread_mutex_unlock(&s->lock);
	return lost;
}

/* The full pack that was opened first. */
static struct stage_pack *
oldest(struct stage *s)
{
	struct stage_pack *found = NULL;
	uint64_t seq = UINT64_MAX;

	for (unsigned i = 0; i < STAGE_PACKS; i++) {
		if (s->pack[i].state != FULL || s->seq[i] > seq)
			continue;
		found = &s->pack[i];
		seq = s->seq[i];
	}
	return found;
}

struct stage_pack *
stage_take(struct stage *s)
{
	struct stage_pack *p = NULL;

	pthread_mutex_lock(&s->lock);
	while (!s->ended) {
		p = s->failure.code == ERR_OK ? oldest(s) : NULL;
		if (p != NULL)
			break;
		pthread_cond_wait(&s->full, &s->lock);
	}
	if (p != NULL)
		p->state = STORING;
	pthread_mutex_unlock(&s->lock);
	return p;
}

struct stage_pack *
stage_take_now(struct stage *s)
{
	struct stage_pack *p = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->failure.code == ERR_OK)
		p = oldest(s);
	if (p != NULL)
		p->state = STORING;
	pthread_mutex_unlock(&s->lock);
	return p;
}

void
stage_recycle(struct stage *s, struct stage_pack *p, bool stored)
{
	struct error err = ERROR_INIT;

	pack_keys_wipe(&p->keys);
	if (pack_keys_make(&p->keys, &p->header.env, s->ks, &err) != ERR_OK)
		stage_fail(s, &err);
	pthread_mutex_lock(&s->lock);
	s->lost = s->lost || !stored;
	/* One without keys must never be opened. */
	p->state = err.code == ERR_OK ? FREE : CLOSED;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void
stage_end(struct stage *s)
{
	pthread_mutex_lock(&s->lock);
	s->ended = true;
	pthread_cond_signal(&s->full);
	pthread_mutex_unlock(&s->lock);
}
