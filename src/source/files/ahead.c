/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ahead: one mutex guards the queue, the numbers, and of each node what says
 * how far it is.  List and stamps are written by who began them, while they
 * are busy, and by nobody afterwards.
 *
 * The queue holds the nodes in which something is left to begin: a batch of
 * stamps, or a directory among the entries whose stamps are there.  What is
 * to be begun next in a node comes in the order of keys after all that lies
 * below it and was begun before; so with each node put directly before its
 * parent, the first node with something to begin has the smallest key.  A
 * node leaves the queue when all its subdirectories have been begun, so a
 * parent is always there when a child is put before it.
 */
#include "source/files/ahead.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
	THREADS_MAX = 64,
	DIRS_AHEAD = 128,
	ENTRIES_AHEAD = 32 << 10,
	BYTES_AHEAD = 8 << 20
};

enum batch_state { BATCH_NONE, BATCH_BUSY, BATCH_READY, BATCH_GONE };

struct batch {
	enum batch_state state;
	bool counted;
	struct stamp *stamps; /* NULL where there was no memory */
};

struct thread {
	struct ahead *ahead;
	pthread_t id;
	struct lister lister;
};

struct ahead {
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the threads */
	pthread_cond_t ready; /* for the walk, while it waits */
	const struct rules *rules;
	bool stop;
	const struct node *awaited; /* by the walk */
	unsigned idle;
	size_t n_dirs, n_entries, n_bytes; /* begun by threads, not used */
	struct node *first, *last; /* the queue */
	struct node *all;
	struct lister lister; /* the walk's */
	unsigned n_threads;
	struct thread threads[];
};

static const struct error no_room = {
	.code = ERR_NOMEM,
	.msg = "no memory for a directory",
};

/* What a thread is to do: list the node, or a batch of it. */
struct task {
	struct node *node;
	size_t batch;
	bool list;
};

/* These fail only on misuse. */
static void
must(int rc)
{
	assert(rc == 0);
}

static void
lock(struct ahead *a)
{
	must(pthread_mutex_lock(&a->lock));
}

static void
unlock(struct ahead *a)
{
	must(pthread_mutex_unlock(&a->lock));
}

/* ---- nodes; with the lock held ---- */

static void
queue_before(struct ahead *a, struct node *n, struct node *at)
{
	n->after = at;
	n->before = at != NULL ? at->before : a->last;
	if (n->before != NULL)
		n->before->after = n;
	else
		a->first = n;
	if (at != NULL)
		at->before = n;
	else
		a->last = n;
	n->queued = true;
}

static void
unqueue(struct ahead *a, struct node *n)
{
	if (!n->queued)
		return;
	if (n->before != NULL)
		n->before->after = n->after;
	else
		a->first = n->after;
	if (n->after != NULL)
		n->after->before = n->before;
	else
		a->last = n->before;
	n->queued = false;
}

/* Takes over the reference to d, also where it fails. */
static struct node *
node_new(struct ahead *a, struct dir *d, uint64_t dev)
{
	struct node *n = calloc(1, sizeof(*n));

	if (n == NULL) {
		dirs_unref(d);
		return NULL;
	}
	n->dir = d;
	n->dev = dev;
	n->busy = true;
	n->all_next = a->all;
	if (a->all != NULL)
		a->all->all_prev = n;
	a->all = n;
	return n;
}

static void
node_unlink(struct ahead *a, struct node *n)
{
	unqueue(a, n);
	if (n->all_next != NULL)
		n->all_next->all_prev = n->all_prev;
	if (n->all_prev != NULL)
		n->all_prev->all_next = n->all_next;
	else
		a->all = n->all_next;
}

static void
node_free(struct node *n)
{
	for (size_t i = 0; i < n->n_batches; i++)
		free(n->batches[i].stamps);
	free(n->batches);
	list_fini(&n->list);
	if (n->why != &no_room)
		free((void *)(uintptr_t)n->why);
	dirs_unref(n->dir);
	free(n);
}

static size_t
batch_len(const struct node *n, size_t k)
{
	size_t left = n->list.n - k * AHEAD_BATCH;

	return left < AHEAD_BATCH ? left : AHEAD_BATCH;
}

bool
ahead_descends(const struct node *n, const struct stamp *s)
{
	return !s->left_out && s->errnum == 0 && stamp_is_dir(s) &&
	       (n->dev == 0 || s->dev == n->dev);
}

static struct node *
new_kid(struct ahead *a, struct node *n, size_t i)
{
	struct error err = ERROR_INIT;
	struct node *kid;
	struct dir *d;
	const char *name;
	size_t len;

	assert(n->queued);
	name = list_name(&n->list, i, &len);
	if (dirs_below(n->dir, &d, name, len, false, &err) != ERR_OK)
		return NULL;
	kid = node_new(a, d, n->dev);
	if (kid == NULL)
		return NULL;
	kid->parent = n;
	kid->index = i;
	queue_before(a, kid, n);
	return kid;
}

/* ---- the work itself; without the lock ---- */

static void
set_why(struct node *n, const struct error *err)
{
	struct error *why = malloc(sizeof(*why));

	n->why = &no_room;
	if (why == NULL)
		return;
	*why = *err;
	n->why = why;
}

/* Where there is no memory for stamps, the walk will say so. */
static void
stat_batch(struct node *n, size_t k, const struct rules *rules)
{
	struct batch *b = &n->batches[k];
	struct error err = ERROR_INIT;
	size_t len = batch_len(n, k);
	int fd;

	b->stamps = calloc(len, sizeof(*b->stamps));
	if (b->stamps == NULL)
		return;
	if (dirs_acquire(n->dir, &fd, &err) == ERR_OK) {
		list_stat(&n->list, k * AHEAD_BATCH, len, b->stamps, fd, rules);
		dirs_release(n->dir);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		b->stamps[i].left_out = err.code == ERR_NOTFOUND;
		b->stamps[i].errnum =
			err.sys_errno != 0 ? err.sys_errno : ENOMEM;
	}
}

static enum err
list_into(struct node *n, struct lister *ls, const struct rules *rules,
	struct error *err)
{
	enum err rc;
	int fd;

	rc = dirs_acquire(n->dir, &fd, err);
	if (rc != ERR_OK)
		return rc;
	rc = list_read(&n->list, ls, n->dir, fd, rules, err);
	if (rc == ERR_OK && n->list.n > 0) {
		size_t batches = (n->list.n - 1) / AHEAD_BATCH + 1;

		n->batches = calloc(batches, sizeof(*n->batches));
		if (n->batches != NULL)
			n->n_batches = batches;
		else
			rc = err_set(err, ERR_NOMEM,
				"no memory for a directory");
	}
	if (rc != ERR_OK)
		list_fini(&n->list);
	else if (n->n_batches > 0)
		stat_batch(n, 0, rules);
	dirs_release(n->dir);
	return rc;
}

static void
list_node(struct node *n, struct lister *ls, const struct rules *rules)
{
	struct error err = ERROR_INIT;

	if (list_into(n, ls, rules, &err) != ERR_OK)
		set_why(n, &err);
}

/* ---- choosing; with the lock held ---- */

/* A subdirectory of n that nobody has begun, or NULL. */
static struct node *
next_kid(struct ahead *a, struct node *n)
{
	while (n->cursor < n->list.n) {
		const struct batch *b = &n->batches[n->cursor / AHEAD_BATCH];
		struct node *kid;

		if (b->state != BATCH_READY || b->stamps == NULL)
			return NULL;
		if (!ahead_descends(n, &b->stamps[n->cursor % AHEAD_BATCH])) {
			n->cursor++;
			continue;
		}
		kid = new_kid(a, n, n->cursor);
		if (kid == NULL)
			return NULL;
		n->cursor++;
		if (n->last_kid != NULL)
			n->last_kid->next_kid = kid;
		else
			n->first_kid = kid;
		n->last_kid = kid;
		return kid;
	}
	unqueue(a, n);
	return NULL;
}

static bool
choose_in(struct ahead *a, struct node *n, struct task *t)
{
	struct node *kid;
	struct batch *b;

	if (n->busy)
		return false;
	kid = next_kid(a, n);
	if (kid != NULL) {
		kid->counted = true;
		a->n_dirs++;
		*t = (struct task){ .node = kid, .list = true };
		return true;
	}
	if (n->next_batch >= n->n_batches)
		return false;
	b = &n->batches[n->next_batch];
	b->state = BATCH_BUSY;
	b->counted = true;
	a->n_entries += batch_len(n, n->next_batch);
	*t = (struct task){ .node = n, .batch = n->next_batch++ };
	return true;
}

static bool
has_room(const struct ahead *a)
{
	return a->n_dirs < DIRS_AHEAD && a->n_entries < ENTRIES_AHEAD &&
	       a->n_bytes < BYTES_AHEAD;
}

static bool
choose(struct ahead *a, struct task *t)
{
	if (!has_room(a))
		return false;
	for (struct node *n = a->first, *after; n != NULL; n = after) {
		after = n->after;
		if (choose_in(a, n, t))
			return true;
	}
	return false;
}

/* The node has been listed, with its first batch. */
static void
listed(struct ahead *a, struct node *n)
{
	n->busy = false;
	if (n->n_batches == 0) {
		unqueue(a, n);
	} else {
		n->batches[0].state = BATCH_READY;
		n->next_batch = 1;
	}
	if (!n->counted)
		return;
	a->n_bytes += n->list.size;
	if (n->n_batches > 0) {
		n->batches[0].counted = true;
		a->n_entries += batch_len(n, 0);
	}
}

static void
done(struct ahead *a, const struct task *t)
{
	if (t->list)
		listed(a, t->node);
	else
		t->node->batches[t->batch].state = BATCH_READY;
	if (a->awaited == t->node)
		must(pthread_cond_signal(&a->ready));
	if (a->idle > 0 && has_room(a))
		must(pthread_cond_signal(&a->work));
}

static void *
run(void *arg)
{
	struct thread *self = arg;
	struct ahead *a = self->ahead;
	struct task t;

	lock(a);
	while (!a->stop) {
		if (!choose(a, &t)) {
			a->idle++;
			must(pthread_cond_wait(&a->work, &a->lock));
			a->idle--;
			continue;
		}
		unlock(a);
		if (t.list)
			list_node(t.node, &self->lister, a->rules);
		else
			stat_batch(t.node, t.batch, a->rules);
		lock(a);
		done(a, &t);
	}
	unlock(a);
	return NULL;
}

/* With the lock held: wake the threads when there is room for a good deal,
 * not for each directory. */
static void
room_again(struct ahead *a)
{
	if (a->idle > 0 && a->n_dirs <= DIRS_AHEAD / 2 &&
		a->n_entries <= ENTRIES_AHEAD / 2 &&
		a->n_bytes <= BYTES_AHEAD / 2)
		must(pthread_cond_broadcast(&a->work));
}

/* ---- life ---- */

static int
start(struct thread *t)
{
	sigset_t all, before;
	int rc;

	must(sigfillset(&all));
	must(pthread_sigmask(SIG_SETMASK, &all, &before));
	rc = pthread_create(&t->id, NULL, run, t);
	must(pthread_sigmask(SIG_SETMASK, &before, NULL));
	return rc;
}

enum err
ahead_new(struct ahead **out, const struct rules *rules, unsigned n_threads,
	struct error *err)
{
	struct ahead *a;

	if (n_threads > THREADS_MAX)
		n_threads = THREADS_MAX;
	a = calloc(1, sizeof(*a) + n_threads * sizeof(a->threads[0]));
	if (a == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a walk");
	must(pthread_mutex_init(&a->lock, NULL));
	must(pthread_cond_init(&a->work, NULL));
	must(pthread_cond_init(&a->ready, NULL));
	a->rules = rules;
	lister_init(&a->lister);
	for (unsigned i = 0; i < n_threads; i++) {
		struct thread *t = &a->threads[i];

		t->ahead = a;
		lister_init(&t->lister);
		/* With fewer it is slower, that is all. */
		if (start(t) != 0)
			break;
		a->n_threads++;
	}
	*out = a;
	return ERR_OK;
}

void
ahead_free(struct ahead *a)
{
	if (a == NULL)
		return;
	lock(a);
	a->stop = true;
	must(pthread_cond_broadcast(&a->work));
	unlock(a);
	for (unsigned i = 0; i < a->n_threads; i++) {
		must(pthread_join(a->threads[i].id, NULL));
		lister_fini(&a->threads[i].lister);
	}
	for (struct node *n = a->all, *next; n != NULL; n = next) {
		next = n->all_next;
		node_free(n);
	}
	lister_fini(&a->lister);
	must(pthread_cond_destroy(&a->ready));
	must(pthread_cond_destroy(&a->work));
	must(pthread_mutex_destroy(&a->lock));
	free(a);
}

/* ---- the walk ---- */

static void
wait_for(struct ahead *a, const struct node *n)
{
	a->awaited = n;
	must(pthread_cond_wait(&a->ready, &a->lock));
	a->awaited = NULL;
}

static enum err
no_memory(struct error *err)
{
	return err_set(err, ERR_NOMEM, "no memory for a directory");
}

/* List it here and now. */
static void
list_now(struct ahead *a, struct node *n)
{
	const struct task t = { .node = n, .list = true };

	unlock(a);
	list_node(n, &a->lister, a->rules);
	lock(a);
	done(a, &t);
}

enum err
ahead_enter_root(struct ahead *a, struct dir *d, uint64_t dev,
	struct node **out, struct error *err)
{
	struct node *n;

	lock(a);
	n = node_new(a, dirs_ref(d), dev);
	if (n != NULL) {
		queue_before(a, n, NULL);
		list_now(a, n);
	}
	unlock(a);
	*out = n;
	return n != NULL ? ERR_OK : no_memory(err);
}

/* A thread has begun it: wait until it has been listed. */
static struct node *
take_kid(struct ahead *a, struct node *n)
{
	struct node *kid = n->first_kid;

	n->first_kid = kid->next_kid;
	if (n->first_kid == NULL)
		n->last_kid = NULL;
	while (kid->busy)
		wait_for(a, kid);
	a->n_dirs--;
	a->n_bytes -= kid->list.size;
	room_again(a);
	return kid;
}

enum err
ahead_enter(struct ahead *a, struct node *n, size_t i, struct node **out,
	struct error *err)
{
	struct node *kid;

	lock(a);
	if (n->first_kid != NULL && n->first_kid->index == i) {
		kid = take_kid(a, n);
	} else {
		assert(n->cursor <= i);
		kid = new_kid(a, n, i);
		n->cursor = i + 1;
		if (kid != NULL)
			list_now(a, kid);
	}
	unlock(a);
	*out = kid;
	return kid != NULL ? ERR_OK : no_memory(err);
}

void
ahead_leave(struct ahead *a, struct node *n)
{
	lock(a);
	assert(n->first_kid == NULL);
	for (size_t k = 0; k < n->n_batches; k++)
		assert(n->batches[k].state != BATCH_BUSY);
	node_unlink(a, n);
	unlock(a);
	node_free(n);
}

/* With the lock held: the walk has got past batch k. */
static void
drop(struct node *n, size_t k)
{
	struct batch *b = &n->batches[k];

	assert(b->state == BATCH_READY);
	b->state = BATCH_GONE;
	free(b->stamps);
	b->stamps = NULL;
	if (n->cursor < (k + 1) * AHEAD_BATCH)
		n->cursor = (k + 1) * AHEAD_BATCH;
}

enum err
ahead_stamps(struct ahead *a, struct node *n, size_t k,
	const struct stamp **out, struct error *err)
{
	struct batch *b = &n->batches[k];

	lock(a);
	if (k > 0)
		drop(n, k - 1);
	if (b->state == BATCH_NONE) {
		const struct task t = { .node = n, .batch = k };

		assert(n->next_batch == k);
		n->next_batch++;
		b->state = BATCH_BUSY;
		unlock(a);
		stat_batch(n, k, a->rules);
		lock(a);
		done(a, &t);
	}
	while (b->state == BATCH_BUSY)
		wait_for(a, n);
	if (b->counted) {
		b->counted = false;
		a->n_entries -= batch_len(n, k);
		room_again(a);
	}
	unlock(a);
	*out = b->stamps;
	return b->stamps != NULL ? ERR_OK : no_memory(err);
}
