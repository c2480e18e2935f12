/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mover: records go from pack to pack as they are sealed; the new pack's table
 * says which envelope each was sealed under first, and its number there.
 *
 * Records that lie next to each other, or nearly so, are fetched with one
 * read.  What was added is kept in a queue until it is known where the read
 * ends.
 *
 * Crash argument.  A pack is durable before the index hears of it, so a
 * segment names only packs that are there.  The records are copies of others
 * that stay where they are; until the prune that moves them has condemned the
 * old pack, which it does after mover_finish, losing the new one loses
 * nothing.  The session object is there from before the first pack to after
 * the segment, as any writer's; killed in between it stays, and is fenced.
 */
#include "repo/mover.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "codec/hash.h"
#include "repo/lane.h"
#include "repo/pack.h"
#include "repo/session.h"
#include "repo/writer.h"

enum {
	QUEUE_MAX = 4096, /* records of a read */
	SPAN_MAX = 8 << 20, /* bytes of a read, but for one large record */
	GAP_MAX = 128 << 10, /* bytes between records that are read in vain */
	ENVELOPES_AHEAD = 64
};

/* A pack being made. */
struct target {
	enum pack_kind kind;
	struct buf bytes;
	struct record *recs;
	uint32_t n_recs;
	size_t cap_recs;
	struct envelope *foreign;
	uint32_t n_foreign;
	size_t cap_foreign;
};

struct mover {
	struct repo *repo;
	struct index *index;
	struct session session;
	struct lane *lane;
	struct target data, nodes;
	struct location *queue;
	uint32_t n_queue;
	struct buf read;
	uint64_t stored;
	struct id *packs; /* made so far */
	size_t n_packs, cap_packs;
	bool finished;
};

static void
target_init(struct target *t, enum pack_kind kind)
{
	*t = (struct target){ .kind = kind, .bytes = BUF_INIT(PACK_MAX) };
}

static void
target_fini(struct target *t)
{
	buf_fini(&t->bytes);
	free(t->recs);
	free(t->foreign);
}

static enum err
begin(struct mover *m, struct error *err)
{
	char host[sizeof(MOVER_HOST) + 256] = MOVER_HOST;
	enum err rc;

	if (gethostname(host + strlen(host), 255) != 0)
		host[strlen(MOVER_HOST)] = '\0';
	rc = session_begin(&m->session, m->repo->st, &m->repo->keys, host, err);
	return rc == ERR_OK ? repo_begin(m->repo, &m->session, &m->index, err)
			    : rc;
}

enum err
mover_new(struct mover **out, struct repo *r, struct error *err)
{
	struct mover *m;
	enum err rc;

	if (atomic_exchange(&r->writing, true))
		return err_set(err, ERR_USAGE,
			"another session of this process is at work in the "
			"repository");
	m = calloc(1, sizeof(*m));
	if (m == NULL) {
		atomic_store(&r->writing, false);
		return err_set(err, ERR_NOMEM, "out of memory");
	}
	m->repo = r;
	m->read = BUF_INIT(PACK_MAX);
	target_init(&m->data, PACK_DATA);
	target_init(&m->nodes, PACK_NODES);
	m->queue = calloc(QUEUE_MAX, sizeof(*m->queue));
	rc = m->queue != NULL ? lane_new(&m->lane, r, err)
			      : err_set(err, ERR_NOMEM, "out of memory");
	if (rc == ERR_OK)
		rc = begin(m, err);
	if (rc == ERR_OK)
		*out = m;
	else
		mover_free(m);
	return rc;
}

void
mover_free(struct mover *m)
{
	if (m == NULL)
		return;
	/* A request that failed may still be under way. */
	if (!m->finished)
		session_doubt(&m->session);
	session_end(&m->session);
	atomic_store(&m->repo->writing, false);
	target_fini(&m->data);
	target_fini(&m->nodes);
	buf_fini(&m->read);
	free(m->packs);
	free(m->queue);
	lane_free(m->lane);
	free(m);
}

/* ---- packs ---- */

/* Header, table and trailer; the pack is then whole. */
static enum err
close_target(struct mover *m, struct target *t, struct error *err)
{
	struct pack_header header = { .kind = t->kind };
	struct pack_table_conf conf = { .structure = &m->repo->keys.structure,
		.header = &header,
		.foreign = t->foreign,
		.n_foreign = t->n_foreign,
		.recs = t->recs,
		.n_recs = t->n_recs,
		.body_len = t->bytes.len };

	random_bytes(header.env.epk.b, KX_PUBLIC);
	pack_header_encode(&header, t->bytes.data);
	return pack_table_seal(&t->bytes, &conf, err);
}

static enum err
store_target(struct mover *m, struct target *t, struct error *err)
{
	struct pack_info info = { .n_records = t->n_recs };
	char name[PACK_NAME];
	struct id *packs;
	enum err rc;

	if (t->n_recs == 0)
		return ERR_OK;
	rc = close_target(m, t, err);
	if (rc != ERR_OK)
		return rc;
	hash_plain(&info.id, t->bytes.data, t->bytes.len);
	info.size = t->bytes.len;
	pack_name(name, &info.id);
	rc = store_put(m->repo->st, name, t->bytes.data, t->bytes.len, err);
	/* The name says what is in it: it was this one, tried before. */
	if (rc == ERR_OK || rc == ERR_EXISTS)
		rc = index_add(m->index, &info, t->recs, err);
	if (rc != ERR_OK)
		return rc;
	packs = array_grow(m->packs, m->n_packs, &m->cap_packs, sizeof(*packs),
		err);
	if (packs == NULL)
		return err->code;
	m->packs = packs;
	m->packs[m->n_packs++] = info.id;
	m->stored += info.size;
	buf_clear(&t->bytes);
	t->n_recs = t->n_foreign = 0;
	if (index_unpublished(m->index) >= PUBLISH_PACKS)
		rc = index_publish(m->index, err);
	return rc;
}

/* The number that env has in the table of t.  Those of neighbours are mostly
 * the same; one that is there twice harms nobody. */
static enum err
number_of(struct target *t, const struct envelope *env, uint16_t *number,
	struct error *err)
{
	uint32_t n = t->n_foreign;
	struct envelope *v;

	for (uint32_t i = n; i > 0 && i + ENVELOPES_AHEAD > n; i--)
		if (t->foreign[i - 1].epoch == env->epoch &&
			memcmp(t->foreign[i - 1].epk.b, env->epk.b,
				KX_PUBLIC) == 0) {
			*number = (uint16_t)i;
			return ERR_OK;
		}
	v = array_grow(t->foreign, n, &t->cap_foreign, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	t->foreign = v;
	t->foreign[t->n_foreign++] = *env;
	*number = (uint16_t)t->n_foreign;
	return ERR_OK;
}

static enum err
append(struct mover *m, struct target *t, const struct location *loc,
	const uint8_t *sealed, struct error *err)
{
	struct record rec = loc->rec;
	struct envelope env;
	struct record *v;
	enum err rc = keycache_envelope(m->repo->keycache, &loc->pack,
		rec.envelope, &env, err);

	if (rc == ERR_OK && t->n_recs == 0)
		rc = buf_put_zero(&t->bytes, PACK_HEADER - t->bytes.len, err);
	if (rc == ERR_OK)
		rc = number_of(t, &env, &rec.envelope, err);
	if (rc != ERR_OK)
		return rc;
	v = array_grow(t->recs, t->n_recs, &t->cap_recs, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	t->recs = v;
	rc = buf_put(&t->bytes, sealed, rec.stored_len, err);
	if (rc != ERR_OK)
		return rc;
	t->recs[t->n_recs++] = rec;
	if (t->bytes.len >= m->repo->config.pack_target ||
		t->n_recs == PACK_RECORDS_MAX ||
		t->n_foreign == PACK_FOREIGN_MAX)
		rc = store_target(m, t, err);
	return rc;
}

/* ---- records ---- */

static enum err
verify(struct mover *m, const struct location *loc, const uint8_t *sealed,
	struct error *err)
{
	struct lane *lane = m->lane;
	const struct record *r = &loc->rec;
	struct pack_keys keys;
	enum err rc;

	rc = keycache_get(m->repo->keycache, &loc->pack, r->envelope, &keys,
		err);
	if (rc != ERR_OK)
		return rc;
	if (r->type == CHUNK_NODE) {
		rc = lane_room(&lane->plain, r->head_len, err);
		if (rc == ERR_OK)
			rc = pack_open_head(lane->aead, &keys, r, sealed,
				lane->plain.data, err);
	}
	if (rc == ERR_OK && keys.has_content) {
		rc = lane_room(&lane->stored, pack_body_len(r), err);
		if (rc == ERR_OK)
			rc = pack_open_body(lane->aead, &keys, r, sealed,
				lane->stored.data, err);
	}
	pack_keys_wipe(&keys);
	return rc;
}

static enum err
move(struct mover *m, const struct location *loc, const uint8_t *sealed,
	struct error *err)
{
	char hex[ID_HEX + 1];
	enum err rc = verify(m, loc, sealed, err);

	if (rc == ERR_OK)
		rc = append(m,
			loc->rec.type == CHUNK_NODE ? &m->nodes : &m->data, loc,
			sealed, err);
	if (rc == ERR_OK)
		return rc;
	hex_encode(loc->rec.id.b, ID_LEN, hex);
	return err_wrap(err, "chunk %s", hex);
}

static uint64_t
end_of(const struct location *loc)
{
	return (uint64_t)loc->off + loc->rec.stored_len;
}

enum err
mover_settle(struct mover *m, struct error *err)
{
	const struct location *first = m->queue;
	uint32_t n = m->n_queue;
	char name[PACK_NAME];
	enum err rc;

	if (n == 0)
		return ERR_OK;
	m->n_queue = 0;
	pack_name(name, &first->pack);
	buf_clear(&m->read);
	rc = store_get(m->repo->st, name, first->off,
		(size_t)(end_of(&m->queue[n - 1]) - first->off), &m->read, err);
	for (uint32_t i = 0; i < n && rc == ERR_OK; i++) {
		rc = move(m, &m->queue[i],
			m->read.data + (m->queue[i].off - first->off), err);
		if (rc != ERR_OK)
			rc = err_wrap(err, "%s", name);
	}
	return rc;
}

/* Whether loc is fetched together with what is in the queue. */
static bool
goes_along(const struct mover *m, const struct location *loc)
{
	const struct location *first = m->queue;
	const struct location *last = &m->queue[m->n_queue - 1];

	return m->n_queue < QUEUE_MAX && id_eq(&loc->pack, &first->pack) &&
	       loc->off >= end_of(last) && loc->off - end_of(last) <= GAP_MAX &&
	       end_of(loc) - first->off <= SPAN_MAX;
}

enum err
mover_add(struct mover *m, const struct location *loc, struct error *err)
{
	enum err rc = ERR_OK;

	if (m->n_queue > 0 && !goes_along(m, loc))
		rc = mover_settle(m, err);
	if (rc == ERR_OK)
		m->queue[m->n_queue++] = *loc;
	return rc;
}

enum err
mover_finish(struct mover *m, struct error *err)
{
	enum err rc = mover_settle(m, err);

	if (rc == ERR_OK)
		rc = store_target(m, &m->data, err);
	if (rc == ERR_OK)
		rc = store_target(m, &m->nodes, err);
	if (rc == ERR_OK)
		rc = index_publish(m->index, err);
	m->finished = rc == ERR_OK;
	if (rc == ERR_OK)
		session_end(&m->session);
	return rc;
}

uint64_t
mover_bytes(const struct mover *m)
{
	return m->stored;
}

static int
cmp_packs(const void *a, const void *b)
{
	return id_cmp(a, b);
}

struct id *
mover_packs(struct mover *m, size_t *n)
{
	struct id *packs = m->packs;

	*n = m->n_packs;
	if (*n > 0)
		qsort(packs, *n, sizeof(*packs), cmp_packs);
	m->packs = NULL;
	m->n_packs = m->cap_packs = 0;
	return packs;
}
