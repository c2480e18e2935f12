/* SPDX-License-Identifier: Apache-2.0 */
/* delta_window: see delta_window.h. */
#include "codec/delta_window.h"

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = sizeof(uint64_t), STRIDE = 4 * WORD };

enum err
delta_window_init(struct delta_window *w, const struct delta_file *file,
	struct error *err)
{
	*w = (struct delta_window){ .file = file };
	w->buf = malloc(DELTA_WINDOW);
	if (w->buf == NULL)
		return err_set(err, ERR_NOMEM, "delta: out of memory");
	return ERR_OK;
}

void
delta_window_fini(struct delta_window *w)
{
	free(w->buf);
	w->buf = NULL;
}

/* Make off the front of the window, with what it has of that already. */
static void
move_to(struct delta_window *w, uint64_t off)
{
	size_t gone;

	if (off < w->base || off - w->base > w->len) {
		w->len = 0;
	} else {
		gone = (size_t)(off - w->base);
		w->len -= gone;
		memmove(w->buf, w->buf + gone, w->len);
	}
	w->base = off;
}

static enum err
fill(struct delta_window *w, uint64_t off, size_t want, struct error *err)
{
	bool goes_on = off >= w->base && off - w->base <= w->len;
	size_t to = goes_on ? DELTA_WINDOW : want;
	enum err rc;

	move_to(w, off);
	if (to > w->file->size - off)
		to = (size_t)(w->file->size - off);
	if (to <= w->len)
		return ERR_OK;
	rc = w->file->read(w->file->arg, off + w->len, w->buf + w->len,
		to - w->len, err);
	if (rc == ERR_OK)
		w->len = to;
	return rc;
}

enum err
delta_window_at(struct delta_window *w, uint64_t off, size_t want,
	struct delta_view *out, struct error *err)
{
	uint64_t left = w->file->size - off;
	enum err rc;

	assert(off <= w->file->size && want <= DELTA_WINDOW);
	if (want > left)
		want = (size_t)left;
	if (off < w->base || off - w->base > w->len ||
		w->len - (size_t)(off - w->base) < want) {
		rc = fill(w, off, want, err);
		if (rc != ERR_OK)
			return rc;
	}
	out->data = w->buf + (off - w->base);
	out->len = w->len - (size_t)(off - w->base);
	return ERR_OK;
}

static uint64_t
differs(const uint8_t *a, const uint8_t *b)
{
	uint64_t x, y;

	memcpy(&x, a, WORD);
	memcpy(&y, b, WORD);
	return x ^ y;
}

size_t
delta_view_alike(const struct delta_view *a, const struct delta_view *b)
{
	const uint8_t *p = a->data, *q = b->data;
	size_t n = a->len < b->len ? a->len : b->len, i = 0;

	for (; n - i >= STRIDE; i += STRIDE) {
		uint64_t d = 0;

		for (size_t k = 0; k < STRIDE; k += WORD)
			d |= differs(p + i + k, q + i + k);
		if (d != 0)
			break;
	}
	for (; n - i >= WORD; i += WORD) {
		uint64_t d = differs(p + i, q + i);

		if (d != 0)
			return i + (size_t)__builtin_ctzll(htole64(d)) / 8;
	}
	while (i < n && p[i] == q[i])
		i++;
	return i;
}
