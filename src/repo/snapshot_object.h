/* SPDX-License-Identifier: Apache-2.0 */
/*
 * snapshot_object: the bytes of snapshots/NS/SID (docs/format.md, section 7):
 * a record that the identity NS has signed, or the fence of a prune.
 */
#ifndef REPO_SNAPSHOT_OBJECT_H
#define REPO_SNAPSHOT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "repo/epoch.h"
#include "repo/keys.h"

enum { SNAPSHOT_MAX = 16 << 20 }; /* of the object */

#define SNAPSHOT_FENCE "FENCED"
bool snapshot_object_is_fence(const void *data, size_t len);

/* false where name is not of the form "snapshots/NS/SID". */
bool snapshot_object_parse(const char *name,
	struct snapshot_name *out) MUST_CHECK;

/* Sign with the identity of ks and seal; appended to out. */
enum err snapshot_object_seal(struct buf *out, const struct keyset *ks,
	const char *name, uint64_t view, const void *record, size_t len,
	struct error *err) MUST_CHECK;

/*
 * Open and verify; plain is made empty before, and afterwards holds what
 * *record points into.  ERR_CORRUPT also where the signature is not that of
 * the identity in the name.
 */
struct snapshot_opened {
	uint64_t view;
	const uint8_t *record;
	size_t len;
};
enum err snapshot_object_open(struct snapshot_opened *out, struct buf *plain,
	const struct secret *structure, const char *name, const void *data,
	size_t len, struct error *err) MUST_CHECK;

#endif /* REPO_SNAPSHOT_OBJECT_H */
