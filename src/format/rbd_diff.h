/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_diff: the difference stream of `rbd export-diff`, read and written.
 *
 *   rbd_diff_open -> rbd_diff_next, rbd_diff_read ... -> rbd_diff_close
 *   rbd_diff_writer_new -> rbd_diff_begin, rbd_diff_put, rbd_diff_zero ...
 *     -> rbd_diff_end -> rbd_diff_writer_free
 *
 * Version 1 is a file of its own; version 2 stands inside the container of
 * `rbd export --export-format 2` (format/rbd_export.h).  A stream tells what
 * changed between two snapshots of an image: `from` (none: an empty image) and
 * `to` (none: the image's head), in ascending order of offsets.
 *
 * Reading trusts nothing.  What is wrong is ERR_CORRUPT, and the message
 * begins with the offset of the record in the stream: "at byte 35: ...".  The
 * payload of a record may be of any length: it is handed out in parts.
 *
 * One thread at a time.  Source: doc/dev/rbd-diff.rst and
 * doc/dev/rbd-export.rst of Ceph, and what rbd 16.2 writes and takes.
 */
#ifndef FORMAT_RBD_DIFF_H
#define FORMAT_RBD_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "format/rbd_in.h"
#include "format/rbd_out.h"

enum {
	RBD_NAME_MAX = 4096, /* of a snapshot, as rbd reads it */
	RBD_BANNER = 12, /* "rbd diff v1\n" */
	RBD_OBJECT = 4 << 20 /* the usual size of an object */
};

enum rbd_diff_version { RBD_DIFF_V1 = 1, RBD_DIFF_V2 = 2 };

struct rbd_diff_head {
	const char *from, *to; /* NULL: none */
	uint64_t size; /* of the image at `to` */
	bool is_protected; /* `to` is; version 2 only */
};

struct rbd_diff_range {
	enum { RBD_DIFF_END, RBD_DIFF_DATA, RBD_DIFF_ZERO } kind;
	uint64_t off, len;
	uint64_t at; /* of the record in the stream */
};

/* ---- reading ---- */

struct rbd_diff;

/* Reads up to the first record of data.  in is borrowed and may stand anywhere
 * in a larger stream.  ERR_VERSION for a banner that is not of this version. */
enum err rbd_diff_open(struct rbd_diff **out, struct rbd_in *in,
	enum rbd_diff_version version, struct error *err) MUST_CHECK;
void rbd_diff_close(struct rbd_diff *d);

const struct rbd_diff_head *rbd_diff_head(const struct rbd_diff *d);

/*
 * The next record, after what was not read of the last one's payload.  Data
 * lies within the image; of zeroes what lies beyond its end is cut off.  After
 * RBD_DIFF_END, which is the end mark, nothing more is read.
 */
enum err rbd_diff_next(struct rbd_diff *d, struct rbd_diff_range *run,
	struct error *err) MUST_CHECK;

/* len bytes of the payload of the record; no more than it has left. */
enum err rbd_diff_read(struct rbd_diff *d, void *data, size_t len,
	struct error *err) MUST_CHECK;
enum err rbd_diff_pass(struct rbd_diff *d, uint64_t len,
	struct error *err) MUST_CHECK;

/* ---- chains ---- */

/* What a chain of streams has come to; zeroed: nowhere yet. */
struct rbd_chain {
	char *name; /* of the last stream, for messages */
	char *to; /* NULL: the head */
};

/*
 * Go on with a stream, which begins at the snapshot that the last one ends at.
 * The first one may begin anywhere.  ERR_USAGE where it does not follow, with
 * the names of both snapshots.
 */
enum err rbd_chain_add(struct rbd_chain *c, const struct rbd_diff_head *head,
	const char *name, struct error *err) MUST_CHECK;
void rbd_chain_fini(struct rbd_chain *c);

/* ---- writing ---- */

struct rbd_diff_writer;

/*
 * Writes the banner and what head tells.  A run of data is split where an
 * object ends, since rbd holds each record in memory.  object 0: RBD_OBJECT.
 */
enum err rbd_diff_writer_new(struct rbd_diff_writer **out, struct rbd_out *o,
	enum rbd_diff_version version, const struct rbd_diff_head *head,
	uint64_t object, struct error *err) MUST_CHECK;
void rbd_diff_writer_free(struct rbd_diff_writer *w);

/* The len bytes that the next calls of rbd_diff_put bring lie at off.  Runs
 * ascend and lie within the image: else ERR_USAGE. */
enum err rbd_diff_begin(struct rbd_diff_writer *w, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;
enum err rbd_diff_put(struct rbd_diff_writer *w, const void *data, size_t len,
	struct error *err) MUST_CHECK;

enum err rbd_diff_zero(struct rbd_diff_writer *w, uint64_t off, uint64_t len,
	struct error *err) MUST_CHECK;

/* The end mark.  The last run is complete.  o is not flushed. */
enum err rbd_diff_end(struct rbd_diff_writer *w, struct error *err) MUST_CHECK;

#endif /* FORMAT_RBD_DIFF_H */
