/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rbd/librbd.h>

#include "base/leave.h"
#include "base/time.h"
#include "system/ceph_patience.h"

/* Beyond what librbd needs where it does end. */
enum {
	PATIENCE_TIMES = 4,
	PATIENCE_MORE_SEC = 10,
	NAP_FIRST_NS = 50000,
	NAP_MAX_NS = 3000000
};

static unsigned
limit_sec(const struct ceph *c)
{
	return PATIENCE_TIMES * c->timeout_sec + PATIENCE_MORE_SEC;
}

static void
lose(struct ceph *c)
{
	c->lost = true;
	leave_abruptly();
}

struct errand {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool done; /* by the thread */
	bool left; /* by who waited */
	int answer;
	ceph_call_fn *run, *late;
	struct ceph_call call;
	char *texts[CEPH_CALL_TEXTS];
};

static void
errand_free(struct errand *e)
{
	(void)pthread_cond_destroy(&e->ended);
	(void)pthread_mutex_destroy(&e->lock);
	for (unsigned i = 0; i < CEPH_CALL_TEXTS; i++)
		free(e->texts[i]);
	free(e);
}

static void *
go(void *arg)
{
	struct errand *e = arg;
	int answer = e->run(&e->call);
	bool left;

	(void)pthread_mutex_lock(&e->lock);
	e->answer = answer;
	e->done = true;
	left = e->left;
	(void)pthread_cond_signal(&e->ended);
	(void)pthread_mutex_unlock(&e->lock);
	if (!left)
		return NULL;
	if (answer >= 0 && e->late != NULL)
		(void)e->late(&e->call);
	errand_free(e);
	return NULL;
}

static struct errand *
errand_new(const struct ceph_call *call)
{
	struct errand *e = calloc(1, sizeof(*e));
	pthread_condattr_t attr;
	bool whole = true;

	if (e == NULL)
		return NULL;
	(void)pthread_mutex_init(&e->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&e->ended, &attr);
	(void)pthread_condattr_destroy(&attr);
	e->call = *call;
	for (unsigned i = 0; i < CEPH_CALL_TEXTS; i++) {
		if (call->text[i] == NULL)
			continue;
		e->call.text[i] = e->texts[i] = strdup(call->text[i]);
		whole = whole && e->texts[i] != NULL;
	}
	if (whole)
		return e;
	errand_free(e);
	return NULL;
}

/* Whether it was done in time. */
static bool
await(struct errand *e, unsigned seconds)
{
	struct timespec until;
	bool done;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)seconds;
	(void)pthread_mutex_lock(&e->lock);
	while (!e->done && pthread_cond_timedwait(&e->ended, &e->lock,
				   &until) != ETIMEDOUT)
		;
	done = e->done;
	e->left = !done;
	(void)pthread_mutex_unlock(&e->lock);
	return done;
}

static void
bring_back(struct ceph_call *to, const struct errand *e)
{
	const char *texts[CEPH_CALL_TEXTS];

	memcpy(texts, to->text, sizeof(texts));
	*to = e->call;
	memcpy(to->text, texts, sizeof(texts));
}

int
ceph_patiently(struct ceph *c, struct ceph_call *call, ceph_call_fn *run,
	ceph_call_fn *late)
{
	struct errand *e;
	pthread_t thread;
	int answer;

	if (c->lost)
		return -ETIMEDOUT;
	call->lib = c->lib;
	call->cluster = c->cluster;
	e = errand_new(call);
	if (e == NULL)
		return -ENOMEM;
	e->run = run;
	e->late = late;
	if (pthread_create(&thread, NULL, go, e) != 0) {
		errand_free(e);
		return -EAGAIN;
	}
	if (!await(e, limit_sec(c))) {
		(void)pthread_detach(thread);
		call->gone = true;
		lose(c);
		return -ETIMEDOUT;
	}
	(void)pthread_join(thread, NULL);
	bring_back(call, e);
	answer = e->answer;
	errand_free(e);
	return answer;
}

int
ceph_patiently_on(struct ceph_image *img, ceph_call_fn *run, const char *a,
	const char *b, uint64_t n)
{
	struct ceph_call call = { .rbd = img->rbd, .text = { a, b }, .n = n };

	return ceph_patiently(img->c, &call, run, NULL);
}

struct question {
	struct ceph_image img;
	ceph_ask_fn *fn;
	void *found;
	void (*drop)(void *found);
	enum err rc;
	struct error err;
};

static int
call_ask(struct ceph_call *call)
{
	struct question *q = call->made;

	q->rc = q->fn(&q->img, q->found, &q->err);
	return 0;
}

static int
late_answer(struct ceph_call *call)
{
	struct question *q = call->made;

	q->drop(q->found);
	free(q);
	return 0;
}

enum err
ceph_ask(struct ceph_image *img, ceph_ask_fn *fn, void *found,
	void (*drop)(void *found), bool *lost, struct error *err)
{
	struct ceph_call call = { .n = 0 };
	struct question *q;
	enum err rc;
	int r;

	*lost = false;
	if (!img->write)
		return fn(img, found, err);
	q = calloc(1, sizeof(*q));
	if (q == NULL)
		return err_set(err, ERR_NOMEM, "no memory to ask of %s",
			img->label);
	*q = (struct question){ .img = *img,
		.fn = fn,
		.found = found,
		.drop = drop,
		.err = ERROR_INIT };
	q->img.c = NULL;
	call.made = q;
	r = ceph_patiently(img->c, &call, call_ask, late_answer);
	*lost = call.gone;
	if (r < 0)
		rc = ceph_fail(err, r, "%s: cannot ask of it", img->label);
	else
		rc = q->rc;
	if (r >= 0 && rc != ERR_OK)
		*err = q->err;
	if (!call.gone)
		free(q);
	return rc;
}

bool
ceph_await(struct ceph_image *img, rbd_completion_t op)
{
	struct timespec nap = { .tv_nsec = NAP_FIRST_NS };
	double end = mono_sec() + limit_sec(img->c);

	while (img->lib->rbd_aio_is_complete(op) == 0) {
		if (img->c->lost || mono_sec() > end) {
			lose(img->c);
			return false;
		}
		(void)nanosleep(&nap, NULL);
		if (nap.tv_nsec < NAP_MAX_NS)
			nap.tv_nsec *= 2;
	}
	return true;
}

static int
call_shutdown(struct ceph_call *call)
{
	call->lib->rados_shutdown(call->cluster);
	return 0;
}

void
ceph_shut_patiently(struct ceph *c)
{
	struct ceph_call call = { .n = 0 };

	(void)ceph_patiently(c, &call, call_shutdown, NULL);
}
