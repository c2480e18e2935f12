/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload: contents with chunks of their own, larger files and streams, cut by
 * the chunker on the walking thread and stored by the workers.
 *
 * Chunks on their way are kept in order; as they land, their names become
 * the slices of their file, or, where these are many, its extent tree.
 */
#ifndef ENGINE_UPLOAD_H
#define ENGINE_UPLOAD_H

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "engine/ingest.h"
#include "engine/outbox.h"
#include "source/source.h"

struct upload;
struct flight;

struct uploads {
	struct ingest *in;
	struct flight *flights; /* a ring of n_max */
	unsigned first, n, n_max;
	struct upload *live; /* those not yet complete, in no order */
	struct error err; /* the first chunk that could not be stored */
};

enum err uploads_init(struct uploads *u, struct ingest *in,
	struct error *err) MUST_CHECK;
/* Waits for what is in flight. */
void uploads_fini(struct uploads *u);

/* Have s filled in with what r reads, all of it now; takes r over, also on
 * failure. */
enum err upload_file(struct uploads *u, struct slot *s, const struct entry *e,
	struct reader *r, struct error *err) MUST_CHECK;

/* The same for bytes that come piece by piece.  Between begin and end there
 * is no other upload. */
enum err upload_begin(struct uploads *u, struct slot *s, const struct entry *e,
	struct upload **out, struct error *err) MUST_CHECK;
enum err upload_write(struct upload *up, const void *data, size_t len,
	struct error *err) MUST_CHECK;
enum err upload_end(struct upload *up, struct error *err) MUST_CHECK;

#endif /* ENGINE_UPLOAD_H */
