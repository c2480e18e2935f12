/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spy_io: a tree_io around one in memory.  It notes which chunks are fetched,
 * stores them on other threads and in any order where it has a pool, denies
 * chunks as a repository does to a key of role writer, and fails at the use
 * that it is told.
 */
#ifndef TESTS_LIB_SPY_IO_H
#define TESTS_LIB_SPY_IO_H

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "tree/io.h"

enum { SPY_FETCHED_MAX = 4096, SPY_WORKERS = 2 };

struct spy {
	struct tree_io io;
	struct tree_io_mem *mem;
	struct tree_io *inner;
	pthread_mutex_t lock;
	struct pool *pool; /* or NULL */
	struct id fetched[SPY_FETCHED_MAX];
	size_t n_fetched;
	uint64_t used, fail_at; /* this use fails; 0: none does */
	bool deny_data; /* none is handed out */
};

struct put_job {
	struct job job;
	struct spy *spy;
	struct ticket *t;
	struct error fault;
	size_t len;
	uint8_t data[];
};

static inline struct spy *
to_spy(struct tree_io *io)
{
	return container_of(io, struct spy, io);
}

/* One more use of the io, which may be the one that fails. */
static inline enum err
spy_use(struct spy *s, struct error *why)
{
	s->used++;
	if (s->used != s->fail_at)
		return ERR_OK;
	return err_set(why, ERR_NOSPACE, "this use was meant to fail");
}

static inline enum err
spy_get_node(struct tree_io *io, const struct id *id, struct buf *out,
	size_t *head_len, struct error *why)
{
	struct spy *s = to_spy(io);
	enum err rc = spy_use(s, why);

	if (rc != ERR_OK)
		return rc;
	pthread_mutex_lock(&s->lock);
	rc = s->inner->ops->get_node(s->inner, id, out, head_len, why);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static inline enum err
spy_get_data(struct tree_io *io, const struct id *id, struct buf *out,
	struct error *why)
{
	struct spy *s = to_spy(io);
	enum err rc = spy_use(s, why);

	if (rc != ERR_OK)
		return rc;
	if (s->deny_data)
		return err_set(why, ERR_DENIED, "no data for this key");
	assert(s->n_fetched < SPY_FETCHED_MAX);
	s->fetched[s->n_fetched++] = *id;
	pthread_mutex_lock(&s->lock);
	rc = s->inner->ops->get_data(s->inner, id, out, why);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static inline enum err
spy_put_node(struct tree_io *io, const struct node_bytes *node, struct id *id,
	struct error *why)
{
	struct spy *s = to_spy(io);
	enum err rc = spy_use(s, why);

	if (rc != ERR_OK)
		return rc;
	pthread_mutex_lock(&s->lock);
	rc = s->inner->ops->put_node(s->inner, node, id, why);
	pthread_mutex_unlock(&s->lock);
	return rc;
}

static inline void
run_put(struct job *job, unsigned worker)
{
	struct put_job *put = container_of(job, struct put_job, job);
	struct spy *s = put->spy;
	struct ticket t;

	pthread_mutex_lock(&s->lock);
	t.err = ERROR_INIT;
	(void)s->inner->ops->put_data(s->inner, put->data, put->len, &t,
		&t.err);
	pthread_mutex_unlock(&s->lock);
	put->t->id = t.id;
	put->t->err = put->fault.code != ERR_OK ? put->fault : t.err;
	gate_open(&put->t->done);
	free(put);
}

static inline enum err
spy_put_data(struct tree_io *io, const void *data, size_t len, struct ticket *t,
	struct error *why)
{
	struct spy *s = to_spy(io);
	struct put_job *put;
	struct error fault = ERROR_INIT;
	enum err rc = spy_use(s, &fault);

	/* Half of the failures are told by the ticket. */
	if (rc != ERR_OK && s->used % 2 == 0) {
		*why = fault;
		return rc;
	}
	if (s->pool == NULL)
		return s->inner->ops->put_data(s->inner, data, len, t, why);
	put = malloc(sizeof(*put) + len);
	assert(put != NULL);
	put->fault = fault;
	put->job.run = run_put;
	put->spy = s;
	put->t = t;
	put->len = len;
	memcpy(put->data, data, len);
	gate_init(&t->done);
	pool_submit(s->pool, &put->job);
	return ERR_OK;
}

static const struct tree_io_ops spy_ops = {
	.get_node = spy_get_node,
	.get_data = spy_get_data,
	.put_node = spy_put_node,
	.put_data = spy_put_data,
};

static inline enum err
spy_init(struct spy *s, bool threads, struct error *why)
{
	enum err rc;

	*s = (struct spy){ 0 };
	pthread_mutex_init(&s->lock, NULL);
	rc = tree_io_mem_new(&s->mem, why);
	if (rc != ERR_OK)
		return rc;
	s->inner = tree_io_mem_io(s->mem);
	s->io.ops = &spy_ops;
	s->io.boundary = s->inner->boundary;
	if (threads)
		rc = pool_new(&s->pool, SPY_WORKERS, 2, why);
	return rc;
}

static inline void
spy_fini(struct spy *s)
{
	pool_free(s->pool);
	pthread_mutex_destroy(&s->lock);
	tree_io_mem_free(s->mem);
}

#endif /* TESTS_LIB_SPY_IO_H */
