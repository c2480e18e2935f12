/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo: an unlocked repository, and the way to its chunks.
 *
 *   repo_open -> lanes, reads, a writer (repo/writer.h) ... -> repo_close
 *
 * The repo itself may be used by any number of threads.  A lane holds what a
 * thread needs of its own (compression and cipher contexts, scratch memory):
 * one lane, one thread at a time.
 */
#ifndef REPO_REPO_H
#define REPO_REPO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "codec/chunker.h"
#include "repo/config.h"
#include "repo/index.h"
#include "repo/keys.h"
#include "repo/record.h"
#include "store/store.h"

struct repo;
struct lane;

struct repo_init_conf {
	struct pass pass;
	struct kdf_cost cost;
	struct chunker_params chunker;
	uint32_t pack_target;
};

#define REPO_PACK_TARGET (16u << 20)

/*
 * Make a new repository in an empty store: probe that it honours exclusive
 * creation, add the first key, and last create config, which is the point of
 * no return; an init that was killed before is repeated.  ERR_EXISTS.
 */
enum err repo_init(struct store *st, const struct repo_init_conf *conf,
	struct error *err) MUST_CHECK;

struct repo_conf {
	struct pass pass;
	const char *key_hint; /* or NULL */
	const char *cache_root; /* the caller's cache directory; NULL: none */
};

/* Borrows st, which outlives the repo.  ERR_NOTFOUND where st holds no
 * repository, ERR_CORRUPT, ERR_VERSION, ERR_DENIED. */
enum err repo_open(struct repo **out, struct store *st,
	const struct repo_conf *conf, struct error *err) MUST_CHECK;
void repo_close(struct repo *r);

struct store *repo_store(struct repo *r);
const struct config *repo_config(const struct repo *r);
const struct keyset *repo_keys(const struct repo *r);
/* NULL without the id key. */
const struct gear *repo_gear(const struct repo *r);
/* The index is opened at first use. */
enum err repo_index(struct repo *r, struct index **out,
	struct error *err) MUST_CHECK;

enum err lane_new(struct lane **out, struct repo *r,
	struct error *err) MUST_CHECK;
void lane_free(struct lane *lane);

/* Names, by the id key. */
void repo_data_id(const struct repo *r, const void *data, size_t len,
	struct id *out);
void repo_node_id(const struct repo *r, const void *head, size_t head_len,
	const void *body, size_t body_len, struct id *out);

/*
 * Read a chunk: find it, fetch, open, decompress, and prove it by its id.
 * Appends to out; for a node the head, *head_len bytes, then the body (NULL
 * for data).  A chunk of the other type is ERR_CORRUPT, a missing one
 * ERR_NOTFOUND with its id, also where its pack is gone.  Every copy of the
 * chunk is tried, and once an index read anew.
 */
enum err repo_read_data(struct lane *lane, const struct id *id, struct buf *out,
	struct error *err) MUST_CHECK;
enum err repo_read_node(struct lane *lane, const struct id *id, struct buf *out,
	size_t *head_len, struct error *err) MUST_CHECK;

/* The references of a node, which need no data key.  Proven by its tag, not
 * by its id. */
enum err repo_read_head(struct lane *lane, const struct id *id, struct buf *out,
	struct error *err) MUST_CHECK;

/*
 * The references of a node as each of its copies has them: whoever may add to
 * the repository can add a copy that lies, and without content keys nobody
 * knows which.  ERR_NOTFOUND where there is none; a copy that is there and
 * damaged ends it, one whose pack is gone does not.
 */
typedef enum err repo_head_fn(void *arg, const void *head, size_t len,
	struct error *err);
enum err repo_each_head(struct lane *lane, const struct id *id,
	repo_head_fn *fn, void *arg, struct error *err) MUST_CHECK;

/* The same, where a location is known already; it is tried first. */
enum err repo_read_at(struct lane *lane, const struct location *loc,
	struct buf *out, size_t *head_len, struct error *err) MUST_CHECK;

/*
 * Compare a pack with what the index says of it (n records): object size,
 * header, trailer, table.  With read_data, also its name against its bytes
 * and every record of it as far as the key can open it.  ERR_CORRUPT with the
 * first thing that is wrong.
 */
enum err repo_check_pack(struct lane *lane, const struct pack_info *pack,
	const struct record *recs, bool read_data,
	struct error *err) MUST_CHECK;

/* One snapshot object, opened but not decoded. */
struct snapshot_ref {
	struct uid uid;
	struct uid ns_id;
	char ns[UID_HEX + 1]; /* the same as text */
	uint64_t view;
	bool forgotten; /* it is to be removed */
	bool held; /* it must not be forgotten */
	bool void_; /* it does not count */
	const uint8_t *data;
	size_t len;
};

typedef enum err repo_snapshot_fn(void *arg, const struct snapshot_ref *ref,
	struct error *err);
/* A snapshot that cannot be opened, or whose signature is wrong, is told here;
 * its result goes on or ends. */
typedef enum err repo_snapshot_bad_fn(void *arg, const char *name,
	const struct error *why, struct error *err);

/* Every snapshot that counts and is not forgotten, in no order; FENCED ones
 * are passed over.  bad may be NULL: then the first bad one ends it. */
enum err repo_each_snapshot(struct repo *r, repo_snapshot_fn *fn,
	repo_snapshot_bad_fn *bad, void *arg, struct error *err) MUST_CHECK;

/* The same, and forgotten ones, and those that do not count. */
enum { SNAPSHOTS_FORGOTTEN = 1, SNAPSHOTS_VOID = 2 };
enum err repo_each_snapshot_of(struct repo *r, unsigned flags,
	repo_snapshot_fn *fn, repo_snapshot_bad_fn *bad, void *arg,
	struct error *err) MUST_CHECK;

/* Of these, only those whose uid begins with these hexadecimal digits; others
 * are listed and not read. */
enum err repo_each_snapshot_named(struct repo *r, const char *digits,
	unsigned flags, repo_snapshot_fn *fn, repo_snapshot_bad_fn *bad,
	void *arg, struct error *err) MUST_CHECK;

#endif /* REPO_REPO_H */
