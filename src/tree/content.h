/* SPDX-License-Identifier: Apache-2.0 */
/*
 * content: the bytes of an entry, whatever way they are kept: inline, slices,
 * extents, or as another name of an earlier entry.
 *
 *   content_open -> content_piece or content_read, anywhere -> content_close
 *
 * content_piece needs no data chunk, content_read fetches what it needs and
 * keeps the last few chunks: CONTENT_CACHE bytes at most, and three times as
 * much for extents in many small pieces, which come back to the same chunks
 * over and over.  One thread.
 */
#ifndef TREE_CONTENT_H
#define TREE_CONTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "model/entry.h"
#include "tree/io.h"

enum { CONTENT_CACHE = 16 << 20 };

struct content_view;

/* A run of bytes: a hole, bytes at hand, or a part of a chunk. */
struct piece {
	uint64_t off, len;
	enum { PIECE_HOLE, PIECE_BYTES, PIECE_CHUNK } kind;
	const uint8_t *bytes; /* PIECE_BYTES; valid until close */
	struct id chunk; /* PIECE_CHUNK */
	uint32_t chunk_off;
};

/*
 * The content of e, which is copied as far as it is needed.  root is the
 * entries tree that e comes from: links are looked up there (one step; a link
 * to a link is ERR_CORRUPT).  An entry whose content was not stored
 * (unreadable) is ERR_NOTFOUND.
 */
enum err content_open(struct content_view **out, struct tree_io *io,
	const struct id *root, const struct entry *e,
	struct error *err) MUST_CHECK;
void content_close(struct content_view *v);

/* As content_open, by a view that stood for another entry: the chunks it has
 * fetched stay at hand.  After a failure it stands for nothing. */
enum err content_reopen(struct content_view *v, const struct id *root,
	const struct entry *e, struct error *err) MUST_CHECK;

uint64_t content_size(const struct content_view *v);

/* The piece that covers off, from off on; its len is 0 at the end. */
enum err content_piece(struct content_view *v, uint64_t off, struct piece *out,
	struct error *err) MUST_CHECK;

/* Up to len bytes at off, holes as zeroes; *got < len only at the end. */
enum err content_read(struct content_view *v, uint64_t off, void *data,
	size_t len, size_t *got, struct error *err) MUST_CHECK;

/* Whether the bytes are the same.  What both keep as the same part of the
 * same chunk, or as a hole, is not fetched. */
enum err content_equal(struct content_view *a, struct content_view *b,
	bool *equal, struct error *err) MUST_CHECK;

#endif /* TREE_CONTENT_H */
