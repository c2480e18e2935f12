/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_record: what is kept beside an RBD image: images/POOL/IMAGE@rbd.json
 * (docs/guide/rbd.md lists its members).  It owns all its strings.
 */
#ifndef MODEL_RBD_RECORD_H
#define MODEL_RBD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/ranges.h"
#include "base/time.h"

struct rbd_meta {
	char *key, *value;
};

/* A snapshot that the image had. */
struct rbd_snap {
	char *name;
	uint64_t id, size;
	bool is_protected;
};

struct rbd_parent {
	char *pool, *ns, *image, *image_id, *snap;
	uint64_t snap_id, overlap;
};

struct rbd_record {
	/* Where it was. */
	char *fsid; /* NULL: not known (imported from a diff file) */
	char *pool, *ns, *image, *image_id;
	/* The snapshot that was backed up, and that the next difference is
	 * taken from.  NULL and 0: the head (a dry run). */
	char *snap;
	uint64_t snap_id;
	struct when taken;
	/* How it was set up. */
	uint64_t size;
	unsigned order;
	uint64_t features, stripe_unit, stripe_count;
	char *data_pool; /* NULL: none */
	struct rbd_meta *meta;
	size_t n_meta;
	struct rbd_snap *snaps;
	size_t n_snaps;
	bool has_parent;
	struct rbd_parent parent;
	/* Whether the image here holds what it saw through its parent, too.
	 * If not, IMAGE@rbd.own has a bit for each object that is its own. */
	bool parent_data;
	/* Why all of it was read; NULL: only what had changed was. */
	char *why_full;
	/* What may differ between this snapshot and any older one that the
	 * image then had: after a rollback to such a one, fast-diff of Ceph 16
	 * takes that for unchanged, so the next difference looks closer there
	 * (system/ceph_changes.h).  Not known: everywhere. */
	bool older_known;
	struct ranges older;
};

/* Longer records are not believed. */
enum { RBD_RECORD_MAX = 16 << 20, RBD_OLDER_MAX = 512 };

void rbd_record_init(struct rbd_record *r);
void rbd_record_fini(struct rbd_record *r);

enum err rbd_record_encode(const struct rbd_record *r, struct buf *out,
	struct error *err) MUST_CHECK;
/* r was initialised.  Members that it does not know are passed over; a member
 * of the wrong type or range is ERR_CORRUPT. */
enum err rbd_record_decode(struct rbd_record *r, const void *data, size_t len,
	struct error *err) MUST_CHECK;

/*
 * Append a copy of the text, or of the pair, to what r has; for those who fill
 * in a record.  A NULL text is an empty one.
 */
enum err rbd_record_add_meta(struct rbd_record *r, const char *key,
	const char *value, struct error *err) MUST_CHECK;
enum err rbd_record_add_snap(struct rbd_record *r, const char *name,
	uint64_t id, uint64_t size, bool is_protected,
	struct error *err) MUST_CHECK;

/*
 * Append the keys images/POOL[/@NS]/IMAGE, the record beside it, and the
 * bitmap of own objects.  '@' cannot be in the name of a pool, a namespace or
 * an image that the rbd command can speak of, so they meet no other image's.
 * A name that cannot be in a path (with '@' or '/', "..", too long) is
 * ERR_USAGE.
 */
enum err rbd_image_key(struct buf *out, const char *pool, const char *ns,
	const char *image, struct error *err) MUST_CHECK;
enum err rbd_record_key(struct buf *out, const char *pool, const char *ns,
	const char *image, struct error *err) MUST_CHECK;
enum err rbd_own_key(struct buf *out, const char *pool, const char *ns,
	const char *image, struct error *err) MUST_CHECK;

#endif /* MODEL_RBD_RECORD_H */
