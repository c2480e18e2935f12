/* SPDX-License-Identifier: Apache-2.0 */
/*
 * segment: an index segment, the list of some packs and their records
 * (docs/format.md, section 6).
 *
 * Written: segment_init, segment_add_pack and segment_add_record in turn,
 * segment_publish.  Read: segment_load calls back once per record.
 */
#ifndef REPO_SEGMENT_H
#define REPO_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/secret.h"
#include "repo/epoch.h"
#include "repo/record.h"
#include "store/store.h"

/* Of the plain bytes. */
enum { SEGMENT_MAX = 64 << 20, SEGMENT_NAME_MAX = 96 };

struct pack_info {
	struct id id;
	uint64_t size; /* of the object */
	uint32_t n_records;
};

struct segment {
	uint32_t n_packs;
	struct buf packs;
};

void segment_init(struct segment *seg);
void segment_fini(struct segment *seg);
bool segment_empty(const struct segment *seg);

/* recs in the order of the pack.  ERR_NOMEM where the segment would grow over
 * SEGMENT_MAX; it is then as it was. */
enum err segment_add(struct segment *seg, const struct pack_info *pack,
	const struct record *recs, struct error *err) MUST_CHECK;

/* Whose segments: those of a session with this view, or, with base, those
 * that the prune of this epoch made (session is then zero). */
struct segment_owner {
	uint64_t epoch;
	bool base;
	struct uid session;
};

/* Create the object; its name goes to ref.  Durable on return. */
enum err segment_publish(const struct segment *seg, struct store *st,
	const struct secret *structure, const struct segment_owner *owner,
	struct segment_ref *ref, struct error *err) MUST_CHECK;

struct segment_visitor {
	/* once per pack, then per record of it; session, once and first: any
	 * may be NULL */
	enum err (*pack)(void *arg, const struct pack_info *pack,
		struct error *err);
	enum err (*record)(void *arg, const struct location *loc,
		struct error *err);
	enum err (*session)(void *arg, const struct uid *session,
		struct error *err);
	void *arg;
};

/* Open and check a whole segment before anything of it is handed out. */
enum err segment_load(struct store *st, const char *name,
	const struct secret *structure, const struct segment_visitor *v,
	struct error *err) MUST_CHECK;

/* The same for the plain bytes of a segment. */
enum err segment_parse(const void *data, size_t len,
	const struct segment_visitor *v, struct error *err) MUST_CHECK;

/* "index/EPOCH/ID" or "index/EPOCH.base/ID", and back; false where name is
 * not of this form. */
void segment_name(const struct segment_ref *ref, char out[SEGMENT_NAME_MAX]);
bool segment_name_parse(const char *name, struct segment_ref *ref) MUST_CHECK;

/* By epoch, then base, then id: < 0, 0, > 0. */
int segment_cmp(const struct segment_ref *a, const struct segment_ref *b);

/*
 * Where the records of a pack lie: *off is PACK_HEADER for the first,
 * and is moved behind r.  ERR_CORRUPT where r does not fit into the pack.
 */
enum err segment_step(const struct pack_info *pack, const struct record *r,
	uint32_t *off, struct error *err) MUST_CHECK;

#endif /* REPO_SEGMENT_H */
