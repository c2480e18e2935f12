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
	ceph_call_fn *run;
	struct ceph_call call;
	char *a, *b;
	rados_t cluster; /* of a call without an image */
};

static void
errand_free(struct errand *e)
{
	(void)pthread_cond_destroy(&e->ended);
	(void)pthread_mutex_destroy(&e->lock);
	free(e->a);
	free(e->b);
	free(e);
}

static void *
go(void *arg)
{
	struct errand *e = arg;
	int answer = 0;
	bool left;

	if (e->run != NULL)
		answer = e->run(&e->call);
	else
		e->call.lib->rados_shutdown(e->cluster);
	(void)pthread_mutex_lock(&e->lock);
	e->answer = answer;
	e->done = true;
	left = e->left;
	(void)pthread_cond_signal(&e->ended);
	(void)pthread_mutex_unlock(&e->lock);
	if (left)
		errand_free(e);
	return NULL;
}

static struct errand *
errand_new(const struct ceph_call *call)
{
	struct errand *e = calloc(1, sizeof(*e));
	pthread_condattr_t attr;

	if (e == NULL)
		return NULL;
	(void)pthread_mutex_init(&e->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&e->ended, &attr);
	(void)pthread_condattr_destroy(&attr);
	e->call = *call;
	if (call->a != NULL)
		e->call.a = e->a = strdup(call->a);
	if (call->b != NULL)
		e->call.b = e->b = strdup(call->b);
	if ((call->a != NULL && e->a == NULL) ||
		(call->b != NULL && e->b == NULL)) {
		errand_free(e);
		return NULL;
	}
	return e;
}

/* Whether it was done in time. */
static bool
await(struct errand *e, unsigned seconds, int *answer)
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
	*answer = e->answer;
	(void)pthread_mutex_unlock(&e->lock);
	return done;
}

/* Frees e, now or when it ends. */
static int
send_out(struct ceph *c, struct errand *e)
{
	pthread_t thread;
	int answer;

	if (pthread_create(&thread, NULL, go, e) != 0) {
		errand_free(e);
		return -EAGAIN;
	}
	if (await(e, limit_sec(c), &answer)) {
		(void)pthread_join(thread, NULL);
		errand_free(e);
		return answer;
	}
	(void)pthread_detach(thread);
	lose(c);
	return -ETIMEDOUT;
}

int
ceph_patiently(struct ceph_image *img, ceph_call_fn *run, const char *a,
	const char *b, uint64_t n)
{
	const struct ceph_call call = { img->lib, img->rbd, a, b, n };
	struct errand *e;

	if (img->c->lost)
		return -ETIMEDOUT;
	e = errand_new(&call);
	if (e == NULL)
		return -ENOMEM;
	e->run = run;
	return send_out(img->c, e);
}

bool
ceph_await_write(struct ceph_image *img, rbd_completion_t op)
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

void
ceph_shut_patiently(struct ceph *c)
{
	const struct ceph_call call = { .lib = c->lib };
	struct errand *e;

	if (c->lost)
		return;
	e = errand_new(&call);
	if (e == NULL)
		return;
	e->cluster = c->cluster;
	(void)send_out(c, e);
}
