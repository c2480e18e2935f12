/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lane: the inside of a repo and of its lanes, for the modules of this floor
 * that read and write chunks.  Everybody else uses repo/repo.h.
 *
 * Memory of a lane: the contexts of zstd (about 1.5 MiB once it compressed at
 * level 1), and two scratch buffers that grow to what the chunks need: the
 * stored bytes of the largest chunk seen, and its plain bytes, so with the
 * largest chunk of the default chunker at most 16 MiB; repo_check_pack with
 * read_data needs a whole pack in the first.
 */
#ifndef REPO_LANE_H
#define REPO_LANE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "codec/aead.h"
#include "codec/compress.h"
#include "repo/keycache.h"
#include "repo/repo.h"
#include "repo/session.h"

struct repo {
	struct store *st;
	struct config config;
	struct keyset keys;
	struct gear gear;
	struct keycache *keycache;
	char *cache_dir; /* NULL: none */

	pthread_mutex_t lock; /* of index while it is opened */
	struct index *index;

	atomic_bool writing; /* one session at a time */
};

struct lane {
	struct repo *repo;
	struct compressor *compressor;
	struct aead *aead;
	struct buf stored; /* compressed, or sealed */
	struct buf plain;
};

/*
 * The index for a session that has begun, brought up to date after that:
 * claims are made and segments named by the session's view.  ERR_EXISTS where
 * it was fenced already.  While nobody else claims or adds.
 */
enum err repo_begin(struct repo *r, const struct session *s, struct index **out,
	struct error *err) MUST_CHECK;

/* An empty buffer with room for len bytes. */
enum err lane_room(struct buf *b, size_t len, struct error *err) MUST_CHECK;

/* "a node", "data", for messages. */
const char *lane_type_name(uint8_t type);

/*
 * Bring a body that was opened, r's, to its plain bytes at out (r->plain_len
 * of them); body may be out itself where the record is raw.
 */
enum err lane_expand(struct lane *lane, const struct record *r,
	const uint8_t *body, uint8_t *out, struct error *err) MUST_CHECK;

/* Whether head and body are what r->id names; ERR_CORRUPT. */
enum err lane_prove(const struct lane *lane, const struct record *r,
	const uint8_t *head, const uint8_t *body, struct error *err) MUST_CHECK;

#endif /* REPO_LANE_H */
