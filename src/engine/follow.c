/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/follow.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/fsx.h"
#include "engine/follow_files.h"

enum { RETRY_FIRST_SEC = 5, RETRY_MAX_SEC = 300 };

struct run {
	struct repo *repo;
	struct source *src;
	const struct follow_conf *conf;
	const _Atomic bool *stop;
	struct report report;
	struct progress progress;

	/* the thread's that seals */
	double retry_at; /* not before, after a failure */
	unsigned retry_sec;
	struct snapshot last; /* what the next one is compared with */
	bool has_last;

	pthread_mutex_t lock; /* of all below, and of what is told */
	struct follow_status status;
	bool told; /* a state was */
	bool told_files; /* that they cannot be written */
	int lock_fd;
};

/* ---- what the driver calls ---- */

static void
lock(struct run *run)
{
	(void)pthread_mutex_lock(&run->lock);
}

static void
unlock(struct run *run)
{
	(void)pthread_mutex_unlock(&run->lock);
}

static void
trouble(struct run *run, const char *sentence)
{
	const struct follow_conf *c = run->conf;

	if (c->on_trouble != NULL && !c->on_trouble(c->arg, sentence))
		run->status.untold++;
}

static void
note_trouble(struct run *run, const char *what, const char *why)
{
	struct follow_status *s = &run->status;

	(void)snprintf(s->trouble, sizeof(s->trouble), "%s: %.220s", what, why);
	s->trouble_at = when_now();
}

/* What a process that ended has left: since when it is not protected, or
 * something is not sealed, began before this one. */
static void
take_over(struct run *run, const char *dir)
{
	struct follow_status *s = &run->status, old;
	char path[sizeof(s->state.dir) + 16];
	struct error why = ERROR_INIT;

	(void)snprintf(path, sizeof(path), "%s/status.json", dir);
	if (dir[0] == '\0' || follow_load(path, &old, &why) != ERR_OK)
		return;
	if (old.protected_at.sec != 0)
		s->protected_at = old.protected_at;
	if (old.sealed_at.sec != 0)
		s->sealed_at = old.sealed_at;
	s->unsealed_since = old.unsealed_since;
	s->trouble_at = old.trouble_at;
	memcpy(s->trouble, old.trouble, sizeof(s->trouble));
}

/* Where others cannot see the state they find an old one, and say so; told
 * once until it works again. */
static void
publish(struct run *run)
{
	struct follow_status *s = &run->status;
	struct error err = ERROR_INIT;
	enum err rc = follow_files_lock(&run->lock_fd, s->state.dir, &err);

	if (rc == ERR_OK)
		rc = follow_files_status(s, &err);
	if (rc == ERR_OK && run->conf->metrics != NULL)
		rc = follow_files_metrics(s, run->conf->metrics, &err);
	if (rc != ERR_OK && !run->told_files)
		trouble(run, err.msg);
	run->told_files = rc != ERR_OK;
}

static void
take_state(struct run *run, const struct follow_state *state)
{
	struct follow_status *s = &run->status;
	bool first = !run->told, entered;

	if (first)
		take_over(run, state->dir);
	entered = first || s->state.health != state->health;
	run->told = true;
	s->state = *state;
	s->written = when_now();
	if (entered)
		s->entered[state->health]++;
	if (state->health == FOLLOW_PROTECTED)
		s->protected_at = state->heard;
	else if (state->why[0] != '\0')
		note_trouble(run, follow_health_name(state->health),
			state->why);
	if (state->bytes_waiting == 0)
		s->unsealed_since.sec = 0;
	else if (s->unsealed_since.sec == 0)
		s->unsealed_since = s->written;
}

static void
on_tell(void *arg, const struct follow_state *state)
{
	struct run *run = arg;
	const struct follow_conf *c = run->conf;

	lock(run);
	take_state(run, state);
	publish(run);
	if (c->on_state != NULL && !c->on_state(c->arg, &run->status))
		run->status.untold++;
	unlock(run);
}

static void
failed(struct run *run, const struct error *why)
{
	struct follow_status *s = &run->status;
	char text[600];

	run->retry_sec =
		run->retry_sec == 0 ? RETRY_FIRST_SEC : run->retry_sec * 2;
	if (run->retry_sec > RETRY_MAX_SEC)
		run->retry_sec = RETRY_MAX_SEC;
	run->retry_at = mono_sec() + run->retry_sec;
	(void)snprintf(text, sizeof(text),
		"not sealed, and tried again in %u s: %s", run->retry_sec,
		why->msg);
	lock(run);
	s->failures++;
	(void)snprintf(s->problem, sizeof(s->problem), "%.255s", why->msg);
	note_trouble(run, "not sealed", why->msg);
	trouble(run, text);
	unlock(run);
}

/* What came while it was being sealed waits since it began. */
static void
succeeded(struct run *run, const struct snapshot *snap,
	const struct when *began)
{
	const struct follow_conf *c = run->conf;
	struct follow_status *s = &run->status;

	run->retry_at = 0;
	run->retry_sec = 0;
	lock(run);
	s->seals++;
	s->sealed_at = when_now();
	if (s->unsealed_since.sec != 0)
		s->unsealed_since = *began;
	s->problem[0] = '\0';
	if (c->on_seal != NULL && !c->on_seal(c->arg, snap))
		s->untold++;
	unlock(run);
}

static enum err
add_name(void *arg, const char *name, struct error *err)
{
	return strings_add(arg, name, err);
}

/* A snapshot of other names is of another generation. */
static bool
is_of_last(struct run *run)
{
	struct strings names = { NULL, 0 };
	struct error why = ERROR_INIT;
	bool same;

	same = run->has_last &&
	       run->src->ops->describe(run->src, add_name, &names, &why) ==
		       ERR_OK &&
	       strings_eq(&names, &run->last.sources);
	strings_fini(&names);
	return same;
}

/*
 * Among thousands of snapshots the parent is not searched for: it is the one
 * that was made here last.  Where it was forgotten meanwhile, it is.
 */
static enum err
back_up(struct run *run, struct snapshot *snap, struct error *err)
{
	struct backup_conf conf = run->conf->backup;
	char uid[UID_HEX + 1];
	enum err rc;

	if (is_of_last(run)) {
		hex_encode(run->last.uid.b, UID_LEN, uid);
		conf.parent = uid;
	}
	rc = backup_run(run->repo, run->src, &conf, &run->report, snap, err);
	if (rc != ERR_NOTFOUND || conf.parent == NULL)
		return rc;
	conf.parent = NULL;
	return backup_run(run->repo, run->src, &conf, &run->report, snap, err);
}

static enum err
on_seal(void *arg, struct error *err)
{
	struct run *run = arg;
	struct when began = when_now();
	struct snapshot snap;
	enum err rc;

	if (mono_sec() < run->retry_at && !*run->stop)
		return err_set(err, ERR_AGAIN, "it is tried later");
	snapshot_init(&snap);
	rc = back_up(run, &snap, err);
	if (rc != ERR_OK) {
		failed(run, err);
		snapshot_fini(&snap);
		return rc;
	}
	succeeded(run, &snap, &began);
	snapshot_fini(&run->last);
	run->last = snap;
	run->has_last = true;
	return ERR_OK;
}

static void
on_note(void *arg, const char *sentence)
{
	struct run *run = arg;

	lock(run);
	trouble(run, sentence);
	unlock(run);
}

static void
on_problem(void *arg, struct bytes key, const struct error *why)
{
	(void)key;
	on_note(arg, why->msg);
}

enum err
follow_run(struct repo *r, struct source *src, const struct follow_conf *conf,
	const _Atomic bool *stop, struct error *err)
{
	struct run run = { .repo = r,
		.src = src,
		.conf = conf,
		.stop = stop,
		.lock_fd = -1 };
	const struct follow f = { .arg = &run,
		.seal_sec = conf->seal_sec,
		.seal_bytes = conf->seal_bytes,
		.seal = on_seal,
		.tell = on_tell };
	enum err rc;

	if (!src->ops->caps.follow)
		return err_set(err, ERR_USAGE,
			"a source of the kind %s cannot be followed",
			src->ops->scheme);
	(void)pthread_mutex_init(&run.lock, NULL);
	progress_init(&run.progress);
	snapshot_init(&run.last);
	/* No stop: what is being sealed when it is to end is sealed. */
	run.report = (struct report){ .arg = &run,
		.progress = &run.progress,
		.problem = on_problem,
		.note = on_note };
	run.status.protected_at = when_now();
	rc = src->ops->follow(src, &f, stop, err);
	snapshot_fini(&run.last);
	progress_fini(&run.progress);
	fsx_close(&run.lock_fd);
	(void)pthread_mutex_destroy(&run.lock);
	return rc;
}
