/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_fault: asks the plan before each operation, and obeys.
 *
 * The caller of an operation that happens TWICE sees the first reply, as the
 * second one goes to nobody.  Reading twice would change nothing, so get, size,
 * time and list happen once then.
 */
#include "store/store_fault.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct store_fault {
	struct store base;
	struct store *inner;
	struct fault_plan plan;
	pthread_mutex_t lock; /* held while the plan decides */
	_Atomic uint64_t count;
	bool dead;
};

static const struct store_ops store_fault_ops;

static struct store_fault *
to_fault(struct store *st)
{
	return container_of(st, struct store_fault, base);
}

static enum fault
decide(struct store_fault *sf, enum store_op op, const char *name)
{
	enum fault f = FAULT_BEFORE;
	uint64_t n;

	(void)pthread_mutex_lock(&sf->lock);
	n = ++sf->count;
	if (!sf->dead)
		f = sf->plan.decide(sf->plan.arg, n, op, name);
	if (f == FAULT_DEAD) {
		sf->dead = true;
		f = FAULT_BEFORE;
	}
	(void)pthread_mutex_unlock(&sf->lock);
	return f;
}

static enum err
fail(const struct store_fault *sf, const char *name, struct error *err)
{
	return err_set(err, sf->plan.code, "object %s: failed as planned",
		name);
}

/* What the caller sees of a call that took place with the result rc. */
static enum err
reply(const struct store_fault *sf, enum fault f, const char *name, enum err rc,
	struct error *err)
{
	return f == FAULT_AFTER || f == FAULT_TORN ? fail(sf, name, err) : rc;
}

static enum err
fault_put(struct store *st, const char *name, const void *data, size_t len,
	struct error *err)
{
	struct store_fault *sf = to_fault(st);
	enum fault f = decide(sf, STORE_PUT, name);
	struct error unseen = ERROR_INIT;
	enum err rc, second;

	if (f == FAULT_BEFORE)
		return fail(sf, name, err);
	rc = store_put(sf->inner, name, data, f == FAULT_TORN ? len / 2 : len,
		err);
	if (f == FAULT_TWICE) {
		second = store_put(sf->inner, name, data, len, &unseen);
		(void)second;
	}
	return reply(sf, f, name, rc, err);
}

static enum err
fault_get(struct store *st, const char *name, uint64_t off, size_t len,
	struct buf *out, struct error *err)
{
	struct store_fault *sf = to_fault(st);
	enum fault f = decide(sf, STORE_GET, name);
	enum err rc;

	if (f == FAULT_BEFORE)
		return fail(sf, name, err);
	rc = store_get(sf->inner, name, off, len, out, err);
	return reply(sf, f, name, rc, err);
}

static enum err
fault_size(struct store *st, const char *name, uint64_t *size,
	struct error *err)
{
	struct store_fault *sf = to_fault(st);
	enum fault f = decide(sf, STORE_SIZE, name);
	uint64_t found = 0;
	enum err rc;

	if (f == FAULT_BEFORE)
		return fail(sf, name, err);
	rc = reply(sf, f, name, store_size(sf->inner, name, &found, err), err);
	if (rc == ERR_OK)
		*size = found;
	return rc;
}

static enum err
fault_time(struct store *st, const char *name, struct when *out,
	struct error *err)
{
	struct store_fault *sf = to_fault(st);
	enum fault f = decide(sf, STORE_TIME, name);
	struct when found = { 0 };
	enum err rc;

	if (f == FAULT_BEFORE)
		return fail(sf, name, err);
	rc = reply(sf, f, name, store_time(sf->inner, name, &found, err), err);
	if (rc == ERR_OK)
		*out = found;
	return rc;
}

static enum err
fault_list(struct store *st, const char *prefix, store_list_fn *fn, void *arg,
	struct error *err)
{
	struct store_fault *sf = to_fault(st);
	enum fault f = decide(sf, STORE_LIST, prefix);
	enum err rc;

	if (f == FAULT_BEFORE)
		return fail(sf, prefix, err);
	rc = store_list(sf->inner, prefix, fn, arg, err);
	return reply(sf, f, prefix, rc, err);
}

static enum err
fault_del(struct store *st, const char *name, struct error *err)
{
	struct store_fault *sf = to_fault(st);
	enum fault f = decide(sf, STORE_DEL, name);
	struct error unseen = ERROR_INIT;
	enum err rc, second;

	if (f == FAULT_BEFORE)
		return fail(sf, name, err);
	rc = store_del(sf->inner, name, err);
	if (f == FAULT_TWICE) {
		second = store_del(sf->inner, name, &unseen);
		(void)second;
	}
	return reply(sf, f, name, rc, err);
}

static void
fault_close(struct store *st)
{
	struct store_fault *sf = to_fault(st);

	store_close(sf->inner);
	(void)pthread_mutex_destroy(&sf->lock);
	free(sf);
}

static const struct store_ops store_fault_ops = {
	.close = fault_close,
	.put = fault_put,
	.get = fault_get,
	.size = fault_size,
	.time = fault_time,
	.list = fault_list,
	.del = fault_del,
};

enum err
store_fault_new(struct store **out, struct store *inner,
	const struct fault_plan *plan, struct error *err)
{
	struct store_fault *sf = calloc(1, sizeof(*sf));

	assert(plan->decide != NULL && plan->code != ERR_OK);
	if (sf == NULL)
		return err_set(err, ERR_NOMEM, "faulty store: no memory");
	sf->base.ops = &store_fault_ops;
	sf->inner = inner;
	sf->plan = *plan;
	(void)pthread_mutex_init(&sf->lock, NULL);
	*out = &sf->base;
	return ERR_OK;
}

uint64_t
store_fault_count(const struct store *st)
{
	assert(st->ops == &store_fault_ops);
	return ((const struct store_fault *)(const void *)st)->count;
}
