/* SPDX-License-Identifier: Apache-2.0 */
/* texts: open addressing, at most half full. */
#include "codec/texts.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/secret.h"

enum { BITS_FIRST = 8 };

void
texts_init(struct texts *t, size_t max)
{
	*t = (struct texts){ .bytes = BUF_INIT(max) };
	random_bytes(t->key.b, sizeof(t->key.b));
}

void
texts_fini(struct texts *t)
{
	buf_fini(&t->bytes);
	free(t->v);
	free(t->slots);
}

/* Where a text is, or would be. */
static uint32_t *
slot_of(const struct texts *t, const void *text, size_t len)
{
	size_t mask = ((size_t)1 << t->bits) - 1;
	size_t at = (size_t)shorthash(&t->key, text, len) & mask;

	for (; t->slots[at] != 0; at = (at + 1) & mask) {
		const struct text *there = &t->v[t->slots[at] - 1];

		if (there->len == len &&
			memcmp(t->bytes.data + there->off, text, len) == 0)
			break;
	}
	return &t->slots[at];
}

static enum err
widen(struct texts *t, struct error *err)
{
	unsigned bits = t->slots == NULL ? BITS_FIRST : t->bits + 1;
	uint32_t *slots = calloc((size_t)1 << bits, sizeof(*slots));

	if (slots == NULL)
		return err_set(err, ERR_NOMEM, "no memory for %zu texts",
			(size_t)1 << bits);
	free(t->slots);
	t->slots = slots;
	t->bits = bits;
	for (size_t i = 0; i < t->n; i++)
		*slot_of(t, t->bytes.data + t->v[i].off, t->v[i].len) =
			(uint32_t)i + 1;
	return ERR_OK;
}

bool
texts_find(const struct texts *t, const void *text, size_t len,
	uint32_t *number)
{
	uint32_t found = t->n == 0 ? 0 : *slot_of(t, text, len);

	*number = found - 1;
	return found != 0;
}

enum err
texts_add(struct texts *t, const void *text, size_t len, uint32_t *number,
	struct error *err)
{
	uint32_t *slot;
	void *grown;
	enum err rc = ERR_OK;

	if (t->slots == NULL || t->n >= (size_t)1 << (t->bits - 1))
		rc = widen(t, err);
	if (rc != ERR_OK)
		return rc;
	slot = slot_of(t, text, len);
	if (*slot != 0) {
		*number = *slot - 1;
		return ERR_OK;
	}
	grown = array_grow(t->v, t->n, &t->cap, sizeof(*t->v), err);
	if (grown == NULL)
		return ERR_NOMEM;
	t->v = grown;
	t->v[t->n].off = (uint32_t)t->bytes.len;
	t->v[t->n].len = (uint32_t)len;
	/* One more byte at least, so that there is memory to point at. */
	rc = buf_reserve(&t->bytes, len + 1, err);
	if (rc == ERR_OK)
		rc = buf_put(&t->bytes, text, len, err);
	if (rc != ERR_OK)
		return rc;
	*number = (uint32_t)t->n++;
	*slot = *number + 1;
	return ERR_OK;
}
