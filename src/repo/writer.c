/* SPDX-License-Identifier: Apache-2.0 */
/*
 * writer: a session from its object to its commit.
 *
 * Crash argument.  The session object exists before the index is asked what
 * the repository has, so a prune sees the session or the session sees what
 * the prune condemned.  Packs become durable before the segments that name
 * them (repo/upload.c), segments before the snapshot object, which is created
 * last, exclusively and whole.  Whatever the process is killed at, no
 * snapshot refers to something that is not durable; what was published is
 * found by the next run's deduplication, and the rest is garbage.
 *
 * A chunk that was claimed and then not stored would be taken for present by
 * every later session of this process, so the index forgets what a session
 * claimed that did not end well, before the next may begin.
 */
#include "repo/writer.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "repo/lane.h"
#include "repo/pack.h"
#include "repo/stage.h"
#include "repo/upload.h"

enum { LEVEL_DEFAULT = 1, LEVEL_LARGE = 2, VERIFY_DEFAULT = 16 };

struct writer {
	struct repo *repo;
	struct index *index;
	struct session session;
	struct stage *stage; /* NULL in a dry run */
	struct upload *upload; /* likewise */
	int level, level_large; /* of parts of large contents */
	unsigned verify_every;
	bool dry_run, committed;
	_Atomic uint64_t chunks_new, chunks_known, bytes_added, bytes_stored;
};

/* A chunk on its way. */
struct chunk {
	struct record rec;
	struct node_bytes bytes; /* of data, only the body */
	int level;
};

static enum err
start(struct writer *w, const struct writer_conf *conf, struct error *err)
{
	struct repo *r = w->repo;
	struct upload_conf up = { .store = r->st,
		.structure = &r->keys.structure,
		.inline_upload = conf->inline_upload };
	uint32_t target = r->config.pack_target;
	enum err rc;

	if (conf->pack_max != 0 && target > conf->pack_max)
		target = conf->pack_max;
	if (conf->dry_run)
		rc = session_dry(&w->session, r->st, &r->keys, err);
	else
		rc = session_begin(&w->session, r->st, &r->keys, conf->host,
			err);
	if (rc == ERR_OK)
		rc = repo_begin(r, &w->session, &w->index, err);
	if (rc != ERR_OK || conf->dry_run)
		return rc;
	rc = stage_new(&w->stage, &r->keys, target, err);
	if (rc != ERR_OK)
		return rc;
	up.stage = w->stage;
	up.index = w->index;
	return upload_start(&w->upload, &up, err);
}

/* Whether r may have a session now; if so it is taken. */
static enum err
admit(struct repo *r, struct error *err)
{
	enum err rc = keyset_need(&r->keys, RIGHT_WRITE, "a new snapshot", err);

	if (rc != ERR_OK)
		return rc;
	if (atomic_exchange(&r->writing, true))
		return err_set(err, ERR_USAGE,
			"another session of this process is at work in the "
			"repository");
	return ERR_OK;
}

enum err
writer_open(struct writer **out, struct repo *r, const struct writer_conf *conf,
	struct error *err)
{
	struct writer *w;
	enum err rc = admit(r, err);

	if (rc != ERR_OK)
		return rc;
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		atomic_store(&r->writing, false);
		return err_set(err, ERR_NOMEM, "no memory for a session");
	}
	w->repo = r;
	w->level = conf->level != 0 ? conf->level : LEVEL_DEFAULT;
	w->level_large = conf->level != 0 ? conf->level : LEVEL_LARGE;
	w->verify_every =
		conf->verify_every != 0 ? conf->verify_every : VERIFY_DEFAULT;
	w->dry_run = conf->dry_run;
	rc = start(w, conf, err);
	if (rc != ERR_OK) {
		writer_free(w);
		return rc;
	}
	*out = w;
	return ERR_OK;
}

/* Whether chunks that were claimed may not be where claims say. */
static bool
has_lost(const struct writer *w)
{
	if (w->dry_run)
		return atomic_load(&w->chunks_new) > 0;
	return w->stage != NULL &&
	       (stage_has_lost(w->stage) || index_unpublished(w->index) > 0);
}

void
writer_free(struct writer *w)
{
	struct error why = ERROR_INIT;
	enum err rc = ERR_OK;

	if (w == NULL)
		return;
	if (w->stage != NULL)
		rc = stage_failure(w->stage, &why);
	/* What is durable may as well be found by the next run. */
	if (w->upload != NULL && !w->committed && rc == ERR_OK)
		rc = upload_publish(w->upload, &why);
	if (rc == ERR_IO || rc == ERR_AGAIN)
		session_doubt(&w->session);
	upload_stop(w->upload);
	if (has_lost(w))
		index_forget(w->index);
	stage_free(w->stage);
	session_end(&w->session);
	atomic_store(&w->repo->writing, false);
	free(w);
}

const struct uid *
writer_uid(const struct writer *w)
{
	return &w->session.uid;
}

/* Compressed if that is worth it; *body is what to store. */
static enum err
compress(struct writer *w, struct lane *lane, struct chunk *c,
	struct pack_parts *parts, struct error *err)
{
	const struct node_bytes *b = &c->bytes;
	enum codec codec;
	size_t n;
	enum err rc;

	rc = lane_room(&lane->stored, compress_bound(b->body_len), err);
	if (rc != ERR_OK)
		return rc;
	n = compress_bytes(lane->compressor, c->level, b->body, b->body_len,
		lane->stored.data, &codec);
	c->rec.codec = (uint8_t)codec;
	parts->head = b->head;
	parts->head_len = b->head_len;
	parts->body = n > 0 ? lane->stored.data : b->body;
	parts->body_len = n > 0 ? n : b->body_len;
	c->rec.stored_len = (uint32_t)(pack_sealed_head(&c->rec) +
				       parts->body_len + AEAD_TAG);
	return ERR_OK;
}

/* From the sealed bytes back to the plain ones: what the store is about to
 * get can be read. */
static enum err
read_back(struct lane *lane, const struct stage_slot *slot, struct error *err)
{
	const struct record *r = &slot->rec;
	const struct pack_keys *keys = &slot->pack->keys;
	uint8_t *plain, *opened;
	enum err rc;

	rc = lane_room(&lane->stored, pack_body_len(r), err);
	if (rc == ERR_OK)
		rc = lane_room(&lane->plain,
			(size_t)r->head_len +
				(r->codec == CODEC_RAW ? 0 : r->plain_len),
			err);
	if (rc != ERR_OK)
		return rc;
	opened = lane->stored.data;
	plain = lane->plain.data + r->head_len;
	if (r->codec == CODEC_RAW)
		plain = opened;
	if (r->type == CHUNK_NODE)
		rc = pack_open_head(lane->aead, keys, r, slot->at,
			lane->plain.data, err);
	if (rc == ERR_OK)
		rc = pack_open_body(lane->aead, keys, r, slot->at, opened, err);
	if (rc == ERR_OK)
		rc = lane_expand(lane, r, opened, plain, err);
	if (rc == ERR_OK)
		rc = lane_prove(lane, r, lane->plain.data, plain, err);
	return rc;
}

static enum err
verify(struct writer *w, struct lane *lane, const struct stage_slot *slot,
	struct error *err)
{
	enum err rc;

	if (slot->rec.type == CHUNK_DATA &&
		slot->rec.number % w->verify_every != 0)
		return ERR_OK;
	rc = read_back(lane, slot, err);
	if (rc == ERR_CORRUPT)
		rc = err_set(err, ERR_CORRUPT,
			"memory of this machine is damaging data: a chunk "
			"could not be read back before it was stored");
	return rc;
}

static enum err
store_chunk(struct writer *w, struct lane *lane, struct chunk *c,
	struct error *err)
{
	struct stage_slot slot;
	struct pack_parts parts;
	enum err rc = compress(w, lane, c, &parts, err);

	if (rc == ERR_OK)
		rc = stage_reserve(w->stage, &c->rec, &slot, err);
	if (rc != ERR_OK) {
		stage_fail(w->stage, err);
		return rc;
	}
	rc = pack_seal(lane->aead, &slot.pack->keys, &slot.rec, &parts, slot.at,
		err);
	if (rc == ERR_OK)
		rc = verify(w, lane, &slot, err);
	if (rc != ERR_OK)
		stage_fail(w->stage, err);
	stage_done(w->stage, &slot);
	upload_drain(w->upload);
	return rc;
}

static enum err
put(struct writer *w, struct lane *lane, struct chunk *c, size_t *added,
	struct error *err)
{
	size_t plain = c->bytes.head_len + c->bytes.body_len;
	enum claim claim;
	enum err rc;

	if (added != NULL)
		*added = 0;
	rc = index_claim(w->index, &c->rec.id, &claim, err);
	if (rc != ERR_OK)
		return rc;
	if (claim == CLAIM_HAVE) {
		atomic_fetch_add(&w->chunks_known, 1);
		return w->dry_run ? ERR_OK : stage_failure(w->stage, err);
	}
	if (!w->dry_run)
		rc = store_chunk(w, lane, c, err);
	if (rc != ERR_OK)
		return rc;
	atomic_fetch_add(&w->chunks_new, 1);
	atomic_fetch_add(&w->bytes_added, plain);
	atomic_fetch_add(&w->bytes_stored, c->rec.stored_len);
	if (added != NULL)
		*added = c->rec.stored_len;
	return ERR_OK;
}

static enum err
check_len(size_t head_len, size_t body_len, struct error *err)
{
	if (body_len > 0 && body_len <= CHUNK_MAX && head_len <= CHUNK_MAX)
		return ERR_OK;
	return err_set(err, ERR_USAGE, "a chunk of %zu bytes cannot be stored",
		head_len + body_len);
}

static enum err
put_data(struct writer *w, struct lane *lane, struct chunk *c, struct id *id,
	size_t *added, struct error *err)
{
	const struct node_bytes *b = &c->bytes;
	enum err rc = check_len(0, b->body_len, err);

	if (rc != ERR_OK)
		return rc;
	c->rec.type = CHUNK_DATA;
	c->rec.plain_len = (uint32_t)b->body_len;
	repo_data_id(w->repo, b->body, b->body_len, &c->rec.id);
	*id = c->rec.id;
	return put(w, lane, c, added, err);
}

enum err
writer_put_data(struct writer *w, struct lane *lane, const void *data,
	size_t len, struct id *id, size_t *added, struct error *err)
{
	struct chunk c = { .bytes = { .body = data, .body_len = len },
		.level = w->level_large };

	return put_data(w, lane, &c, id, added, err);
}

enum err
writer_put_gathered(struct writer *w, struct lane *lane, const void *data,
	size_t len, struct id *id, size_t *added, struct error *err)
{
	struct chunk c = { .bytes = { .body = data, .body_len = len },
		.level = w->level };

	return put_data(w, lane, &c, id, added, err);
}

enum err
writer_put_node(struct writer *w, struct lane *lane,
	const struct node_bytes *node, struct id *id, size_t *added,
	struct error *err)
{
	struct chunk c = { .rec = { .type = CHUNK_NODE },
		.bytes = *node,
		.level = w->level };
	enum err rc = check_len(node->head_len, node->body_len, err);

	if (rc != ERR_OK)
		return rc;
	c.rec.plain_len = (uint32_t)node->body_len;
	c.rec.head_len = (uint32_t)node->head_len;
	repo_node_id(w->repo, node->head, node->head_len, node->body,
		node->body_len, &c.rec.id);
	*id = c.rec.id;
	return put(w, lane, &c, added, err);
}

enum err
writer_flush(struct writer *w, struct error *err)
{
	enum err rc;

	if (w->dry_run)
		return ERR_OK;
	stage_close(w->stage);
	upload_drain(w->upload);
	rc = stage_flush(w->stage, err);
	if (rc != ERR_OK)
		return rc;
	rc = upload_publish(w->upload, err);
	if (rc != ERR_OK)
		stage_fail(w->stage, err);
	return rc;
}

enum err
writer_commit(struct writer *w, const void *record, size_t len,
	struct error *err)
{
	enum err rc;

	if (w->dry_run)
		return ERR_OK;
	if (w->committed)
		return err_set(err, ERR_USAGE, "a session commits once");
	rc = writer_flush(w, err);
	if (rc != ERR_OK)
		return rc;
	rc = session_commit(&w->session, record, len, err);
	if (rc != ERR_OK)
		return rc;
	w->committed = true;
	session_end(&w->session);
	return ERR_OK;
}

void
writer_figures(const struct writer *w, struct writer_figures *out)
{
	out->chunks_new = atomic_load(&w->chunks_new);
	out->chunks_known = atomic_load(&w->chunks_known);
	out->bytes_added = atomic_load(&w->bytes_added);
	out->bytes_stored = atomic_load(&w->bytes_stored);
}
