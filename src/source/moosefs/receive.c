/* SPDX-License-Identifier: Apache-2.0 */
#include "source/moosefs/receive.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "source/moosefs/receive_inside.h"

/* The master may be back at any time; for an image, or for what it does not
 * remember, one waits until it saves the next one. */
enum { RETRY_FIRST_SEC = 1, RETRY_MAX_SEC = 10, RETRY_HOLE_SEC = 60 };

enum err
receive_open(struct receive **out, const struct receive_conf *conf,
	struct error *err)
{
	struct receive *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;
	enum err rc;

	if (r == NULL)
		return err_set(err, ERR_NOMEM, "no memory for a receiver");
	r->conf = *conf;
	r->home.lock_fd = -1;
	(void)pthread_mutex_init(&r->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&r->wake, &attr);
	(void)pthread_condattr_destroy(&attr);
	lineup_init(&r->line, &r->home, conf->note, conf->arg);
	receive_set(r, FOLLOW_CONNECTING, "");
	rc = home_open(&r->home, conf->dir, err);
	if (rc == ERR_OK) {
		r->image_tmp = home_path(&r->home, "image.tmp");
		if (r->image_tmp == NULL)
			rc = err_set(err, ERR_NOMEM, "no memory for a name");
	}
	if (rc != ERR_OK) {
		receive_close(r);
		return rc;
	}
	*out = r;
	return ERR_OK;
}

void
receive_close(struct receive *r)
{
	if (r == NULL)
		return;
	receive_stop(r);
	lineup_fini(&r->line);
	home_close(&r->home);
	(void)pthread_cond_destroy(&r->wake);
	(void)pthread_mutex_destroy(&r->lock);
	free(r->image_tmp);
	free(r);
}

/* ---- the state ---- */

void
receive_set(struct receive *r, enum follow_health health, const char *why)
{
	struct receive_state *s;

	r->was_protected |= health == FOLLOW_PROTECTED;
	(void)pthread_mutex_lock(&r->lock);
	s = r->n_states > 0 ? &r->states[r->n_states - 1] : NULL;
	if (s == NULL || s->health != health) {
		/* Where nobody asks, the last ones are what counts. */
		if (r->n_states == STATES_MAX) {
			memmove(r->states, r->states + 1,
				(STATES_MAX - 1) * sizeof(*s));
			r->n_states--;
		}
		r->states[r->n_states] = (struct receive_state){
			.heard = s != NULL ? s->heard : (struct when){ 0 },
			.changes = r->changes++
		};
		s = &r->states[r->n_states++];
		s->health = health;
	}
	(void)snprintf(s->why, sizeof(s->why), "%s", why);
	(void)pthread_mutex_unlock(&r->lock);
}

void
receive_connected(struct receive *r)
{
	r->connected = true;
	(void)pthread_mutex_lock(&r->lock);
	r->connections++;
	(void)pthread_mutex_unlock(&r->lock);
	receive_heard(r, 0);
}

void
receive_heard(struct receive *r, double ago)
{
	struct when now = when_now();
	int64_t nsec = (int64_t)now.nsec - (int64_t)(ago * 1e9) % 1000000000;

	now.sec -= (int64_t)ago + (nsec < 0);
	now.nsec = (uint32_t)(nsec < 0 ? nsec + 1000000000 : nsec);
	(void)pthread_mutex_lock(&r->lock);
	r->states[r->n_states - 1].heard = now;
	(void)pthread_mutex_unlock(&r->lock);
}

/* Each state is told once before the one that came after it. */
void
receive_state(struct receive *r, struct receive_state *out)
{
	(void)pthread_mutex_lock(&r->lock);
	*out = r->states[0];
	out->connections = r->connections;
	if (r->n_states > 1) {
		memmove(r->states, r->states + 1,
			(r->n_states - 1) * sizeof(*out));
		r->n_states--;
	}
	(void)pthread_mutex_unlock(&r->lock);
}

/* ---- generations ---- */

struct lineup *
receive_line(struct receive *r)
{
	return &r->line;
}

enum err
receive_use(struct receive *r, uint64_t id, struct error *err)
{
	char gen[HOME_GEN_MAX], old[HOME_GEN_MAX] = "", why[256];
	bool known;
	enum err rc;

	if (r->branch)
		rc = home_branch(&r->home, id, gen, err);
	else
		rc = home_find(&r->home, id, gen, &known, err);
	if (rc == ERR_OK)
		rc = home_current(&r->home, old, err);
	if (rc == ERR_OK && !r->branch && old[0] != '\0' &&
		strncmp(old, gen, 16) != 0) {
		(void)snprintf(why, sizeof(why),
			"another file system (%s) than %s answers; what was "
			"received of that one stays where it is",
			gen, old);
		receive_set(r, FOLLOW_OTHER, why);
	}
	if (rc == ERR_OK)
		rc = lineup_use(&r->line, gen, err);
	if (rc == ERR_OK)
		r->branch = false;
	return rc;
}

enum err
receive_use_current(struct receive *r, struct error *err)
{
	char gen[HOME_GEN_MAX];
	enum err rc;

	if (r->branch || lineup_target(&r->line) != NULL)
		return ERR_OK;
	rc = home_current(&r->home, gen, err);
	return rc == ERR_OK && gen[0] != '\0' ? lineup_use(&r->line, gen, err)
					      : rc;
}

/* ---- the thread ---- */

static void
rest(struct receive *r, unsigned sec)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)sec;
	(void)pthread_mutex_lock(&r->lock);
	while (!r->stop &&
		pthread_cond_timedwait(&r->wake, &r->lock, &until) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&r->lock);
}

/* What came and is not durable: made so, or given up.  False: the journal
 * cannot be used. */
static bool
settle(struct receive *r)
{
	struct journal *j = lineup_target(&r->line);
	struct error why = ERROR_INIT;

	if (j == NULL || journal_sync(j, &why) == ERR_OK)
		return true;
	receive_set(r, FOLLOW_HOLE, why.msg);
	why = ERROR_INIT;
	if (journal_recover(j, &why) == ERR_OK)
		return true;
	receive_set(r, FOLLOW_HOLE, why.msg);
	return false;
}

static enum follow_health
health_of(struct receive *r)
{
	enum follow_health health;

	(void)pthread_mutex_lock(&r->lock);
	health = r->states[r->n_states - 1].health;
	(void)pthread_mutex_unlock(&r->lock);
	return health;
}

/*
 * The master is away: whatever was before, and whyever.  Or what came of it
 * cannot be used: the session itself has told what is worse.
 */
static void
tell_end(struct receive *r, enum err rc, const struct error *why)
{
	enum follow_health health = health_of(r);

	if (r->connected && rc != ERR_AGAIN)
		receive_set(r, FOLLOW_HOLE, why->msg);
	else if (!r->connected || health == FOLLOW_PROTECTED ||
		 health == FOLLOW_CONNECTING)
		receive_set(r, FOLLOW_CONNECTING, why->msg);
}

static void *
run(void *arg)
{
	struct receive *r = arg;
	unsigned wait = RETRY_FIRST_SEC;
	unsigned max;
	struct error why;
	enum err rc;

	while (!r->stop) {
		why = ERROR_INIT;
		if (!settle(r)) {
			rest(r, RETRY_MAX_SEC);
			continue;
		}
		r->was_protected = r->connected = false;
		rc = session_run(r, false, &why);
		(void)settle(r);
		if (r->stop)
			break;
		tell_end(r, rc, &why);
		if (r->was_protected)
			wait = RETRY_FIRST_SEC;
		max = health_of(r) == FOLLOW_CONNECTING ? RETRY_MAX_SEC
							: RETRY_HOLE_SEC;
		rest(r, wait < max ? wait : max);
		wait = wait * 2 > max ? max : wait * 2;
	}
	return NULL;
}

enum err
receive_start(struct receive *r, struct error *err)
{
	int e = pthread_create(&r->thread, NULL, run, r);

	if (e != 0)
		return err_sys(err, e, "a thread that receives");
	r->running = true;
	return ERR_OK;
}

void
receive_stop(struct receive *r)
{
	if (!r->running)
		return;
	(void)pthread_mutex_lock(&r->lock);
	r->stop = true;
	(void)pthread_cond_broadcast(&r->wake);
	(void)pthread_mutex_unlock(&r->lock);
	(void)pthread_join(r->thread, NULL);
	r->running = false;
}

enum err
receive_once(struct receive *r, struct error *err)
{
	struct journal *j;
	enum err rc = session_run(r, true, err);

	j = lineup_target(&r->line);
	return rc == ERR_OK && j != NULL ? journal_sync(j, err) : rc;
}
