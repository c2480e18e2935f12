/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keycache: a set-associative table; the least recently used way of a set
 * makes room.  The store is read and keys are derived outside the lock: two
 * threads that miss at the same time do the same work twice, harmlessly.
 */
#include "repo/keycache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 8, SETS = KEYCACHE_SLOTS / WAYS, AHEAD = 64 };

struct slot {
	uint64_t used; /* 0: free */
	struct id pack;
	uint32_t envelope;
	struct envelope env;
	bool derived;
	struct pack_keys keys;
};

struct keycache {
	struct store *st;
	const struct keyset *ks;
	pthread_mutex_t lock;
	uint64_t clock;
	struct slot slot[SETS][WAYS];
};

enum err
keycache_new(struct keycache **out, struct store *st, const struct keyset *ks,
	struct error *err)
{
	struct keycache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return err_set(err, ERR_NOMEM, "no memory for keys of packs");
	c->st = st;
	c->ks = ks;
	pthread_mutex_init(&c->lock, NULL);
	*out = c;
	return ERR_OK;
}

void
keycache_free(struct keycache *c)
{
	if (c == NULL)
		return;
	pthread_mutex_destroy(&c->lock);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

static struct slot *
set_of(struct keycache *c, const struct id *pack, uint32_t envelope)
{
	return c->slot[(id_prefix(pack) + envelope) % SETS];
}

static bool
is(const struct slot *s, const struct id *pack, uint32_t envelope)
{
	return s->used != 0 && s->envelope == envelope && id_eq(&s->pack, pack);
}

static bool
look(struct keycache *c, struct slot *out, const struct id *pack,
	uint32_t envelope)
{
	struct slot *set = set_of(c, pack, envelope);
	bool found = false;

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < WAYS && !found; i++) {
		if (!is(&set[i], pack, envelope))
			continue;
		set[i].used = ++c->clock;
		*out = set[i];
		found = true;
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

static void
keep(struct keycache *c, const struct slot *s)
{
	struct slot *set = set_of(c, &s->pack, s->envelope);
	struct slot *victim = &set[0];

	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < WAYS; i++) {
		if (is(&set[i], &s->pack, s->envelope)) {
			victim = &set[i];
			break;
		}
		if (set[i].used < victim->used)
			victim = &set[i];
	}
	*victim = *s;
	victim->used = ++c->clock;
	pthread_mutex_unlock(&c->lock);
}

static enum err
load_header(struct keycache *c, const char *name, struct buf *bytes,
	struct pack_header *header, struct error *err)
{
	enum err rc = store_get(c->st, name, 0, PACK_HEADER, bytes, err);

	return rc == ERR_OK ? pack_header_decode(header, bytes->data, err) : rc;
}

/* The plain table of a pack whose header bytes are given. */
static enum err
load_table(struct keycache *c, const char *name, const struct buf *header,
	struct buf *table, struct error *err)
{
	struct buf sealed = BUF_INIT(PACK_TABLE_MAX);
	uint64_t size, end;
	uint32_t len;
	enum err rc;

	rc = store_size(c->st, name, &size, err);
	if (rc != ERR_OK)
		return rc;
	if (size < PACK_HEADER + PACK_TRAILER)
		return err_set(err, ERR_CORRUPT, "cut off");
	end = size - PACK_TRAILER;
	rc = store_get(c->st, name, end, PACK_TRAILER, &sealed, err);
	if (rc == ERR_OK)
		rc = pack_table_len(&len, sealed.data, size, err);
	if (rc != ERR_OK)
		goto out;
	buf_clear(&sealed);
	rc = store_get(c->st, name, end - len, len, &sealed, err);
	if (rc == ERR_OK)
		rc = pack_table_open(table, &c->ks->structure, header->data,
			sealed.data, sealed.len, err);
out:
	buf_fini(&sealed);
	return rc;
}

/* A record that was moved came with its neighbours: their envelopes are kept
 * too, to be derived when they are asked for. */
static enum err
load_foreign(struct keycache *c, const char *name, const struct buf *header,
	struct slot *want, struct error *err)
{
	struct buf bytes = BUF_INIT(PACK_TABLE_MAX);
	struct slot near = *want;
	struct pack_table table;
	enum err rc = load_table(c, name, header, &bytes, err);

	if (rc == ERR_OK)
		rc = pack_table_begin(&table, bytes.data, bytes.len, err);
	if (rc == ERR_OK && want->envelope > table.n_foreign)
		rc = err_set(err, ERR_CORRUPT, "has no envelope %u",
			want->envelope);
	if (rc != ERR_OK)
		goto out;
	pack_table_envelope(&table, want->envelope, &want->env);
	for (uint32_t i = 1; i < AHEAD; i++) {
		near.envelope = want->envelope + i;
		if (near.envelope > table.n_foreign)
			break;
		pack_table_envelope(&table, near.envelope, &near.env);
		keep(c, &near);
	}
out:
	buf_fini(&bytes);
	return rc;
}

static enum err
load(struct keycache *c, struct slot *want, struct error *err)
{
	struct buf bytes = BUF_INIT(PACK_HEADER);
	char name[PACK_NAME];
	struct pack_header header;
	enum err rc;

	pack_name(name, &want->pack);
	rc = load_header(c, name, &bytes, &header, err);
	if (rc == ERR_OK && want->envelope > 0)
		rc = load_foreign(c, name, &bytes, want, err);
	else if (rc == ERR_OK)
		want->env = header.env;
	buf_fini(&bytes);
	return rc == ERR_OK ? rc : err_wrap(err, "%s", name);
}

/* The slot of an envelope, read from the store where it is not kept. */
static enum err
find(struct keycache *c, const struct id *pack, uint32_t envelope,
	struct slot *s, struct error *err)
{
	if (look(c, s, pack, envelope))
		return ERR_OK;
	memset(s, 0, sizeof(*s));
	s->pack = *pack;
	s->envelope = envelope;
	return load(c, s, err);
}

enum err
keycache_get(struct keycache *c, const struct id *pack, uint32_t envelope,
	struct pack_keys *out, struct error *err)
{
	struct slot s;
	enum err rc = find(c, pack, envelope, &s, err);

	if (rc == ERR_OK && !s.derived) {
		rc = pack_keys_derive(&s.keys, &s.env, c->ks, err);
		s.derived = true;
		if (rc == ERR_OK)
			keep(c, &s);
	}
	if (rc == ERR_OK)
		*out = s.keys;
	explicit_bzero(&s, sizeof(s));
	return rc;
}

enum err
keycache_envelope(struct keycache *c, const struct id *pack, uint32_t envelope,
	struct envelope *out, struct error *err)
{
	struct slot s;
	enum err rc = find(c, pack, envelope, &s, err);

	if (rc == ERR_OK) {
		*out = s.env;
		keep(c, &s);
	}
	explicit_bzero(&s, sizeof(s));
	return rc;
}
