/* SPDX-License-Identifier: Apache-2.0 */
#include "source/rbd/reads.h"

#include <stdlib.h>

struct reads_slot {
	struct ceph_op op;
	bool zero; /* there is no operation */
	uint64_t off, len;
	uint8_t *data;
};

enum err
reads_init(struct reads *r, struct ceph_image *img, struct sink *sink,
	size_t depth, struct error *err)
{
	*r = (struct reads){ .img = img, .sink = sink, .depth = depth };
	r->slots = calloc(depth, sizeof(*r->slots));
	return r->slots != NULL
		       ? ERR_OK
		       : err_set(err, ERR_NOMEM, "no memory to read an image");
}

static struct reads_slot *
slot_at(struct reads *r, size_t i)
{
	return &r->slots[(r->first + i) % r->depth];
}

void
reads_fini(struct reads *r)
{
	struct error err = ERROR_INIT;

	for (size_t i = 0; i < r->n; i++) {
		struct reads_slot *s = slot_at(r, i);

		if (!s->zero)
			(void)!ceph_op_wait(&s->op, &err);
	}
	for (size_t i = 0; r->slots != NULL && i < r->depth; i++)
		free(r->slots[i].data);
	free(r->slots);
	*r = (struct reads){ NULL };
}

static enum err
deliver(struct reads *r, struct error *err)
{
	const struct sink_ops *ops = r->sink->ops;
	struct reads_slot *s = slot_at(r, 0);
	enum err rc;

	r->first = (r->first + 1) % r->depth;
	r->n--;
	if (s->zero)
		return ops->image_punch(r->sink, s->off, s->len, err);
	rc = ceph_op_wait(&s->op, err);
	if (rc != ERR_OK)
		return rc;
	return ops->image_replace(r->sink, s->off, s->data, (size_t)s->len,
		err);
}

/* A free slot behind the others; it counts when its r->n is increased. */
static enum err
next_slot(struct reads *r, struct reads_slot **out, struct error *err)
{
	enum err rc = r->n == r->depth ? deliver(r, err) : ERR_OK;

	*out = slot_at(r, r->n);
	return rc;
}

static enum err
begin_read(struct reads *r, uint64_t off, size_t len, struct error *err)
{
	struct reads_slot *s;
	enum err rc = next_slot(r, &s, err);

	if (rc != ERR_OK)
		return rc;
	if (s->data == NULL)
		s->data = malloc(READS_WINDOW);
	if (s->data == NULL)
		return err_set(err, ERR_NOMEM, "no memory to read an image");
	s->zero = false;
	s->off = off;
	s->len = len;
	rc = ceph_read(&s->op, r->img, off, s->data, len, err);
	r->n += rc == ERR_OK;
	return rc;
}

enum err
reads_data(struct reads *r, uint64_t off, uint64_t len, struct error *err)
{
	enum err rc = ERR_OK;

	while (rc == ERR_OK && len > 0) {
		uint64_t part = READS_WINDOW - off % READS_WINDOW;

		if (part > len)
			part = len;
		rc = begin_read(r, off, (size_t)part, err);
		off += part;
		len -= part;
	}
	return rc;
}

enum err
reads_zero(struct reads *r, uint64_t off, uint64_t len, struct error *err)
{
	struct reads_slot *s;
	enum err rc = next_slot(r, &s, err);

	if (rc != ERR_OK)
		return rc;
	s->zero = true;
	s->off = off;
	s->len = len;
	r->n++;
	return ERR_OK;
}

enum err
reads_drain(struct reads *r, struct error *err)
{
	enum err rc = ERR_OK;

	while (rc == ERR_OK && r->n > 0)
		rc = deliver(r, err);
	return rc;
}
