/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/image_changes.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/array.h"

void
image_changes_fini(struct image_changes *c)
{
	free(c->v);
	*c = (struct image_changes){ 0 };
}

static bool
continues(const struct image_change *a, const struct image_change *b)
{
	return a->run.to == b->run.from && a->kind == b->kind &&
	       (a->kind != BECOMES_OLD ||
		       a->old_off + (a->run.to - a->run.from) == b->old_off);
}

enum err
image_changes_add(struct image_changes *c, const struct image_change *change,
	struct error *err)
{
	struct image_change *v;

	if (c->n > 0 && continues(&c->v[c->n - 1], change)) {
		c->v[c->n - 1].run.to = change->run.to;
		return ERR_OK;
	}
	v = array_grow(c->v, c->n, &c->cap, sizeof(*v), err);
	if (v == NULL)
		return err->code;
	c->v = v;
	c->v[c->n++] = *change;
	return ERR_OK;
}

/* Take off what begins the changes from *k on, as far as it lies below to. */
static bool
take_below(struct image_changes *c, size_t *k, uint32_t to,
	struct image_change *head)
{
	struct image_change *first = c->v + *k;

	if (*k == c->n || first->run.from >= to)
		return false;
	*head = *first;
	if (first->run.to <= to) {
		++*k;
		return true;
	}
	head->run.to = to;
	if (first->kind == BECOMES_OLD)
		first->old_off += to - first->run.from;
	first->run.from = to;
	return true;
}

enum err
image_changes_cover(struct image_changes *c, const struct run *runs, size_t n,
	struct error *err)
{
	struct image_changes all = { 0 };
	struct image_change head;
	size_t k = 0;
	enum err rc = ERR_OK;

	for (size_t i = 0; i <= n && rc == ERR_OK; i++) {
		uint32_t from = i < n ? runs[i].from : UINT32_MAX;

		while (rc == ERR_OK && take_below(c, &k, from, &head))
			rc = image_changes_add(&all, &head, err);
		if (i == n || rc != ERR_OK)
			break;
		while (take_below(c, &k, runs[i].to, &head))
			continue;
		head = (struct image_change){ .run = runs[i],
			.kind = BECOMES_DATA };
		rc = image_changes_add(&all, &head, err);
	}
	image_changes_fini(c);
	*c = all;
	return rc;
}
