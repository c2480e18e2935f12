/* SPDX-License-Identifier: Apache-2.0 */
/*
 * texts: different texts, numbered in the order in which they came.
 *
 * They may come from strangers: their places in the table are SipHashes with
 * a key that is drawn at birth, and nothing else depends on it.
 */
#ifndef CODEC_TEXTS_H
#define CODEC_TEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "codec/shorthash.h"

struct text {
	uint32_t off, len; /* in bytes */
};

struct texts {
	struct shorthash_key key;
	struct buf bytes; /* of all, one behind the other */
	struct text *v;
	size_t n, cap;
	uint32_t *slots; /* 1 << bits: a number + 1, or 0 */
	unsigned bits;
};

/* Of at most max bytes together, below 4 GiB. */
void texts_init(struct texts *t, size_t max);
void texts_fini(struct texts *t);

bool texts_find(const struct texts *t, const void *text, size_t len,
	uint32_t *number);

/* Its number; t->n where it is new.  ERR_NOMEM, also beyond max. */
enum err texts_add(struct texts *t, const void *text, size_t len,
	uint32_t *number, struct error *err) MUST_CHECK;

#endif /* CODEC_TEXTS_H */
