/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodefile: the bytes of one file of the node cache (repo/nodecache.h).
 *
 *   header   magic · u32 version · u32 0 · 32 bytes of salt
 *   records  head and body of a node, sealed, one behind the other
 *   table    root · for each record: id · u32 length · u32 length of its head
 *            sealed
 *   footer   u64 number of records
 *
 * Sealed is AES-256-GCM (codec/aead.h) under a key of this file alone, derived
 * from the structure key, the id key and the salt.  Record i has the number
 * i + 1 and its id and the head's length as additional data; the table has
 * the number 0, and header and footer.  A file is written once, front to back,
 * and an attempt that failed is not gone on with, so no number is used twice.
 * Each byte is proven by one of the tags, and where a record lies follows from
 * the lengths before it.
 *
 *   nodefile_init -> nodefile_create -> nodefile_append... -> nodefile_finish
 *                 or nodefile_load -> nodefile_find, nodefile_read
 *                 -> nodefile_fini
 *
 * The layout may change at any time; then VERSION does, and caches are made
 * anew.  One thread at a time.
 */
#ifndef REPO_NODEFILE_H
#define REPO_NODEFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/secret.h"
#include "codec/aead.h"
#include "repo/keys.h"
#include "repo/writer.h"

enum {
	NODEFILE_HEADER = 48,
	NODEFILE_FOOTER = 8,
	NODEFILE_NODES_MAX = 1 << 20
};

struct nodefile_rec {
	struct id id;
	uint64_t off; /* in the file */
	uint32_t len; /* plain, of head and body */
	uint32_t head_len;
	bool wanted; /* the user's */
};

struct nodefile {
	int fd; /* owned; -1: none */
	const struct keyset *keys; /* borrowed */
	struct aead *aead;
	struct secret key;
	uint8_t header[NODEFILE_HEADER];
	struct id root; /* after load, or finish */
	uint64_t end; /* where the next record goes */
	struct nodefile_rec *recs; /* in the order of the file */
	uint32_t n, room;
	uint32_t *slots; /* by id: number of the record plus one; 0: free */
	uint32_t n_slots;
	struct buf sealed;
};

enum err nodefile_init(struct nodefile *f, const struct keyset *keys,
	struct error *err) MUST_CHECK;
void nodefile_fini(struct nodefile *f); /* a zeroed one is allowed */

/* Begin a new file in fd, which is taken over and empty. */
enum err nodefile_create(struct nodefile *f, int fd,
	struct error *err) MUST_CHECK;
/* Its id must not be there yet.  ERR_NOMEM also beyond NODEFILE_NODES_MAX. */
enum err nodefile_append(struct nodefile *f, const struct id *id,
	const struct node_bytes *node, struct error *err) MUST_CHECK;
/* Complete the file: it holds the trees below root. */
enum err nodefile_finish(struct nodefile *f, const struct id *root,
	struct error *err) MUST_CHECK;

/* Its size in bytes, were it finished with more records of so many plain
 * bytes in all. */
uint64_t nodefile_size(const struct nodefile *f, uint64_t more,
	uint64_t more_len);

/* Take fd over and authenticate all that is in it.  ERR_CORRUPT for whatever
 * is not a whole file of these keys; f is then without a file. */
enum err nodefile_load(struct nodefile *f, int fd,
	struct error *err) MUST_CHECK;

/* NULL where it is not there; valid until the next append. */
struct nodefile_rec *nodefile_find(const struct nodefile *f,
	const struct id *id);

/* Head and body, appended to out. */
enum err nodefile_read(struct nodefile *f, const struct nodefile_rec *rec,
	struct buf *out, struct error *err) MUST_CHECK;

#endif /* REPO_NODEFILE_H */
