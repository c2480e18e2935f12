/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rbd_export: the container of `rbd export --export-format 2`: how an image is
 * set up, and then a difference stream (version 2) for each of its snapshots,
 * oldest first, and for its head.
 *
 *   rbd_export_read_head -> rbd_diff_open ... rbd_diff_close, n_diffs times
 *   rbd_export_write_head -> a rbd_diff_writer, n_diffs times
 *
 * Source: doc/dev/rbd-export.rst of Ceph, and what rbd 16.2 writes.
 */
#ifndef FORMAT_RBD_EXPORT_H
#define FORMAT_RBD_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "format/rbd_in.h"
#include "format/rbd_out.h"

enum {
	RBD_EXPORT_BANNER = 13, /* "rbd image v2\n" */
	RBD_EXPORT_META_MAX = 4096, /* pairs */
	RBD_EXPORT_TEXT_MAX = 1 << 20, /* of a key or a value */
	RBD_ORDER_MIN = 12,
	RBD_ORDER_MAX = 25
};

struct rbd_export_meta {
	char *key, *value;
};

/* What was not told is 0. */
struct rbd_export_head {
	unsigned order;
	uint64_t features, stripe_unit, stripe_count;
	struct rbd_export_meta *meta; /* owned, with its texts */
	size_t n_meta;
	uint64_t n_diffs;
	uint64_t unknown; /* records that are not known, and passed over */
};

void rbd_export_head_fini(struct rbd_export_head *h);

/* Whether banner, RBD_EXPORT_BANNER bytes, begins a container. */
bool rbd_export_is(const void *banner, size_t len);

/* Up to the first difference stream.  h is initialised by it.  ERR_CORRUPT
 * with the offset of what is wrong. */
enum err rbd_export_read_head(struct rbd_export_head *h, struct rbd_in *in,
	struct error *err) MUST_CHECK;

enum err rbd_export_write_head(struct rbd_out *out,
	const struct rbd_export_head *h, struct error *err) MUST_CHECK;

#endif /* FORMAT_RBD_EXPORT_H */
