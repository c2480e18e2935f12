/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/outbox.h"

#include <stdlib.h>
#include <string.h>

void
outbox_init(struct outbox *o, struct builder *builder)
{
	memset(o, 0, sizeof(*o));
	o->builder = builder;
	o->last = &o->first;
}

static void
slot_free(struct slot *s)
{
	buf_fini(&s->val);
	refs_fini(&s->refs);
	free(s);
}

void
outbox_fini(struct outbox *o)
{
	struct slot *s;

	while ((s = o->first) != NULL) {
		o->first = s->next;
		slot_free(s);
	}
}

enum err
outbox_append(struct outbox *o, struct bytes key, struct slot **out,
	struct error *err)
{
	struct slot *s = calloc(1, sizeof(*s) + key.len);

	if (s == NULL)
		return err_set(err, ERR_NOMEM, "out of memory");
	s->key = (uint8_t *)(s + 1);
	s->key_len = key.len;
	if (key.len > 0)
		memcpy(s->key, key.data, key.len);
	buf_init(&s->val, VALUE_MAX);
	*o->last = s;
	o->last = &s->next;
	o->n++;
	s->box = o;
	outbox_filled(s);
	*out = s;
	return ERR_OK;
}

void
outbox_filled(struct slot *s)
{
	size_t cost = sizeof(*s) + s->key_len + s->val.cap +
		      s->refs.cap * sizeof(struct ref);

	s->box->bytes += cost - s->cost;
	s->cost = cost;
}

static enum err
slot_fill(struct slot *s, const struct item *item, struct error *err)
{
	enum err rc;

	if (item->n_refs > 0) {
		s->refs.v = malloc(item->n_refs * sizeof(struct ref));
		if (s->refs.v == NULL)
			return err_set(err, ERR_NOMEM, "out of memory");
		memcpy(s->refs.v, item->refs,
			item->n_refs * sizeof(struct ref));
		s->refs.n = s->refs.cap = item->n_refs;
	}
	s->weight = item->weight;
	rc = buf_put(&s->val, item->val.data, item->val.len, err);
	outbox_filled(s);
	return rc;
}

enum err
outbox_item(struct outbox *o, const struct item *item, struct error *err)
{
	struct slot *s;
	enum err rc;

	if (o->first == NULL)
		return builder_add(o->builder, item, err);
	rc = outbox_append(o, item->key, &s, err);
	return rc == ERR_OK ? slot_fill(s, item, err) : rc;
}

static enum err
hand_on_first(struct outbox *o, struct error *err)
{
	struct slot *s = o->first;
	struct item item;
	enum err rc = ERR_OK;

	if (s->finish != NULL)
		rc = s->finish(s, err);
	if (rc == ERR_OK && !s->dropped) {
		item = (struct item){ { s->key, s->key_len },
			{ s->val.data, s->val.len }, s->refs.v, s->refs.n,
			s->weight };
		rc = builder_add(o->builder, &item, err);
	}
	o->first = s->next;
	if (o->first == NULL)
		o->last = &o->first;
	o->n--;
	o->bytes -= s->cost;
	slot_free(s);
	return rc;
}

static bool
is_waiting(const struct slot *s)
{
	return s->is_done != NULL && !s->is_done(s);
}

enum err
outbox_turn(struct outbox *o, struct error *err)
{
	enum err rc = ERR_OK;

	while (rc == ERR_OK && o->first != NULL) {
		if (o->n < OUTBOX_ENTRIES && o->bytes < OUTBOX_BYTES &&
			is_waiting(o->first))
			break;
		rc = hand_on_first(o, err);
	}
	return rc;
}

enum err
outbox_drain(struct outbox *o, struct error *err)
{
	enum err rc = ERR_OK;

	while (rc == ERR_OK && o->first != NULL)
		rc = hand_on_first(o, err);
	return rc;
}
