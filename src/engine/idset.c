/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/idset.h"

#include <stdlib.h>

enum { CAP_FIRST = 1024 };

static const struct id zero;

void
idset_fini(struct idset *s)
{
	free(s->v);
	*s = (struct idset){ 0 };
}

static struct id *
place(const struct idset *s, const struct id *id)
{
	size_t mask = s->cap - 1;
	size_t i = (size_t)id_prefix(id) & mask;

	while (!id_eq(&s->v[i], &zero) && !id_eq(&s->v[i], id))
		i = (i + 1) & mask;
	return &s->v[i];
}

static enum err
grow(struct idset *s, struct error *err)
{
	struct idset bigger = { .n = s->n,
		.cap = s->cap > 0 ? 2 * s->cap : CAP_FIRST,
		.has_zero = s->has_zero };

	bigger.v = calloc(bigger.cap, sizeof(struct id));
	if (bigger.v == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < s->cap; i++)
		if (!id_eq(&s->v[i], &zero))
			*place(&bigger, &s->v[i]) = s->v[i];
	free(s->v);
	*s = bigger;
	return ERR_OK;
}

enum err
idset_add(struct idset *s, const struct id *id, bool *added, struct error *err)
{
	struct id *at;
	enum err rc;

	if (id_eq(id, &zero)) {
		*added = !s->has_zero;
		s->has_zero = true;
		return ERR_OK;
	}
	if (4 * (s->n + 1) > 3 * s->cap) {
		rc = grow(s, err);
		if (rc != ERR_OK)
			return rc;
	}
	at = place(s, id);
	*added = id_eq(at, &zero);
	if (*added) {
		*at = *id;
		s->n++;
	}
	return ERR_OK;
}

bool
idset_has(const struct idset *s, const struct id *id)
{
	if (id_eq(id, &zero))
		return s->has_zero;
	return s->cap > 0 && id_eq(place(s, id), id);
}
