/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gather: small files, in walk order, into shared chunks.
 *
 * The walker puts readers into the open batch; a worker takes a batch, reads
 * its files into one buffer, and stores that as a chunk while it is hot.
 * Where a batch ends depends on the files' names and sizes only, so that the
 * same directory on another host, or under another parent, is gathered alike.
 */
#ifndef ENGINE_GATHER_H
#define ENGINE_GATHER_H

#include "base/compiler.h"
#include "base/err.h"
#include "engine/ingest.h"
#include "engine/outbox.h"
#include "source/source.h"

struct batch;

struct gather {
	struct ingest *in;
	struct batch *open; /* NULL: none */
	struct batch *sent; /* newest first; each is freed by its last slot */
};

void gather_init(struct gather *g, struct ingest *in);
/* Waits for what was sent; throws the open batch away. */
void gather_fini(struct gather *g);

/* Have s filled in with what r reads; takes r over, also on failure. */
enum err gather_add(struct gather *g, struct slot *s, const struct entry *e,
	struct reader *r, struct error *err) MUST_CHECK;

/* Send the open batch to a worker. */
void gather_flush(struct gather *g);

#endif /* ENGINE_GATHER_H */
