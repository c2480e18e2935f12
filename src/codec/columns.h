/* SPDX-License-Identifier: Apache-2.0 */
/*
 * columns: lines that resemble one another, turned on their side.
 *
 * Most lines of a log have one of a few shapes, and differ in numbers and
 * names.  Here each shape is told once; of a line only which it has; and what
 * stands at the same place of alike lines comes one after the other: numbers
 * as distances from one that was near them before, text that was there before
 * by how long ago.  A compressor then finds in a few bytes what it would have
 * to look for across whole lines.  (As in column stores; for logs: Rodrigues,
 * Luo, Yuan, "CLP", OSDI 2021.)
 *
 * Any bytes come back as they were; that they are lines is only supposed.
 * Format: docs/format.md, section 5, "Columns".
 */
#ifndef CODEC_COLUMNS_H
#define CODEC_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"

enum {
	COLUMNS_MIN = 512, /* bytes: of fewer nothing is gained */
	COLUMNS_PLAIN = 1 << 30, /* bytes at most */
	COLUMNS_MAX = 4096, /* columns; shapes */
	COLUMNS_PLACES = 64, /* of numbers and names in a shape */
	COLUMNS_LITERAL = 1024 /* bytes of a shape between them */
};

/* Lines as columns.  Zeroed: nothing yet, with max bytes.  A part ends where
 * bytes of another nature begin: a compressor does well to start anew there. */
struct columns {
	struct buf bytes;
	size_t *ends; /* of the parts, ascending; the last is bytes.len */
	size_t n, cap;
};

void columns_init(struct columns *c, size_t max);
void columns_fini(struct columns *c);

/* Whether a few bytes out of the middle look like lines with numbers. */
bool columns_likely(const void *data, size_t len);

/*
 * Of len bytes (at most COLUMNS_PLAIN), at most as many.  *fit false, and
 * nothing in out, where they are no such lines.  Takes two to three times len
 * of memory while it works, six at most. ERR_NOMEM.
 */
enum err columns_encode(struct columns *out, const void *data, size_t len,
	bool *fit, struct error *err) MUST_CHECK;

/* Back into exactly plain_len bytes at out.  What is encoded wrongly is
 * ERR_CORRUPT; nothing is written beyond plain_len.  ERR_NOMEM. */
enum err columns_decode(const void *data, size_t len, void *out,
	size_t plain_len, struct error *err) MUST_CHECK;

#endif /* CODEC_COLUMNS_H */
