/* SPDX-License-Identifier: Apache-2.0 */
/* content_equal: two contents, one common run of bytes after the other. */
#include <string.h>

#include "tree/content.h"

enum { STEP = 32 << 10 };

/* Whether two pieces are known to be equal without their bytes. */
static bool
same_piece(const struct piece *a, const struct piece *b)
{
	if (a->kind != b->kind)
		return false;
	return a->kind == PIECE_HOLE ||
	       (a->kind == PIECE_CHUNK && a->chunk_off == b->chunk_off &&
		       id_eq(&a->chunk, &b->chunk));
}

static enum err
equal_bytes(struct content_view *a, struct content_view *b, uint64_t off,
	uint64_t len, bool *equal, struct error *err)
{
	uint8_t x[STEP], y[STEP];
	size_t n, m;
	enum err rc;

	for (uint64_t at = 0; at < len && *equal; at += n) {
		n = len - at < STEP ? (size_t)(len - at) : STEP;
		rc = content_read(a, off + at, x, n, &m, err);
		if (rc == ERR_OK)
			rc = content_read(b, off + at, y, n, &m, err);
		if (rc != ERR_OK)
			return rc;
		*equal = memcmp(x, y, n) == 0;
	}
	return ERR_OK;
}

enum err
content_equal(struct content_view *a, struct content_view *b, bool *equal,
	struct error *err)
{
	uint64_t size = content_size(a), n;
	struct piece p, q;
	enum err rc = ERR_OK;

	*equal = content_size(b) == size;
	for (uint64_t off = 0; off < size && *equal; off += n) {
		rc = content_piece(a, off, &p, err);
		if (rc == ERR_OK)
			rc = content_piece(b, off, &q, err);
		if (rc != ERR_OK)
			return rc;
		n = p.len < q.len ? p.len : q.len;
		if (same_piece(&p, &q))
			continue;
		rc = equal_bytes(a, b, off, n, equal, err);
		if (rc != ERR_OK)
			return rc;
	}
	return rc;
}
