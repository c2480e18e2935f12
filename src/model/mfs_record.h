/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mfs_record: what a snapshot of a MooseFS says of itself, moosefs.json
 * (coffer-source-moosefs(7) lists its members).
 */
#ifndef MODEL_MFS_RECORD_H
#define MODEL_MFS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/id.h"
#include "base/time.h"

/* Longer records are not believed. */
enum { MFS_RECORD_MAX = 32 << 10, MFS_RECORD_GEN = 32, MFS_RECORD_MASTER = 24 };

extern const char mfs_record_name[]; /* its key in the snapshot */

struct mfs_record {
	char generation[MFS_RECORD_GEN]; /* the directory of its entries */
	/* The version of the master that had the image, "3.0.117"; "" where
	 * it is not known. */
	char master[MFS_RECORD_MASTER];
	uint64_t image_version, image_size;
	/* Plain BLAKE3 of the image as it was read.  Records of before had
	 * none. */
	bool has_hash;
	struct id image_hash;

	/* What is written only. */
	const char *source; /* its label; borrowed */
	uint64_t first, last; /* changes */
	uint64_t segments;
	bool complete;
	struct when changed; /* sec 0: no change is behind the image */
	struct when captured;
};

enum err mfs_record_encode(const struct mfs_record *r, struct buf *out,
	struct error *err) MUST_CHECK;
/* Members that it does not know are passed over; one of the wrong type or
 * range is ERR_CORRUPT. */
enum err mfs_record_decode(struct mfs_record *r, const void *data, size_t len,
	struct error *err) MUST_CHECK;

#endif /* MODEL_MFS_RECORD_H */
