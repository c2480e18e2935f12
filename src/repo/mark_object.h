/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark_object: names and bytes of the objects below forgotten/ and holds/
 * (docs/format.md, section 11).  Pure.
 */
#ifndef REPO_MARK_OBJECT_H
#define REPO_MARK_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/time.h"
#include "repo/box.h"
#include "repo/epoch.h"
#include "store/store.h"

enum mark_kind {
	MARK_FORGOTTEN, /* forgotten/NS/SID.K */
	MARK_END, /* forgotten/NS/SID.K.end */
	MARK_HOLD /* holds/NS/SID */
};

struct mark_object {
	enum mark_kind kind;
	struct snapshot_name name;
	uint64_t k; /* 0 for a hold */
};

/* What the one byte of an end says. */
enum mark_end { MARK_UNDELETED = 1, MARK_SWEPT };

enum { MARK_REASON_MAX = 4096, MARK_PLAIN_MAX = 8192 };

/* 18 digits */
#define MARK_K_MAX 999999999999999999u

enum box_kind mark_object_box(enum mark_kind kind);

void mark_object_name(char out[STORE_NAME_MAX + 1],
	const struct mark_object *o);
/* Any text; false where no mark has such a name. */
bool mark_object_parse(struct mark_object *out, const char *name) MUST_CHECK;

/* Time and reason, of a forgotten mark and of a hold.  ERR_USAGE for a reason
 * that is too long. */
enum err mark_object_encode(struct buf *out, const struct when *time,
	const char *reason, struct error *err) MUST_CHECK;
/* ERR_CORRUPT.  The reason lies in data. */
enum err mark_object_decode(const uint8_t *data, size_t len, struct when *time,
	const uint8_t **reason, size_t *reason_len,
	struct error *err) MUST_CHECK;

/* ERR_CORRUPT where it is neither. */
enum err mark_object_decode_end(const uint8_t *data, size_t len,
	enum mark_end *out, struct error *err) MUST_CHECK;

#endif /* REPO_MARK_OBJECT_H */
