/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outbox: entries in key order on their way into the new tree, some of them
 * still waiting for their content to be stored.
 *
 * The walker appends; what is complete at the front goes to the builder.  At
 * most OUTBOX_ENTRIES wait (or OUTBOX_BYTES of them); then the walker waits
 * for the front.  One thread, but for outbox_filled.
 */
#ifndef ENGINE_OUTBOX_H
#define ENGINE_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"
#include "tree/builder.h"

enum { OUTBOX_ENTRIES = 16384, OUTBOX_BYTES = 8 << 20 };

struct outbox;

/*
 * One entry.  What fills it in later is its filler: is_done asks without
 * waiting, finish waits.  Both NULL: complete when it is appended.
 */
struct slot {
	struct slot *next;
	uint8_t *key;
	size_t key_len;
	struct buf val;
	struct refs refs;
	uint64_t weight;
	struct outbox *box;
	size_t cost; /* counted in the outbox's bytes */
	bool dropped; /* it vanished: not part of the snapshot */
	void *filler;
	bool (*is_done)(const struct slot *s);
	enum err (*finish)(struct slot *s, struct error *err);
};

struct outbox {
	struct builder *builder;
	struct slot *first, **last;
	size_t n;
	_Atomic size_t bytes;
};

void outbox_init(struct outbox *o, struct builder *builder);
/* What is left is thrown away; fillers must have ended. */
void outbox_fini(struct outbox *o);

/* A new slot at the end for key (copied). */
enum err outbox_append(struct outbox *o, struct bytes key, struct slot **out,
	struct error *err) MUST_CHECK;

/* s has got its value: it counts from now on.  Any thread. */
void outbox_filled(struct slot *s);

/* An entry that is complete already, as its item. */
enum err outbox_item(struct outbox *o, const struct item *item,
	struct error *err) MUST_CHECK;

/* Hand on what is complete; wait where too much is held. */
enum err outbox_turn(struct outbox *o, struct error *err) MUST_CHECK;

/* Wait for everything. */
enum err outbox_drain(struct outbox *o, struct error *err) MUST_CHECK;

#endif /* ENGINE_OUTBOX_H */
